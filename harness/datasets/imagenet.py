"""ImageNet-1k and Tiny ImageNet as they are unpacked from their archives."""

import json
from pathlib import Path

from harness.base.numbers import Side
from harness.core import UserError, component
from harness.datasets.files import damaged
from harness.datasets.image_folder import ImageFolder, Names, Sample
from harness.datasets.statistics import Deviation, Mean
from harness.machine import vision


@component
class ImageNet(ImageFolder):
    """1.3 million photographs in 1,000 classes (Deng et al. 2009); the validation part is attacked.

    Class folders are WordNet ids. A tree of fewer than 1,000 classes keeps ImageNet's own class numbers when
    it has `class_index.json`, the list of all 1,000 [WordNet id, name].
    """

    folder: str = "imagenet"
    train: str | None = "train"
    test: str | None = "val"
    size: Side = 224
    resize: Side | None = 256
    class_names: Names = 1000
    mean: Mean = (0.485, 0.456, 0.406)
    std: Deviation = (0.229, 0.224, 0.225)

    @property
    def classes(self) -> tuple[str, ...]:
        vision.declare_operators()
        from torchvision.models import ResNet18_Weights

        return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])

    def numbers(self, folder: Path, found: list[str]) -> dict[str, int]:
        index = folder / "class_index.json"
        known = [wnid for wnid, _ in json.loads(index.read_text())] if index.exists() else found
        unknown = set(found) - set(known)
        if len(known) != 1000 or unknown:
            problem = f"{len(known)} classes instead of 1000, {len(unknown)} unknown, and no class_index.json"
            raise UserError(
                f"{folder}: {problem}; use dataset=image_folder for a subset with its own numbers"
            )
        return {wnid: number for number, wnid in enumerate(known)}


@component
class TinyImageNet(ImageFolder):
    """110,000 photographs of 64x64 pixels in 200 classes; the validation part (10,000) is attacked.

    Read from the original archive: train/WNID/images/*.JPEG, and val/images with val/val_annotations.txt; or with
    the images of val sorted into folders val/WNID, as most scripts for training want them.
    """

    folder: str = "tiny-imagenet-200"
    train: str | None = "train"
    test: str | None = "val"
    size: Side = 64
    class_names: Names = 200
    mean: Mean = (0.4802, 0.4481, 0.3975)
    std: Deviation = (0.2770, 0.2691, 0.2821)

    def samples(self, folder: Path) -> list[Sample]:
        annotations = folder / "val_annotations.txt"
        if not annotations.exists():
            inner = folder / "images"
            return super().samples(inner if any(inner.glob("n*/")) else folder)
        rows = [line.split("\t") for line in annotations.read_text().splitlines()]
        if any(len(row) < 2 for row in rows):
            raise damaged(annotations, "a line is not: file, WordNet id, box")
        numbers = self.numbers(folder, sorted({row[1] for row in rows}))
        there = {path.name: path for path in folder.rglob("*.JPEG")}
        if missing := [row[0] for row in rows if row[0] not in there]:
            raise damaged(
                folder, f"{len(missing)} images of {annotations.name} are not there, {missing[0]} first"
            )
        for name, wnid, *_ in rows:
            if numbers.keys() & set(there[name].relative_to(folder).parts) - {wnid}:
                raise damaged(there[name], f"{annotations.name} has it in {wnid}")
        return [(str(there[name]), numbers[wnid]) for name, wnid, *_ in rows]

    def download(self, root: str) -> None:
        vision.declare_operators()
        from torchvision.datasets.utils import download_and_extract_archive

        url = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
        download_and_extract_archive(url, root, md5="90528d7ca1a48142e341f4ef8d21d0de")
