"""CelebA through torchvision, prepared as in Li et al. 2022."""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from harness.base.memory import remembered
from harness.base.numbers import Fraction, Side
from harness.core import Dataset, Images, Shape, Split, UserError, component
from harness.datasets.files import FileImages, damaged, listed, locate
from harness.datasets.splits import Part, Pool, cut, part_of
from harness.identity.digests import combined
from harness.machine import vision

FOLDER = "celeba"
FILES = [
    f"{FOLDER}/{name}"
    for name in (
        "img_align_celeba",
        "list_attr_celeba.txt",
        "list_eval_partition.txt",
        "identity_CelebA.txt",
        "list_bbox_celeba.txt",
        "list_landmarks_align_celeba.txt",
    )
]


@component
class CelebA(Dataset):
    """202,599 aligned faces with 40 binary attributes (Liu et al. 2015); one attribute is the class.

    The shorter side is resized to `size`, then the centre cropped; the official test part is attacked
    (Li et al. 2022, section 4.1).
    """

    size: Side = 32
    """Pixels a side."""
    attribute: str = "Male"
    """The attribute that is the class: "Male" (number 20) makes it gender classification."""
    public_fraction: Fraction = 1.0
    """Of the official training part: all of it trains the paper's generator. Trained victims need < 1."""

    @property
    def shape(self) -> Shape:
        return (3, self.size, self.size)

    @property
    def classes(self) -> tuple[str, ...]:
        return (f"not {self.attribute}", self.attribute)

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of the official training part at full size, as published; resizing lowers std a little."""
        return (0.5068, 0.4262, 0.3835), (0.3103, 0.2903, 0.2896)

    def fingerprint(self, root: str | None, splits: Collection[Split]) -> str:
        """A digest of the images of the parts that the splits are from; the lists are held to their checksums."""
        try:
            base = locate(root, FILES)
        except UserError:  # `load` says what is missing
            return ""
        return combined(_digest(base, part) for part in sorted({part_of(split) for split in splits}))

    def load(self, split: Split, root: str | None) -> Images:
        base = locate(root, FILES, download="celeba32")
        pool = _pool(base, part_of(split), self.size, self.attribute)
        return cut(pool, split, self.public_fraction)

    def download(self, root: str) -> None:
        vision.declare_operators()
        from torchvision import datasets

        datasets.CelebA(root, download=True)


@remembered
def _digest(base: Path, part: Part) -> str:
    number = {"train": "0", "test": "2"}[part]
    lines = (base / FOLDER / "list_eval_partition.txt").read_text().splitlines()
    folder = base / FOLDER / "img_align_celeba"
    return listed(folder, ((str(folder / name),) for name, of in map(str.split, lines) if of == number))


@remembered
def _pool(base: Path, part: Part, size: int, attribute: str) -> Pool:
    vision.declare_operators()
    from torchvision import datasets

    try:
        source = datasets.CelebA(base, split=part)
    except RuntimeError as error:  # torchvision compares the md5 of every list
        raise damaged(base / FOLDER, "a checksum differs from the original's") from error
    if attribute not in source.attr_names:
        near = get_close_matches(attribute, source.attr_names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"CelebA has no attribute {attribute!r}{hint}")
    labels = source.attr[:, source.attr_names.index(attribute)].long()
    paths = [str(base / FOLDER / "img_align_celeba" / name) for name in source.filename]
    return Pool(FileImages(paths, size, size), labels, part)
