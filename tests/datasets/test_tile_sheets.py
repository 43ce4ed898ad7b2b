import csv

import numpy as np
import pytest
import torch
from PIL import Image

from harness.core import UserError
from harness.datasets.tile_sheets import TileSheets

TILE, ROWS, COLUMNS = 4, 2, 5
PER_SHEET = ROWS * COLUMNS
NAMES = ("cat", "dog")


def tile(number):
    """A tile that shows its number in red, and which way is right (green) and down (blue)."""
    pixels = np.zeros((TILE, TILE, 3), dtype=np.uint8)
    pixels[..., 0] = number
    pixels[..., 1] = 10 * np.arange(TILE)
    pixels[..., 2] = 20 * np.arange(TILE)[:, None]
    return pixels


def expected(number):
    return torch.from_numpy(tile(number)).permute(2, 0, 1) / 255


def write_sheet(path, first):
    sheet = np.zeros((ROWS * TILE, COLUMNS * TILE, 3), dtype=np.uint8)
    for k in range(PER_SHEET):
        y, x = k // COLUMNS * TILE, k % COLUMNS * TILE
        sheet[y : y + TILE, x : x + TILE] = tile(first + k)
    Image.fromarray(sheet).save(path, lossless=True)


def write_table(folder, header, rows):
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def sheets(**options):
    settings = {
        "folder": "pets",
        "tile": TILE,
        "label": "kind",
        "class_names": NAMES,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }
    return TileSheets(**{**settings, **options})


@pytest.fixture
def named(tmp_path):
    """Two sheets named by the table, whose rows jump to and fro between them."""
    folder = tmp_path / "pets"
    folder.mkdir()
    write_sheet(folder / "a.webp", 0)
    write_sheet(folder / "b.webp", 100)
    places = [("b.webp", 100, k) for k in reversed(range(PER_SHEET))] + [
        ("a.webp", 0, k) for k in range(PER_SHEET)
    ]
    write_table(folder, ["sheet", "tile", "kind"], [(s, k, NAMES[(first + k) % 2]) for s, first, k in places])
    return tmp_path, [first + k for _, first, k in places]


def test_rows_are_those_of_the_table_in_its_order(named):
    root, numbers = named
    for split in ("attack", "public", "train"):
        images = sheets(public_fraction=0.5).load(split, str(root))
        for position, row in enumerate(images.indices):
            image, label = images[position]
            assert torch.allclose(image, expected(numbers[row]))
            assert label == numbers[row] % 2


@pytest.mark.parametrize("size", [2, 8])
def test_tiles_are_made_smaller_or_larger(named, size):
    root, numbers = named
    whole, images = (
        sheets(size=each, public_fraction=0.5).load("public", str(root)) for each in (None, size)
    )
    assert sheets(size=size).shape == (3, size, size)
    assert (images.indices, images.labels.tolist()) == (whole.indices, whole.labels.tolist())
    for position, row in enumerate(images.indices):
        red, green, blue = images[position][0] * 255
        assert red.shape == (size, size)
        assert red.unique().tolist() == pytest.approx([numbers[row]]), "one colour stays what it is"
        assert (green.diff(dim=1) >= 0).all(), "the same way round"
        assert (blue.diff(dim=0) >= 0).all(), "the same way up"
        assert float(green.mean()) == pytest.approx(15, abs=0.5), "as bright as before"


def test_another_column_can_be_the_class(named):
    root, _ = named
    images = sheets(label="tile", class_names=tuple(f"tile {k}" for k in range(PER_SHEET))).load(
        "attack", str(root)
    )
    assert images.labels.tolist() == [0, 9]  # rows 9 and 19: the first tile of b, and the last of a


@pytest.fixture
def series(tmp_path):
    """A training and a test part, each spread over numbered sheets."""
    folder = tmp_path / "pets"
    folder.mkdir()
    for sheet in range(2):
        write_sheet(folder / f"train_{sheet:03d}.webp", sheet * PER_SHEET)
    write_sheet(folder / "test_000.webp", 200)
    rows = [("train", i, i % 2, "x") for i in range(15)] + [("test", i, 1, "y") for i in range(7)]
    write_table(folder, ["split", "index", "kind", "filename"], rows)
    return tmp_path


def test_an_official_division_is_kept(series):
    dataset = sheets(official=True, public_fraction=0.5)
    attack = dataset.load("attack", str(series))
    assert attack.indices == list(range(7))
    assert attack.pool.part == "test"
    assert all(
        torch.allclose(image, expected(200 + i)) and label == 1 for i, (image, label) in enumerate(attack)
    )
    public, train = dataset.load("public", str(series)), dataset.load("train", str(series))
    assert sorted(public.indices + train.indices) == list(range(15))
    for position, row in enumerate(train.indices):
        assert torch.allclose(train[position][0], expected(row))


def test_a_sheet_per_class_is_numbered_by_its_name(tmp_path):
    folder = tmp_path / "pets"
    folder.mkdir()
    write_sheet(folder / "00_cat.webp", 0)
    write_sheet(folder / "01_dog.webp", 100)
    images = sheets(label=None).load("attack", str(tmp_path))
    assert images.labels.tolist() == [0, 1]
    assert torch.allclose(images[1][0], expected(109))


def test_the_data_folder_may_come_from_the_environment(named, monkeypatch):
    root, _ = named
    monkeypatch.setenv("HARNESS_DATA", str(root))
    assert len(sheets().load("attack", None)) == 2


def test_missing_files_are_named_with_the_embedded_alternative(tmp_path):
    with pytest.raises(UserError, match=r"pets/labels\.csv.*dataset=digits32"):
        sheets().load("attack", str(tmp_path))
    with pytest.raises(UserError, match=r"pets; .*dataset=digits32"):
        sheets(label=None).load("attack", str(tmp_path))


def test_a_missing_sheet_is_named(named):
    root, _ = named
    (root / "pets" / "b.webp").unlink()
    with pytest.raises(UserError, match=r"b\.webp is missing"):
        sheets().load("attack", str(root))


def test_a_damaged_sheet_is_named(named):
    root, _ = named
    whole = (root / "pets" / "b.webp").read_bytes()
    (root / "pets" / "b.webp").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"b\.webp is missing or damaged"):
        sheets().load("attack", str(root))


def test_a_damaged_sheet_of_a_class_is_named(tmp_path):
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "00_cat.webp").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"00_cat\.webp is missing or damaged"):
        sheets(label=None).load("attack", str(tmp_path))


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (["sheet", "tile", "breed"], ["a.webp", 0, "cat"], r"no column kind; it has breed, sheet, tile"),
        (["sheet", "kind"], ["a.webp", "cat"], r"no column tile"),
        (["kind"], ["cat"], r"no column index, split"),
        (
            ["sheet", "tile", "kind"],
            ["a.webp", 0, "cow"],
            r"'cow' is not in dataset\.class_names \(cat, dog\)",
        ),
        (["sheet", "tile", "kind"], ["a.webp", 2 * PER_SHEET, "cat"], r"a\.webp .*10 tiles.* names tile 20"),
        (["sheet", "tile", "kind"], ["a.webp", -1, "cat"], r"a\.webp .*10 tiles.* names tile -1"),
        (["sheet", "tile", "kind"], ["a.webp", "one", "cat"], r"labels\.csv is missing or damaged .*'one'"),
        (["sheet", "tile", "kind"], ["a.webp"], r"labels\.csv is missing or damaged"),
    ],
)
def test_a_wrong_table_is_a_user_error(named, header, row, message):
    root, _ = named
    write_table(root / "pets", header, [row] * 10)
    with pytest.raises(UserError, match=message):
        sheets().load("attack", str(root))


def test_an_official_division_needs_its_column(named):
    root, _ = named
    with pytest.raises(UserError, match="no column split"):
        sheets(official=True).load("attack", str(root))


def test_sheets_that_do_not_divide_into_tiles_are_a_user_error(named):
    root, _ = named
    with pytest.raises(UserError, match=r"20x8 pixels can't be cut into tiles of 3x3"):
        sheets(tile=3).load("attack", str(root))
