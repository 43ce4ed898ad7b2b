import json

import pydantic
import pytest
from PIL import Image

from harness.core import UserError
from harness.datasets.image_folder import ImageFolder
from harness.datasets.imagenet import ImageNet, TinyImageNet

COLOURS = {"ant": "red", "bee": "lime", "cow": "blue"}


def plant(folder, classes=tuple(COLOURS), each=10):
    """A tree with `each` images of one colour per class."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", (12, 8), COLOURS.get(name, "grey")).save(folder / name / f"{number:02d}.png")
    return folder


def tree(**options):
    return ImageFolder(**{"folder": "zoo", "size": 8, "class_names": 3, **options})


def test_images_come_with_their_class(tmp_path):
    plant(tmp_path / "zoo")
    images = tree().load("attack", str(tmp_path))
    assert images.indices == [9, 19, 29]
    assert images.labels.tolist() == [0, 1, 2]
    for colour, (image, label) in enumerate(images):
        assert image.shape == (3, 8, 8)
        assert label == colour
        assert image[:, 4, 4].tolist() == [float(channel == colour) for channel in range(3)]


def test_other_files_have_another_fingerprint(tmp_path):
    for folder in ("one", "same", "other"):
        plant(tmp_path / folder / "zoo", each=4 if folder == "other" else 10)
    found = {
        folder: tree().fingerprint(str(tmp_path / folder)) for folder in ("one", "same", "other", "none")
    }
    assert found["one"] == found["same"] != found["other"]
    assert found["none"] == ""


def test_splits_are_disjoint_and_hold_every_class(tmp_path):
    plant(tmp_path / "zoo")
    found = [tree().load(split, str(tmp_path)) for split in ("attack", "public", "train")]
    assert sorted(row for images in found for row in images.indices) == list(range(30))
    assert all(set(images.labels.tolist()) == {0, 1, 2} for images in found)


def test_an_official_division_is_kept(tmp_path):
    plant(tmp_path / "zoo" / "train")
    plant(tmp_path / "zoo" / "val", each=2)
    dataset = tree(train="train", test="val", public_fraction=0.5)
    attack = dataset.load("attack", str(tmp_path))
    assert attack.indices == list(range(6))
    assert attack.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(dataset.load("public", str(tmp_path))) == len(dataset.load("train", str(tmp_path))) == 15


def test_images_are_resized_before_they_are_cropped(tmp_path):
    plant(tmp_path / "zoo")
    framed = Image.new("RGB", (20, 20), "blue")
    framed.paste("red", (5, 5, 15, 15))
    framed.save(tmp_path / "zoo" / "ant" / "09.png")
    whole, _ = tree(size=10).load("attack", str(tmp_path))[0]
    assert whole[:, 0, 0].tolist() == [0, 0, 1]
    centre, _ = tree(size=10, resize=20).load("attack", str(tmp_path))[0]
    assert centre[0].min() == 1


def test_names_set_the_order_of_the_classes(tmp_path):
    plant(tmp_path / "zoo")
    dataset = tree(class_names=("cow", "ant", "bee"))
    assert dataset.classes == ("cow", "ant", "bee")
    assert dataset.load("attack", str(tmp_path)).labels.tolist() == [1, 2, 0]


@pytest.mark.parametrize("names", [2, 4, ("ant", "bee"), ("ant", "bee", "dog")])
def test_other_classes_than_expected_are_a_user_error(tmp_path, names):
    plant(tmp_path / "zoo")
    with pytest.raises(UserError, match=r"zoo has 3 class folders \(ant, bee, cow\).*dataset\.class_names=3"):
        tree(class_names=names).load("attack", str(tmp_path))


def test_a_missing_or_empty_tree_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"not found under .*zoo.*dataset=digits32"):
        tree().load("attack", str(tmp_path))
    (tmp_path / "zoo").mkdir()
    with pytest.raises(UserError, match=r"zoo is missing or damaged \(Couldn't find any class folder"):
        tree().load("attack", str(tmp_path))


def test_a_damaged_image_is_named_when_it_is_read(tmp_path):
    plant(tmp_path / "zoo")
    (tmp_path / "zoo" / "ant" / "09.png").write_bytes(b"not a picture")
    images = tree().load("attack", str(tmp_path))
    with pytest.raises(UserError, match=r"09\.png is missing or damaged"):
        images[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"train": "train"}, "give both or neither"), ({"resize": 4}, "resize=4 is smaller than size=8")],
)
def test_settings_that_contradict_each_other_are_refused(wrong, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        tree(**wrong)


def test_part_of_imagenet_keeps_the_numbers_of_the_whole(tmp_path):
    folder = plant(tmp_path / "some", classes=("n00000007", "n00000500"))
    dataset = ImageNet(folder="some", train=None, test=None, size=8, resize=8)
    with pytest.raises(UserError, match=r"2 classes instead of 1000.*dataset=image_folder"):
        dataset.load("attack", str(tmp_path))
    (folder / "class_index.json").write_text(
        json.dumps([[f"n{number:08d}", "name"] for number in range(1000)])
    )
    assert dataset.load("attack", str(tmp_path)).labels.tolist() == [7, 500]
    assert len(dataset.classes) == 1000
    assert dataset.classes[7] == "cock"


def test_tiny_imagenet_is_read_from_its_archive(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    wnids = [f"n{number:08d}" for number in range(200)]
    for wnid in wnids:
        (root / "train" / wnid / "images").mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(root / "train" / wnid / "images" / f"{wnid}_0.JPEG")
    (root / "val" / "images").mkdir(parents=True)
    for number in range(200):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(
            root / "val" / "images" / f"val_{number}.JPEG", quality=100
        )
    lines = [f"val_{number}.JPEG\t{wnids[199 - number]}\t0\t0\t63\t63" for number in range(200)]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    dataset = TinyImageNet(public_fraction=0.5)
    attack = dataset.load("attack", str(tmp_path))
    assert attack.labels.tolist() == list(reversed(range(200)))
    assert attack[42][0].mean((1, 2))[0].item() == pytest.approx(42 / 255, abs=0.01)
    train = dataset.load("train", str(tmp_path))
    assert train.labels.tolist() == train.indices, "one image for each class, in the order of the WordNet ids"
    (root / "val" / "val_annotations.txt").write_text("broken\n")
    with pytest.raises(UserError, match="val_annotations"):
        TinyImageNet(public_fraction=0.4).load("attack", str(tmp_path))
