"""Checks against the real files: HARNESS_DATA=FOLDER pytest -m data."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from harness.datasets.cifar import CIFAR10, CIFAR10_CLASSES, CIFAR100_CLASSES

pytestmark = pytest.mark.data
CONFIGURATIONS = Path(__file__).parents[2] / "conf" / "dataset"
SPLITS = ("attack", "public", "train")


@pytest.fixture
def root():
    if not os.environ.get("HARNESS_DATA"):
        pytest.skip("HARNESS_DATA is not set")
    return Path(os.environ["HARNESS_DATA"])


def configured(name, **changes):
    return instantiate(
        OmegaConf.merge(OmegaConf.load(CONFIGURATIONS / f"{name}.yaml"), changes), _convert_="all"
    )


def moments(images):
    x = images.pool.pixels[torch.tensor(images.indices)].double() / 255
    return x.mean((0, 2, 3)).tolist(), x.transpose(0, 1).flatten(1).std(1).tolist()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("mnist", (10_000, 30_000, 30_000)),
        ("tile_sheets", (2_160, 15_552, 3_888)),
        ("tile_sheets_cifar10", (10_000, 25_000, 25_000)),
        ("tile_sheets_cifar100", (1_000, 7_200, 1_800)),
    ],
)
def test_configured_sets_have_their_size_and_statistics(root, name, sizes):
    dataset = configured(name)
    found = [dataset.load(split, None) for split in SPLITS]
    assert tuple(map(len, found)) == pytest.approx(sizes, abs=2)
    assert all(set(images.labels.tolist()) == set(range(len(dataset.classes))) for images in found)
    mean, std = moments(found[1])
    assert mean == pytest.approx(dataset.statistics[0], abs=0.002)
    assert std == pytest.approx(dataset.statistics[1], abs=0.002)


def test_sheets_and_batches_are_the_same_cifar10(root, tmp_path):
    """The batch files are rebuilt from the sheets by a script with a reader of its own, checked by md5."""
    import subprocess
    import sys

    subprocess.run([sys.executable, root / "unpack_cifar10.py", tmp_path], check=True, capture_output=True)
    sheets = configured("tile_sheets_cifar10")
    for split in SPLITS:
        ours, torchvisions = sheets.load(split, None), CIFAR10().load(split, str(tmp_path))
        assert ours.indices == torchvisions.indices
        assert torch.equal(ours.labels, torchvisions.labels)
        assert torch.equal(ours.pool.pixels[:], torchvisions.pool.pixels[:])


def test_class_names_are_the_originals(root):
    with (root / "cifar-100-python" / "meta").open("rb") as file:
        assert tuple(pickle.load(file)["fine_label_names"]) == CIFAR100_CLASSES
    with (root / "cifar-10-webp" / "batches.meta").open("rb") as file:
        assert tuple(pickle.load(file)["label_names"]) == CIFAR10_CLASSES


def test_faces_are_labelled_by_their_file(root):
    images = configured("utkface").load("attack", None)
    assert len(images) == 100
    for path, label in zip(images.pool.pixels.paths, images.pool.labels.tolist(), strict=True):
        assert int(Path(path).name.split("_")[1]) == 1 - label, "UTKFace names say 0 for male, the classes 1"


@pytest.mark.parametrize(
    ("folder", "classes", "size"), [("tiny-imagenet-val-600", 200, 64), ("imagenet-sample-256", 100, 224)]
)
def test_other_trees_load_as_image_folders(root, folder, classes, size):
    dataset = configured("image_folder", folder=folder, class_names=classes, size=size)
    for split in SPLITS:
        image, _ = dataset.load(split, None)[0]
        assert image.shape == (3, size, size)


def test_a_part_of_imagenet_keeps_its_class_numbers(root):
    import csv

    images = configured("imagenet", folder="imagenet-sample-256", train=None, test=None).load("attack", None)
    with (root / "imagenet-sample-256" / "labels.csv").open() as file:
        numbers = {row["wnid"]: int(row["class_index"]) for row in csv.DictReader(file)}
    wnids = [Path(path).parent.name for path in images.pool.pixels.paths]
    assert images.pool.labels.tolist() == [numbers[wnid] for wnid in wnids]
