"""Small counterfeits of the original files: their own checksums are swapped in for the real ones."""

import hashlib
import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from harness.core import UserError
from harness.datasets import mnist
from harness.datasets.celeba import CelebA
from harness.datasets.cifar import CIFAR10, CIFAR100
from harness.datasets.mnist import MNIST
from harness.machine import vision

vision.declare_operators()
from torchvision import datasets  # noqa: E402

COUNT = {"train": 20, "test": 6}


def numbered(part):
    """Images [n, 28, 28] and labels [n] that tell their row and part."""
    rows = np.arange(COUNT[part], dtype=np.uint8)
    images = np.zeros((len(rows), 28, 28), dtype=np.uint8)
    images[:, 3, 5] = rows + (100 if part == "test" else 0)
    return images, rows % 10


@pytest.fixture
def mnist_root(tmp_path, monkeypatch):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    sums = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = numbered(part)
        contents = {
            f"{prefix}-images-idx3-ubyte": struct.pack(">4I", 2051, *images.shape) + images.tobytes(),
            f"{prefix}-labels-idx1-ubyte": struct.pack(">2I", 2049, len(labels)) + labels.tobytes(),
        }
        for name, content in contents.items():
            (raw / name).write_bytes(content)
        sums[part] = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(mnist, "FILES", sums)
    return tmp_path


@pytest.mark.parametrize(("size", "border"), [(28, 0), (32, 2)])
def test_mnist_rows_are_the_originals(mnist_root, size, border):
    dataset = MNIST(size=size)
    for split in ("attack", "public", "train"):
        images = dataset.load(split, str(mnist_root))
        originals, labels = numbered("test" if split == "attack" else "train")
        for position, row in enumerate(images.indices):
            image, label = images[position]
            assert image.shape == dataset.shape == (1, size, size)
            assert image[0, border + 3, border + 5] * 255 == pytest.approx(originals[row, 3, 5])
            assert label == labels[row]
    assert dataset.load("attack", str(mnist_root)).indices == list(range(COUNT["test"]))


def test_a_damaged_mnist_file_is_a_user_error(mnist_root):
    file = mnist_root / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte is missing or damaged"):
        MNIST().load("attack", str(mnist_root))


def cifar(folder, monkeypatch, kind, key):
    """Counterfeit batches whose red pixel in row 1, column 2 is the number of the image."""
    folder.mkdir()
    names = [name for name, _ in kind.train_list], [name for name, _ in kind.test_list]
    sums = {}
    for first, part in zip((0, 100), names, strict=True):
        for number, name in enumerate(part):
            data = np.zeros((4, 3072), dtype=np.uint8)
            data[:, 1 * 32 + 2] = first + 4 * number + np.arange(4)
            content = pickle.dumps({"data": data, key: [(4 * number + row) % 10 for row in range(4)]})
            (folder / name).write_bytes(content)
            sums[name] = hashlib.md5(content).hexdigest()
    meta = pickle.dumps({kind.meta["key"]: ["x"]})
    (folder / kind.meta["filename"]).write_bytes(meta)
    monkeypatch.setattr(kind, "train_list", [[name, sums[name]] for name in names[0]])
    monkeypatch.setattr(kind, "test_list", [[name, sums[name]] for name in names[1]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": hashlib.md5(meta).hexdigest()})


@pytest.fixture
def cifar_root(tmp_path, monkeypatch):
    cifar(tmp_path / "cifar-10-batches-py", monkeypatch, datasets.CIFAR10, "labels")
    cifar(tmp_path / "cifar-100-python", monkeypatch, datasets.CIFAR100, "fine_labels")
    return tmp_path


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])
def test_cifar_rows_are_the_originals(cifar_root, kind):
    attack = kind().load("attack", str(cifar_root))
    assert [round(float(image[0, 1, 2]) * 255) for image, _ in attack] == [100, 101, 102, 103]
    assert attack.labels.tolist() == attack.indices == [0, 1, 2, 3]
    public, train = (kind().load(split, str(cifar_root)) for split in ("public", "train"))
    assert sorted(public.indices + train.indices) == list(range(len(public.pool)))
    assert [round(float(image[0, 1, 2]) * 255) for image, _ in train] == train.indices
    assert all(image[1:].max() == 0 for image, _ in train), "the red channel is the first"


@pytest.mark.parametrize(
    ("kind", "name"), [(CIFAR10, "cifar-10-batches-py/test_batch"), (CIFAR100, "cifar-100-python/test")]
)
def test_a_damaged_cifar_file_is_a_user_error(cifar_root, kind, name):
    (cifar_root / name).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{name.split('/')[0]} is missing or damaged \(a checksum"):
        kind().load("attack", str(cifar_root))


PARTS = [0] * 10 + [1] * 3 + [2] * 4
"""CelebA's own numbers: training, validation, test."""


@pytest.fixture
def celeba_root(tmp_path, monkeypatch):
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(len(PARTS))]
    for number, name in enumerate(names):
        image = Image.new("RGB", (178, 218), (10 * number, 0, 0))
        image.paste("lime", (0, 0, 178, 12))
        image.paste("blue", (0, 12, 20, 218))
        image.save(folder / "img_align_celeba" / name, quality=95)
    males = [1 if number % 3 == 0 else -1 for number in range(len(PARTS))]
    tables = {
        "list_attr_celeba.txt": [
            "17",
            "Bald Male Young",
            *(f"{n} -1 {m:2d} 1" for n, m in zip(names, males, strict=True)),
        ],
        "list_eval_partition.txt": [f"{n} {p}" for n, p in zip(names, PARTS, strict=True)],
        "identity_CelebA.txt": [f"{n} 1" for n in names],
        "list_bbox_celeba.txt": ["17", "image_id x y w h", *(f"{n} 1 2 3 4" for n in names)],
        "list_landmarks_align_celeba.txt": ["17", "a b", *(f"{n} 1 2" for n in names)],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    sums = [("", hashlib.md5((folder / name).read_bytes()).hexdigest(), name) for name in tables]
    monkeypatch.setattr(datasets.CelebA, "file_list", sums)
    return tmp_path


def test_celeba_attacks_the_official_test_part(celeba_root):
    dataset = CelebA(public_fraction=0.5)
    assert dataset.classes == ("not Male", "Male")
    attack = dataset.load("attack", str(celeba_root))
    assert attack.labels.tolist() == [int(number % 3 == 0) for number in range(13, 17)]
    for position, number in enumerate(range(13, 17)):
        image, _ = attack[position]
        assert image.shape == (3, 32, 32)
        assert image[:, 16, 16].tolist() == pytest.approx([number * 10 / 255, 0, 0], abs=0.02)
    public, train = (dataset.load(split, str(celeba_root)) for split in ("public", "train"))
    assert sorted(public.indices + train.indices) == list(range(10))


def test_celeba_images_are_resized_before_they_are_cropped(celeba_root):
    """178x218 become 32x39: the crop keeps the blue band at the left, and loses the green one at the top."""
    image, _ = CelebA().load("attack", str(celeba_root))[0]
    assert image[1].max() < 0.2
    assert image[2, :, :3].min() > 0.8
    assert image[2, :, 5:].max() < 0.2


def test_another_attribute_can_be_the_class(celeba_root):
    assert CelebA(attribute="Young").load("attack", str(celeba_root)).labels.tolist() == [1] * 4
    with pytest.raises(UserError, match=r"no attribute 'Yuong'; did you mean Young\?"):
        CelebA(attribute="Yuong").load("attack", str(celeba_root))


def test_a_damaged_celeba_list_is_a_user_error(celeba_root):
    (celeba_root / "celeba" / "list_attr_celeba.txt").write_text("")
    with pytest.raises(UserError, match=r"celeba is missing or damaged \(a checksum"):
        CelebA(size=16).load("attack", str(celeba_root))


def test_the_papers_generator_sees_all_training_faces(celeba_root):
    assert len(CelebA().load("public", str(celeba_root))) == 10
    with pytest.raises(UserError, match="train split has no images"):
        CelebA().load("train", str(celeba_root))


@pytest.mark.parametrize(
    ("dataset", "file", "name"),
    [
        (MNIST(), "MNIST/raw/t10k-images-idx3-ubyte", "mnist"),
        (CIFAR10(), "cifar-10-batches-py/test_batch", "cifar10"),
        (CIFAR100(), "cifar-100-python/test", "cifar100"),
        (CelebA(), "celeba/img_align_celeba", "celeba32"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_missing_files_are_named_and_never_downloaded(dataset, file, name, tmp_path):
    with pytest.raises(UserError, match=rf"{file}.*make data DATASET={name}.*dataset=digits32"):
        dataset.load("attack", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_statistics_follow_the_padding():
    """Padding 28x28 to 32x32 with zeros scales the first two moments by the ratio of the areas."""
    (mean,), (std,) = MNIST(size=28).statistics
    ratio = (28 / 32) ** 2
    padded = torch.tensor([mean, std**2 + mean**2]) * ratio
    expected = (float(padded[0]), float((padded[1] - padded[0] ** 2).sqrt()))
    (mean,), (std,) = MNIST(size=32).statistics
    assert (mean, std) == pytest.approx(expected, abs=1e-4)
