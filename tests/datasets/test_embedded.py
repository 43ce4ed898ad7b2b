import subprocess
import sys

import pydantic
import pytest
import torch

from harness.datasets.digits import Digits32
from harness.datasets.lfw import LFWFaces
from harness.datasets.photos import CLASSES, Photos32, _photographs, _pool, _tiles

SPLITS = ("attack", "public", "train")
DATASETS = [Digits32(), Photos32(), LFWFaces(size=25), LFWFaces()]


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch):
    monkeypatch.delenv("HARNESS_DATA", raising=False)


def splits(dataset):
    return {split: dataset.load(split, None) for split in SPLITS}


@pytest.mark.parametrize("dataset", DATASETS, ids=repr)
def test_images_have_the_promised_shape_range_and_classes(dataset):
    assert dataset.embedded
    for images in splits(dataset).values():
        x, y = zip(*images, strict=True)
        x = torch.stack(x)
        assert x.shape == (len(images), *dataset.shape)
        assert x.dtype == torch.float32
        assert 0 <= x.min() < x.max() <= 1
        assert images.labels.tolist() == list(y)
        assert set(y) == set(range(len(dataset.classes))), "every class is in every split"


@pytest.mark.parametrize("dataset", DATASETS, ids=repr)
def test_splits_hold_every_row_once(dataset):
    found = splits(dataset)
    rows = [row for images in found.values() for row in images.indices]
    assert sorted(rows) == list(range(len(found["attack"].pool)))


@pytest.mark.parametrize("dataset", DATASETS, ids=repr)
def test_loading_again_is_free_and_the_same(dataset):
    first, second = dataset.load("public", None), dataset.load("public", "elsewhere")
    assert second.pool is first.pool
    assert second.indices == first.indices


@pytest.mark.parametrize("dataset", [Digits32(), Photos32(), LFWFaces(size=25)], ids=repr)
def test_statistics_are_those_of_all_images(dataset):
    x = torch.cat(
        [torch.stack([image for image, _ in images]) for images in splits(dataset).values()]
    ).double()
    mean, std = dataset.statistics
    assert x.mean((0, 2, 3)).tolist() == pytest.approx(mean, abs=6e-5)
    assert x.transpose(0, 1).flatten(1).std(1).tolist() == pytest.approx(std, abs=6e-5)


def test_digits_have_the_size_that_is_asked_for():
    small = Digits32(size=8)
    image, _ = small.load("attack", None)[0]
    assert small.shape == image.shape == (1, 8, 8)
    assert (image * 16 == (image * 16).round()).all(), "at 8 pixels the originals"


def test_digits_are_the_originals_upsampled():
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = Digits32().load("attack", None)
    source = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    upsampled = torch.nn.functional.interpolate(source, size=32, mode="bilinear", align_corners=False)
    assert torch.equal(images.pool.pixels[:], upsampled)
    coarse = (
        torch.stack([image for image, _ in images]).unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5)).squeeze(1)
    )
    originals = torch.from_numpy(digits.images)[images.indices].float() / 16
    middle = (slice(None), slice(1, -1), slice(1, -1))
    correlation = torch.corrcoef(torch.stack([coarse[middle].flatten(), originals[middle].flatten()]))[0, 1]
    assert correlation > 0.97
    assert images.labels.tolist() == digits.target[images.indices].tolist()


def test_photographs_are_those_that_their_packages_load():
    import skimage.data
    from sklearn.datasets import load_sample_image

    left, _, _ = skimage.data.stereo_motorcycle()
    loaded = {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")} | {"motorcycle": left}
    for name, read in zip(CLASSES, _photographs(), strict=True):
        same = loaded[name] if name in loaded else getattr(skimage.data, name)()
        assert torch.equal(read, torch.from_numpy(same.copy())), name


def test_faces_are_labelled_faces():
    images = LFWFaces(size=25).load("attack", None)
    assert [row < 100 for row in images.indices] == [label == 1 for label in images.labels]


def test_faces_are_never_downsampled():
    with pytest.raises(pydantic.ValidationError, match="greater than or equal to 25"):
        LFWFaces(size=24)


def test_photo_tiles_are_cut_row_by_row_in_colour():
    tall = torch.arange(70 * 100 * 3).remainder(251).to(torch.uint8).view(70, 100, 3)
    tiles = _tiles(tall)
    assert tiles.shape == (2, 3, 3, 32, 32)
    assert torch.equal(tiles[1, 2], tall[32:64, 64:96].permute(2, 0, 1))


def test_photo_splits_divide_whole_tile_rows():
    pool, rows = _pool()
    owner = {}
    for split, images in splits(Photos32()).items():
        for row in images.indices:
            place = (int(pool.labels[row]), int(rows[row]))
            assert owner.setdefault(place, split) == split


def test_no_photo_tile_is_flat():
    pool, _ = _pool()
    deviation = (pool.pixels[:] / 255).flatten(2).std(dim=2, correction=0).amax(dim=1)
    assert deviation.min() >= 0.02


def test_a_short_run_is_light():
    """It lasts as long as its imports: none of the heavy libraries may be among them until there is use for it."""
    modules = [
        "celeba",
        "cifar",
        "digits",
        "files",
        "image_folder",
        "imagenet",
        "lfw",
        "mnist",
        "photos",
        "splits",
        "tile_sheets",
    ]
    script = (
        f"import sys, {', '.join(f'harness.datasets.{name}' for name in modules)}\n"
        "from harness.core import Batch\n"
        "from harness.metrics.matching import match\n"
        "from harness.metrics.ssim import SSIM\n"
        "from harness.base.statistics import statistic\n"
        "x, _ = harness.datasets.digits.Digits32().load('attack', None)[0]\n"
        "batch = Batch(x[None], None)\n"
        "match(batch.x, batch.x), SSIM()(batch, batch, None, {}), statistic([1.0])\n"
        "heavy = ('sklearn', 'skimage', 'torchmetrics', 'torchvision', 'PIL', 'scipy', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
