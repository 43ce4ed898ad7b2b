"""Small pictures side by side: tiles, labels and their arrangement, drawn with Pillow."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from harness.base.files import write_atomically

INK, PAPER, MISSING = "#1a1a1a", "white", "#d9d9d9"


def tile(image: Tensor, side: int) -> Image.Image:
    """An image [c, h, w] in [0, 1] (c = 1 or 3) about `side` pixels high, enlarged by a whole factor
    without smoothing: a reader sees the pixels that were reconstructed. Grey where there is none (NaN)."""
    if image.isnan().any():
        factor = max(1, round(side / image.shape[-2]))
        return blank(image.shape[-1] * factor, image.shape[-2] * factor, MISSING)
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte()
    array = pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(array, "RGB")
    factor = max(1, round(side / picture.height))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def blank(width: int, height: int, colour: str = PAPER) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def label(words: str, size: int = 13, bold: bool = False) -> Image.Image:
    """Words on paper, just large enough to hold them."""
    face = _font(size, bold)
    _, _, right, bottom = face.getbbox(words or " ")
    picture = blank(round(right) + 2, max(round(bottom), size) + 3)
    ImageDraw.Draw(picture).text((1, 0), words, fill=INK, font=face)
    return picture


def centred(picture: Image.Image, width: int, height: int | None = None) -> Image.Image:
    """The picture in the middle of a sheet of at least that width (and height)."""
    sheet = blank(max(width, picture.width), max(height or 0, picture.height))
    sheet.paste(picture, ((sheet.width - picture.width) // 2, (sheet.height - picture.height) // 2))
    return sheet


def beside(pictures: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """Pictures in a line from left to right, aligned at the top."""
    sheet = blank(sum(p.width for p in pictures) + gap * (len(pictures) - 1), max(p.height for p in pictures))
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + gap
    return sheet


def above(pictures: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """Pictures in a column from top to bottom, aligned at the left."""
    sheet = blank(max(p.width for p in pictures), sum(p.height for p in pictures) + gap * (len(pictures) - 1))
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height + gap
    return sheet


def grid(rows: Sequence[Sequence[Image.Image]], across: int, down: int) -> Image.Image:
    """Rows of pictures whose columns are aligned at the left, each as wide as its widest picture."""
    widths = [max(picture.width for picture in column) for column in zip(*rows, strict=True)]
    lines = [
        [above([picture, blank(width, 1)], gap=0) for picture, width in zip(row, widths, strict=True)]
        for row in rows
    ]
    return above([beside(line, across) for line in lines], down)


def places(rows: Sequence[Sequence[Image.Image]], across: int, down: int) -> list[list[tuple[int, int]]]:
    """Where in their grid the pictures lie, by their upper left corners."""
    widths = [max(picture.width for picture in column) for column in zip(*rows, strict=True)]
    lefts = [sum(widths[:place]) + across * place for place in range(len(widths))]
    heights = [max(picture.height for picture in row) + 1 for row in rows]
    tops = [sum(heights[:place]) + down * place for place in range(len(rows))]
    return [[(left, top) for left in lefts] for top in tops]


MARGIN = 10


def framed(picture: Image.Image, margin: int = MARGIN) -> Image.Image:
    """The picture with paper all round."""
    return centred(picture, picture.width + 2 * margin, picture.height + 2 * margin)


def lines(pictures: Sequence[Image.Image], per_line: int, gap: int = 4) -> Image.Image:
    """Pictures in lines of `per_line`, like words on a page."""
    starts = range(0, len(pictures), per_line)
    return above([beside(pictures[start : start + per_line], gap) for start in starts], gap)


def strip(images: Tensor, side: int, most: int, gap: int = 2) -> Image.Image:
    """The first of some images [n, c, h, w] in a line, each about `side` pixels high."""
    return beside([tile(image, side) for image in images[:most]], gap)


def pair(truth: Tensor, reconstruction: Tensor, most: int = 8) -> Image.Image:
    """The first images of the truth [n, c, h, w] in a line, above as many of a reconstruction [k, c, h, w]."""
    rows = [[tile(image, 64) for image in images[:most]] for images in (truth, reconstruction)]
    return above([beside(row) for row in rows])


def gallery(
    truth: Tensor,
    reconstruction: Tensor,
    scores: Sequence[float | None],
    per_line: int = 8,
    most: int = 64,
    total: int | None = None,
) -> Image.Image:
    """Each truth [n, c, h, w] above its reconstruction and its PSNR in dB; the first `most` images.

    `total`: of how many images these are a choice, if they are one.
    """
    pairs = []
    for true, found, score in list(zip(truth, reconstruction, scores, strict=True))[:most]:
        original, guess = tile(true, 96), tile(found, 96)
        note = label("no PSNR" if score is None else f"{score:.1f} dB")
        pairs.append(above([original, guess, centred(note, guess.width)]))
    shown = label(f"truth above reconstruction; {len(pairs)} of {total or len(truth)} images")
    return framed(above([shown, lines(pairs, per_line, gap=8)], gap=8))


def draw_run(images: Mapping[str, Tensor], rows: Sequence[Mapping[str, Any]], directory: Path) -> None:
    """The gallery of a run, where what it attacks are images."""
    if images["truth"].ndim == 4:
        scores = [row.get("psnr_unit") for row in rows]
        save(gallery(images["truth"], images["reconstruction"], scores), directory / "gallery.png")


def save(picture: Image.Image, path: Path, said: str = "") -> None:
    """Write a PNG atomically; `said` is what it says of itself (see `says`)."""
    buffer = BytesIO()
    # the default level takes twice as long and saves a tenth
    picture.save(buffer, format="PNG", compress_level=1, pnginfo=saying(said))
    write_atomically(path, buffer.getvalue(), durable=False)


SAID = "harness"


def saying(said: str) -> PngInfo:
    """What a PNG is to say of itself."""
    found = PngInfo()
    if said:
        found.add_text(SAID, said, zip=True)
    return found


def says(picture: Image.Image) -> str:
    """What a PNG says of itself; empty where it says nothing."""
    return str(picture.info.get(SAID, ""))


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans: it comes with matplotlib and has every sign that the labels need."""
    origin = find_spec("matplotlib")
    if origin is None or origin.origin is None:
        raise RuntimeError("matplotlib, which carries the font of the pictures, is not installed")
    folder = Path(origin.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)
