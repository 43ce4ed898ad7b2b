"""Where the minima of landscapes lie, in words."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from harness.base.rows import pipes
from harness.papers.ggl.maps import title_of
from harness.papers.ggl.plane import MATCHING, OBJECTIVE, Landscape

HEAD = (
    *("column", "images", "least matching loss, from the middle", "least objective, from the middle"),
    *(
        "valleys of the matching loss",
        "{} at the middle",
        "where the matching loss is least",
        "best of the plane",
    ),
    "at one place",
)


def page(
    dataset: str, found: Mapping[str, Sequence[Landscape]], metric: str, higher: Mapping[str, bool]
) -> str:
    """landscape.md: means over the images of each column, and the first image of each by itself."""
    name, up = title_of(metric), higher[metric]
    lines = [_line(column, landscapes, metric, up) for column, landscapes in found.items()]
    first = [_sentence(column, each[0], metric, up) for column, each in found.items()]
    points = next(iter(found.values()))[0].points
    blocks = [
        f"## Loss landscapes around what GGL found, {dataset} (Figure 9)",
        f"A plane of {points}x{points} latent vectors z + a d1 + b d2, a and b from -1 to 1: z is what the search "
        "returned, d1 and d2 are Gaussian, orthonormal and as long as z, the same for every column but that length. "
        "The paper states neither directions nor range. The matching loss is the attack's distance of updates; its "
        f"objective has the regularisers too. Distances are in lengths of z. {name} is of the image that the generator "
        "makes there, and no attacker sees it. A valley is a point lower than the eight around it, which says as much "
        "as the grid is fine. Means over images.",
        pipes([tuple(each.format(name) for each in HEAD), *lines]),
        "![Maps of one image](landscape.png)",
        "The image of the maps:",
        "\n".join(f"- {sentence}" for sentence in first),
    ]
    return "\n\n".join(blocks) + "\n"


def _line(column: str, landscapes: Sequence[Landscape], metric: str, higher: bool) -> tuple[str, ...]:
    far = {
        name: fmean(math.hypot(*each.at(each.best(name))) for each in landscapes)
        for name in (MATCHING, OBJECTIVE)
    }
    valleys = fmean(each.valleys(MATCHING) for each in landscapes)
    scores = [scored(each, metric, higher) for each in landscapes]
    means = [f"{fmean(column):.4f}" for column in zip(*scores, strict=True)]
    same = sum(each.best(MATCHING) == each.best(metric, higher) for each in landscapes)
    count = len(landscapes)
    return (
        *(column, str(count), f"{far[MATCHING]:.2f}", f"{far[OBJECTIVE]:.2f}", f"{valleys:.1f}", *means),
        f"{same} of {count}",
    )


def scored(each: Landscape, metric: str, higher: bool) -> tuple[float, float, float]:
    """A metric in the middle, where the matching loss is least, and where the metric is best."""
    values = each.values[metric]
    return values[each.middle], values[each.best(MATCHING)], values[each.best(metric, higher)]


def _sentence(column: str, each: Landscape, metric: str, higher: bool) -> str:
    middle, here, best = scored(each, metric, higher)
    (a, b), (c, d) = each.at(each.best(MATCHING)), each.at(each.best(metric, higher))
    name = title_of(metric)
    return (
        f"{column}, number {each.target} of the data set: the matching loss is least at a = {a:.2f}, b = {b:.2f}, "
        f"where {name} is {here:.4f} (in the middle {middle:.4f}); {name} is best, {best:.4f}, at a = {c:.2f}, "
        f"b = {d:.2f}."
    )
