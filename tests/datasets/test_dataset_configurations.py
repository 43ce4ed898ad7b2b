from pathlib import Path

import pytest

from harness.base.components import build
from harness.config.composition import part
from harness.datasets.cifar import CIFAR10, CIFAR10_CLASSES, CIFAR100_CLASSES

FOLDER = Path(__file__).parents[2] / "conf" / "dataset"
FOUND = {"image_folder"}
"""Those that are described by the user's files."""
NAMES = sorted({file.stem for file in FOLDER.glob("*.yaml")} - FOUND)


def configured(name):
    return build("dataset", part("dataset", name))


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_describes_its_images(name):
    dataset = configured(name)
    mean, std = dataset.statistics
    assert len(mean) == len(std) == dataset.shape[0]
    assert all(0 < value < 1 for value in mean + std)
    assert len(set(dataset.classes)) == len(dataset.classes) >= 2


def test_the_sheets_have_the_classes_of_the_originals():
    assert configured("tile_sheets_cifar10").classes == CIFAR10_CLASSES
    assert configured("tile_sheets_cifar10").statistics == CIFAR10().statistics
    assert configured("tile_sheets_cifar100").classes == CIFAR100_CLASSES
