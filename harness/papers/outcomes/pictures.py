"""Sheets of a generator's pictures below real ones."""

from collections.abc import Mapping

from PIL import Image
from torch import Tensor

from harness.plots import pictures

SIDE, MOST, ACROSS, DOWN, LETTERS = 48, 12, 16, 8, 13


def sheet(images: Mapping[str, Tensor]) -> Image.Image:
    """The first images [n, c, h, w] of each name, in a line."""
    lines = [
        [pictures.label(name, LETTERS, bold=True), pictures.strip(found, SIDE, MOST)]
        for name, found in images.items()
    ]
    return pictures.framed(pictures.grid(lines, ACROSS, DOWN))
