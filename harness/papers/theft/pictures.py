"""Some pictures of every row, a line a seed, below real ones."""

from collections.abc import Sequence

from PIL import Image

from harness.plots import pictures
from harness.store.published import absent
from harness.store.records import Store
from harness.tables.measurement import Outcome

SIDE, MOST = 56, 8
ACROSS, DOWN, LETTERS = 16, 8, 13


def overview(done: Sequence[Outcome], store: Store) -> Image.Image | None:
    """The first pictures of each run; None where they were not handed on."""
    loaded = [(outcome, outcome.images(store)) for outcome in done]
    if any(absent(images["truth"][:MOST]) for _, images in loaded):
        return None
    seeds = sorted({outcome.cell.seed for outcome in done})
    blocks = {
        (each.cell.row, each.cell.seed): pictures.strip(images["reconstruction"], SIDE, MOST)
        for each, images in loaded
    }
    reals = {each.cell.seed: pictures.strip(images["truth"], SIDE, MOST) for each, images in loaded}
    empty = pictures.blank(*next(iter(blocks.values())).size, pictures.MISSING)
    lines = {"": [pictures.label(f"seed {seed}", LETTERS) for seed in seeds]}
    lines |= {"real": [reals[seed] for seed in seeds]}
    for row in dict.fromkeys(each.cell.row for each in done):
        lines[row] = [blocks.get((row, seed), empty) for seed in seeds]
    named = [[pictures.label(name, LETTERS, bold=True), *cells] for name, cells in lines.items()]
    return pictures.framed(pictures.grid(named, ACROSS, DOWN))
