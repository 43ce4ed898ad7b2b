"""Some pictures of every row, a line a seed, below real ones."""

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from harness.plots import pictures
from harness.store.published import absent
from harness.store.records import Store
from harness.tables.measurement import Outcome

SIDE, MOST, GAP = 56, 8, 2
ACROSS, DOWN, LETTERS = 16, 8, 13


def overview(done: Sequence[Outcome], store: Store) -> Image.Image | None:
    """The first pictures of each run; None where they were not handed on."""
    loaded = [(outcome, outcome.images(store)) for outcome in done]
    if any(absent(images["truth"][:MOST]) for _, images in loaded):
        return None
    seeds = sorted({outcome.cell.seed for outcome in done})
    blocks = {(each.cell.row, each.cell.seed): _strip(images["reconstruction"]) for each, images in loaded}
    reals = {each.cell.seed: _strip(images["truth"]) for each, images in loaded}
    empty = pictures.blank(*next(iter(blocks.values())).size, pictures.MISSING)
    lines = {"": [pictures.label(f"seed {seed}", LETTERS) for seed in seeds]}
    lines |= {"real": [reals[seed] for seed in seeds]}
    for row in dict.fromkeys(each.cell.row for each in done):
        lines[row] = [blocks.get((row, seed), empty) for seed in seeds]
    named = [[pictures.label(name, LETTERS, bold=True), *cells] for name, cells in lines.items()]
    return pictures.framed(pictures.grid(named, ACROSS, DOWN))


def _strip(images: Tensor) -> Image.Image:
    return pictures.beside([pictures.tile(image, SIDE) for image in images[:MOST]], GAP)
