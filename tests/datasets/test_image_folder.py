import json

import pydantic
import pytest
import yaml
from PIL import Image

from harness.base.errors import note
from harness.config.composition import compose, restore
from harness.config.execution import Paths
from harness.core import UserError
from harness.datasets.folders import scan
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
    statistics = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}
    return ImageFolder(**{"folder": "zoo", "size": 8, "class_names": 3, **statistics, **options})


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
        folder: tree().fingerprint(str(tmp_path / folder), ["attack"])
        for folder in ("one", "same", "other", "none")
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
    with pytest.raises(UserError, match="zoo has no class folders"):
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


@pytest.fixture(autouse=True)
def _said_anew():
    note.cache_clear()


def found(root):
    """What `dataset=image_folder data.root=FOLDER` alone is."""
    return ImageFolder().resolved(str(root))


def test_an_image_that_was_edited_is_seen_by_the_next_composition(tmp_path):
    plant(tmp_path)
    asked = ("dataset=image_folder", f"data.root={tmp_path}")
    before, same = compose(*asked).id, compose(*asked).id
    Image.new("RGB", (12, 8), "white").save(tmp_path / "ant" / "09.png")
    edited = compose(*asked).id
    assert before == same != edited
    Image.new("RGB", (12, 8), "white").save(tmp_path / "ant" / "10.png")
    assert len(compose(*asked).dataset.load("attack", str(tmp_path))) >= 3
    assert compose(*asked).id != edited


def test_a_folder_of_class_folders_needs_no_settings(tmp_path, capsys):
    plant(tmp_path)
    dataset = found(tmp_path)
    assert (dataset.classes, dataset.shape) == (("ant", "bee", "cow"), (3, 32, 32))
    assert dataset.statistics == ((0.3333,) * 3, (0.4714,) * 3), (
        "each third of the pixels has one channel at 1"
    )
    (line,) = capsys.readouterr().err.splitlines()
    for part in ("3 classes (ant, bee, cow)", "30 images", "32x32", "0.3333", "0.4714"):
        assert part in line
    assert ImageFolder().load("attack", str(tmp_path)).labels.tolist() == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_names_that_yaml_takes_for_something_else_are_names(tmp_path):
    names = ("0", "1.5", "a=b", "no", "null", "yes")
    plant(tmp_path, names)
    experiment = compose("dataset=image_folder", f"data.root={tmp_path}")
    assert experiment.dataset.classes == names
    stored = yaml.safe_load(yaml.safe_dump(experiment.config))
    assert stored["dataset"]["class_names"] == [*names]
    assert restore(stored, str(tmp_path), Paths()).id == experiment.id


@pytest.mark.parametrize(("sizes", "side"), [([20, 20], 20), ([20, 24], 32), ([64, 64], 64), ([96, 96], 32)])
def test_the_size_is_the_images_own_where_they_share_one(tmp_path, sizes, side):
    for name, size in zip("ab", sizes, strict=True):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.effect_noise((size, size), 60).convert("RGB").save(tmp_path / name / f"{number}.png")
    assert found(tmp_path).shape == (3, side, side)


def test_settings_prevail_over_what_is_found(tmp_path):
    plant(tmp_path)
    dataset = ImageFolder(size=16, mean=(0.1, 0.2, 0.3), class_names=("cow", "bee", "ant")).resolved(
        str(tmp_path)
    )
    assert (dataset.shape, dataset.statistics[0]) == ((3, 16, 16), (0.1, 0.2, 0.3))
    assert dataset.classes == ("cow", "bee", "ant")


def test_an_official_division_is_measured_on_its_training_part(tmp_path):
    plant(tmp_path / "train")
    plant(tmp_path / "val", each=2)
    with pytest.raises(UserError, match=r"train, val are parts, not classes: say dataset\.train="):
        found(tmp_path)
    dataset = ImageFolder(train="train", test="val").resolved(str(tmp_path))
    assert dataset.classes == ("ant", "bee", "cow")
    assert len(dataset.load("attack", str(tmp_path))) == 6


def test_a_single_class_is_said(tmp_path, capsys):
    plant(tmp_path, classes=("ant",))
    assert found(tmp_path).classes == ("ant",)
    assert "single class (ant)" in capsys.readouterr().err


@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".git", "__MACOSX", "@eaDir"])
@pytest.mark.parametrize("inside", [False, True], ids=["beside", "in-a-class"])
def test_hidden_folders_are_no_classes_and_hold_no_images(tmp_path, capsys, name, inside):
    plant(tmp_path)
    hidden = tmp_path / ("ant" if inside else "") / name
    hidden.mkdir()
    (hidden / "00-checkpoint.png").write_bytes((tmp_path / "ant" / "00.png").read_bytes())
    (tmp_path / "ant" / "._00.png").write_bytes(b"what a Mac leaves behind")
    assert {name: len(paths) for name, paths in scan(tmp_path).items()} == {"ant": 10, "bee": 10, "cow": 10}
    assert (f"{name} passed over" in capsys.readouterr().err) is not inside


def test_images_are_listed_as_torchvision_lists_them(tmp_path):
    from torchvision import datasets

    plant(tmp_path / "zoo")
    plant(tmp_path / "else" / "there")
    plant(tmp_path / "zoo" / "ant" / "b" / "a", each=2)
    plant(tmp_path / "zoo" / "ant" / "B", each=1)
    (tmp_path / "zoo" / "dog").symlink_to(tmp_path / "else" / "there")
    expected = datasets.ImageFolder(tmp_path / "zoo")
    ours = [(path, label) for label, paths in enumerate(scan(tmp_path / "zoo").values()) for path in paths]
    assert ours == expected.samples


def test_a_link_that_leads_back_is_not_followed(tmp_path):
    plant(tmp_path)
    (tmp_path / "ant" / "again").symlink_to(tmp_path)
    assert len(scan(tmp_path)["ant"]) == 10


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a/1.png", "b/"], "class folder .*/b is empty: no images; remove it"),
        (["a/1.png", "b/1.heic"], r"class folder .*/b is empty: no images but files \.heic"),
        (["1.png", "2.PNG"], "holds 2 images but no class folders: sort them into"),
        (["notes.txt"], "has no class folders"),
    ],
)
def test_a_folder_of_another_layout_is_told_what_is_wanted(tmp_path, files, message):
    for name in files:
        path = tmp_path / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"")
    with pytest.raises(UserError, match=message) as error:
        scan(tmp_path)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mean": (0.5,)}, "three numbers"),
        ({"std": (0.5, 0.5, 0.5, 0.5)}, "three numbers"),
        ({"mean": (125.3, 123.0, 113.9)}, "divide those on .0, 255. by 255"),
        ({"mean": (-0.1, 0.5, 0.5)}, "numbers on"),
        ({"std": (0.2, 0.0, 0.2)}, "deviation of 0"),
        ({"class_names": [False, True]}, "in quotes"),
        ({"class_names": [0, 1]}, "in quotes"),
        ({"class_names": ["yes", 1e3]}, "in quotes"),
    ],
)
def test_statistics_and_names_that_mean_something_else_are_refused(wrong, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        tree(**wrong)


def test_a_channel_without_any_difference_is_said(tmp_path, capsys):
    plant(tmp_path, classes=("ant", "sun"))
    for path in (tmp_path / "sun").iterdir():
        Image.new("RGB", (8, 8), "black").save(path)
    assert found(tmp_path).statistics == ((0.5, 0.0, 0.0), (0.5, 1.0, 1.0))
    assert "same value in all pixels" in capsys.readouterr().err


def test_the_whole_of_harness_data_is_no_data_set(tmp_path, monkeypatch):
    plant(tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"dataset\.folder: say which folder"):
        ImageFolder().resolved(None)


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


VAL = {
    "as it is in the archive": "val/images",
    "sorted": "val/{wnid}",
    "sorted, with a folder of images": "val/{wnid}/images",
    "sorted among the images": "val/images/{wnid}",
}


@pytest.mark.parametrize("layout", VAL)
def test_tiny_imagenet_is_read_from_its_archive_and_sorted_by_class(tmp_path, layout):
    root = tmp_path / "tiny-imagenet-200"
    wnids = [f"n{number:08d}" for number in range(200)]
    for wnid in wnids:
        (root / "train" / wnid / "images").mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(root / "train" / wnid / "images" / f"{wnid}_0.JPEG")
    for number, wnid in enumerate(reversed(wnids)):
        folder = root / VAL[layout].format(wnid=wnid)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (number, 0, 0)).save(folder / f"val_{number}.JPEG", quality=100)
    lines = [f"val_{number}.JPEG\t{wnids[199 - number]}\t0\t0\t63\t63" for number in range(200)]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    dataset = TinyImageNet(public_fraction=0.5)
    attack = dataset.load("attack", str(tmp_path))
    assert attack.labels.tolist() == list(reversed(range(200)))
    assert attack[42][0].mean((1, 2))[0].item() == pytest.approx(42 / 255, abs=0.01)
    train = dataset.load("train", str(tmp_path))
    assert train.labels.tolist() == train.indices, "one image for each class, in the order of the WordNet ids"
    if layout != "as it is in the archive":
        (root / "val" / "val_annotations.txt").unlink()
        unlisted = TinyImageNet(public_fraction=0.3).load("attack", str(tmp_path))
        assert sorted(unlisted.labels.tolist()) == list(range(200))


def test_annotations_of_tiny_imagenet_that_do_not_fit_are_refused(tmp_path):
    root = tmp_path / "tiny-imagenet-200" / "val"
    wnids = [f"n{number:08d}" for number in range(200)]
    for number, wnid in enumerate(wnids):
        (root / wnid).mkdir(parents=True)
        (root / wnid / f"val_{number}.JPEG").touch()
    lines = [f"val_{number}.JPEG\t{wnid}" for number, wnid in enumerate(wnids)]
    for wrong, message in (
        (["broken"], "val_annotations"),
        ([*lines, "val_999.JPEG\tn00000001"], "1 images of val_annotations.txt are not there, val_999"),
        ([*lines[2:], "val_0.JPEG\tn00000001", "val_1.JPEG\tn00000000"], "has it in n0000000"),
    ):
        (root / "val_annotations.txt").write_text("\n".join(wrong) + "\n")
        with pytest.raises(UserError, match=message):
            TinyImageNet().samples(root)
