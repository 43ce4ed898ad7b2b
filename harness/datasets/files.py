"""Finding and reading the files of a data set; what is missing or damaged is the user's to mend."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from harness.base.errors import note
from harness.core import UserError
from harness.identity.digests import combined, digests
from harness.machine import vision

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT_SIZE = 32
"""Decoded images up to this many pixels a side are kept in memory; larger ones would fill it."""

SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose grey images Pillow may open in 32 bits, although they have no more than 16."""


@runtime_checkable
class Downloadable(Protocol):
    """A data set that knows where its files can be had."""

    def download(self, root: str) -> None:
        """Fetch and unpack the files under root. Files that are already there are kept."""


def locate(root: str | None, expected: Sequence[str], download: str = "") -> Path:
    """The data folder (`root`, else $HARNESS_DATA), once all expected paths are known to be in it.

    Raises UserError naming what is missing; `download` is the name by which `make data` knows the data set.
    """
    ways = f"fetch them with `make data DATASET={download} DATA=FOLDER`, or " if download else ""
    remedy = f"{ways}use dataset=digits32, which needs no files"
    folder = root or os.environ.get("HARNESS_DATA")
    if not folder:
        wanted = ", ".join(expected)
        raise UserError(f"set data.root=FOLDER or $HARNESS_DATA to a folder that holds {wanted}; {remedy}")
    base = Path(folder).expanduser()
    missing = [path for path in expected if not (base / path).exists()]
    if missing:
        raise UserError(f"not found under {base}: {', '.join(missing)}; {remedy}")
    return base


def listed(folder: Path, images: Iterable[tuple[str, *tuple[object, ...]]]) -> str:
    """A digest of images in their order: the content of each one's file, and what else is said of it, as its class.

    Raises UserError for a file that can't be read.
    """
    known = [*images]
    files = [*dict.fromkeys(path for path, *_ in known)]
    try:
        contents = dict(zip(files, digests(folder, files), strict=True))
    except OSError as error:
        raise damaged(error.filename, error.strerror) from error
    return combined((contents[path], *said) for path, *said in known)


def damaged(path: Path | str, problem: object) -> UserError:
    """The error for files that are there but are not what they should be."""
    remedy = "get it again, or use dataset=digits32, which needs no files"
    return UserError(f"{path} is missing or damaged ({problem}); {remedy}")


def check_sha256(path: Path, expected: str) -> None:
    """Raises UserError when the file is not the one with this checksum."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise damaged(path, f"sha256 {found[:12]}..., expected {expected[:12]}...")


def read_image(path: Path | str) -> "Image":
    """A file as an upright RGB image of 8 bits a channel; one of 16 bits is scaled by its depth.

    Raises UserError when it can't be read, or when its depth is not known (32 bits, floating point).
    """
    from PIL import Image, ImageOps

    if not os.path.isfile(path):  # a pipe would be waited for
        raise damaged(path, "no such file")
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("F", "I") or upright.mode.startswith("I;"):
                return _of_eight_bits(path, upright, image.format)
            return upright.convert("RGB")
    except (UserError, MemoryError):
        raise
    except Exception as error:  # decoders raise many kinds of a broken file, and each is the file's fault
        raise damaged(path, f"not a readable image: {error}") from error


def image_size(path: Path | str) -> tuple[int, int]:
    """Width and height from the header of a file alone. Raises UserError when it can't be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except Exception as error:
        raise damaged(path, f"not a readable image: {error}") from error


def _of_eight_bits(path: Path | str, image: "Image", kind: str | None) -> "Image":
    """A grey image of more than eight bits: Pillow's own conversion would clip it to white."""
    import numpy
    from PIL import Image

    if not (image.mode.startswith("I;16") or (image.mode == "I" and kind in SIXTEEN_BITS)):
        depth = "floating point" if image.mode == "F" else "32 bits"
        raise UserError(f"{path}: what is white in {depth} is not known; save the images with 8 or 16 bits")
    note("grey images of 16 bits are read by their depth: 65535 is white")
    values = numpy.asarray(image, dtype=numpy.float64) / 257
    return Image.fromarray(values.round().astype(numpy.uint8)).convert("RGB")


class FileImages:
    """Images [3, size, size] uint8 decoded on demand: shorter side to `resize`, then the centre."""

    def __init__(self, paths: Sequence[str], size: int, resize: int) -> None:
        self.paths = paths
        self.size = size
        self.resize = resize
        self.kept: dict[int, Tensor] = {}

    def __getitem__(self, index: int, /) -> Tensor:
        if index in self.kept:
            return self.kept[index]
        image = self._decode(self.paths[index])
        if self.size <= KEPT_SIZE:
            self.kept[index] = image
        return image

    def _decode(self, path: str) -> Tensor:
        vision.declare_operators()
        from torchvision.transforms import functional

        image = functional.resize(read_image(path), self.resize)
        pixels: Tensor = functional.pil_to_tensor(functional.center_crop(image, [self.size, self.size]))
        return pixels
