"""Where the minima of landscapes lie, in words."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from harness.base.rows import pipes
from harness.papers.ggl.plane import LOSSES, Distance, Landscape

HEAD = (
    *("column", "images", "least matching loss, from the middle", "least objective, from the middle"),
    *("valleys of the matching loss", "{} at the middle", "{} where the matching loss is least"),
    *("{} where it is best", "at one place"),
)


def page(dataset: str, found: Mapping[str, Sequence[Landscape]], truth: Distance) -> str:
    """landscape.md: means over the images of each column, and the first image of each by itself."""
    lines = [_line(column, landscapes, truth) for column, landscapes in found.items()]
    first = [_sentence(column, each[0], truth) for column, each in found.items()]
    points = next(iter(found.values()))[0].points
    blocks = [
        f"## Loss landscapes around what GGL found, {dataset} (Figure 9)",
        f"A plane of {points}x{points} latent vectors z + a d1 + b d2, a and b from -1 to 1: z is what the search "
        "returned, d1 and d2 are Gaussian, orthonormal and as long as z, the same for every column but that length. "
        "The paper states neither directions nor range. The matching loss is the attack's distance of updates; its "
        f"objective has the regularisers too. Distances are in lengths of z. {truth.title} is of the image that the "
        "generator makes there, and no attacker sees it. A valley is a point lower than the eight around it, which "
        "says as much as the grid is fine. Means over images.",
        pipes([tuple(each.format(truth.title) for each in HEAD), *lines]),
        "![Maps of one image](landscape.png)",
        "The image of the maps:",
        "\n".join(f"- {sentence}" for sentence in first),
    ]
    return "\n\n".join(blocks) + "\n"


def _line(column: str, landscapes: Sequence[Landscape], truth: Distance) -> tuple[str, ...]:
    far = [fmean(math.hypot(*each.at(each.best(loss))) for each in landscapes) for loss in LOSSES]
    valleys = fmean(each.valleys() for each in landscapes)
    scores = zip(*(scored(each, truth) for each in landscapes), strict=True)
    same = sum(each.best(LOSSES[0]) == each.best(truth) for each in landscapes)
    return (
        *(column, str(len(landscapes)), *(f"{each:.2f}" for each in far), f"{valleys:.1f}"),
        *(f"{fmean(values):.4f}" for values in scores),
        f"{same} of {len(landscapes)}",
    )


def scored(each: Landscape, truth: Distance) -> tuple[float, float, float]:
    """A distance in the middle, where the matching loss is least, and where it is best itself."""
    values = each.values[truth.name]
    return values[each.middle], values[each.best(LOSSES[0])], values[each.best(truth)]


def _sentence(column: str, each: Landscape, truth: Distance) -> str:
    middle, here, best = scored(each, truth)
    (a, b), (c, d) = each.at(each.best(LOSSES[0])), each.at(each.best(truth))
    return (
        f"{column}, number {each.target} of the data set: the matching loss is least at a = {a:.2f}, b = {b:.2f}, "
        f"where {truth.title} is {here:.4f} (in the middle {middle:.4f}); {truth.title} is best, {best:.4f}, at "
        f"a = {c:.2f}, b = {d:.2f}."
    )
