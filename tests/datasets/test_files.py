import hashlib

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
