import hashlib
import os

import numpy
import pytest
from PIL import Image

from harness.core import UserError
from harness.datasets.files import FileImages, check_sha256, locate, read_image


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch):
    monkeypatch.delenv("HARNESS_DATA", raising=False)


def test_the_argument_comes_before_the_environment(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        (folder / "set").mkdir(parents=True)
    monkeypatch.setenv("HARNESS_DATA", str(there))
    assert locate(str(here), ["set"]) == here
    assert locate(None, ["set"]) == there


def test_the_home_folder_may_be_abbreviated(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "set").mkdir()
    assert locate("~", ["set"]) == tmp_path


def test_no_data_folder_at_all():
    with pytest.raises(
        UserError, match=r"data\.root=FOLDER or \$HARNESS_DATA .* a/x, a/y; .*dataset=digits32"
    ) as error:
        locate(None, ["a/x", "a/y"])
    assert "\n" not in str(error.value)


def test_missing_files_are_named_with_all_ways_out(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(
        UserError, match=r"not found under .*: y, z; .*make data DATASET=abc.*dataset=digits32"
    ) as error:
        locate(str(tmp_path), ["x", "y", "z"], download="abc")
    assert "\n" not in str(error.value)


def test_a_checksum_must_fit(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    check_sha256(file, hashlib.sha256(b"content").hexdigest())
    file.write_bytes(b"contemt")
    with pytest.raises(UserError, match=r"file is missing or damaged \(sha256"):
        check_sha256(file, hashlib.sha256(b"content").hexdigest())


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif"])
def test_a_truncated_image_is_a_user_error(tmp_path, kind):
    path = tmp_path / f"image.{kind}"
    Image.effect_noise((64, 64), 80).convert("RGB").save(path)
    assert read_image(path).mode == "RGB"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"missing or damaged"):
        read_image(path)


def test_images_keep_their_aspect_and_lose_their_margins(tmp_path):
    """A wide image whose left half is red and right half blue: the centre of it is both, the top left red."""
    image = Image.new("RGB", (80, 40), "red")
    image.paste("blue", (40, 0, 80, 40))
    image.save(tmp_path / "image.png")
    pixels = FileImages([str(tmp_path / "image.png")], size=16, resize=20)[0]
    assert pixels.shape == (3, 16, 16)
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]
    assert pixels[:, 0, -1].tolist() == [0, 0, 255]
    assert abs(int(pixels[0, 8].int().sum()) - 8 * 255) < 255, (
        "the border between the halves is in the middle"
    )


def test_grey_and_transparent_images_become_rgb(tmp_path):
    for mode in ("L", "RGBA", "P"):
        Image.new(mode, (8, 8)).save(tmp_path / f"{mode}.png")
        assert FileImages([str(tmp_path / f"{mode}.png")], size=8, resize=8)[0].shape == (3, 8, 8)


def test_small_images_are_decoded_once(tmp_path):
    path = tmp_path / "image.png"
    Image.new("RGB", (8, 8), "red").save(path)
    images = FileImages([str(path)], size=8, resize=8)
    first = images[0]
    path.unlink()
    assert images[0] is first


RAMP = numpy.linspace(0, 1, 32 * 32).reshape(32, 32)
DEEP = {
    "16.png": (RAMP * 65535).astype(numpy.uint16),
    "16.tif": (RAMP * 65535).astype(numpy.uint16),
    "16.pgm": (RAMP * 65535).astype(numpy.uint16),
    "32.tif": (RAMP * 65535).astype(numpy.int32),
    "float.tif": RAMP.astype(numpy.float32),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_images_are_scaled_by_their_depth_or_refused(tmp_path, name):
    Image.fromarray(DEEP[name]).save(tmp_path / name)
    if name.startswith("16"):
        pixels = numpy.asarray(read_image(tmp_path / name), dtype=float)
        assert numpy.abs(pixels - 255 * RAMP[..., None]).max() <= 1
    else:
        with pytest.raises(UserError, match=r"what is white in .* is not known; save"):
            read_image(tmp_path / name)


def test_a_sheet_of_16_bits_is_read_by_its_depth(tmp_path):
    from harness.datasets.tile_sheets import _cells

    Image.fromarray(DEEP["16.png"]).save(tmp_path / "sheet.png")
    cells = _cells(tmp_path / "sheet.png", 16)
    assert cells.shape == (4, 3, 16, 16)
    assert cells.double().mean() == pytest.approx(127.5, abs=0.5)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK"])
def test_eight_bits_are_read_as_pillow_reads_them(tmp_path, mode):
    image = Image.effect_noise((16, 16), 90).convert("RGB").convert(mode)
    image.save(tmp_path / "image.tif")
    assert read_image(tmp_path / "image.tif").tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_camera_says(tmp_path, orientation):
    image = Image.new("RGB", (4, 6), "black")
    image.paste("white", (0, 0, 2, 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "image.png", exif=exif)
    upright = read_image(tmp_path / "image.png")
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[orientation]
    place = (upright.width - 1 if "r" in corner else 0, upright.height - 1 if "b" in corner else 0)
    assert upright.size == ((4, 6) if orientation < 5 else (6, 4))
    assert upright.getpixel(place) == (255, 255, 255)


def test_a_pipe_and_a_bomb_are_no_images(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("pipe.png", "bomb.png"):
        with pytest.raises(UserError, match=f"{name} is missing or damaged"):
            read_image(tmp_path / name)
