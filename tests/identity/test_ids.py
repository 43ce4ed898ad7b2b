"""A run's id: the same wherever the code, the files and the defaults of the day are; another where the science is."""

import ast
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest

import harness
from harness.attacks.dlg import DLG
from harness.base import aliases
from harness.base.component import Component, component, setting
from harness.config.composition import compose, restore
from harness.config.execution import Paths
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.identity.identity import canonical, stable_name, stored
from tests.identity import golden


def test_twelve_ids_stay(tmp_path: Path) -> None:
    found = {name: experiment.id for name, experiment in golden.experiments(tmp_path).items()}
    assert found == json.loads(golden.IDS.read_text()), golden.__doc__
    assert len(found) == 12


def test_a_default_moves_only_with_a_word_on_what_its_absence_means() -> None:
    found, before = golden.meanings(), json.loads(golden.ABSENCES.read_text())
    for name in before.keys() & found.keys():
        for setting_name in before[name].keys() & found[name].keys():
            place = f"{name}.{setting_name}: a default moves as setting(NEW, absence=OLD)"
            assert found[name][setting_name] == before[name][setting_name], place


def test_no_two_components_have_one_name() -> None:
    names = [stable_name(cls) for cls in golden.classes()]
    assert len(names) == len(set(names)) > 80


def test_a_name_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compose("attack=dlg").identity
    monkeypatch.setattr(DLG, "__module__", "harness.elsewhere.deeper")
    assert compose("attack=dlg").identity == before
    assert stable_name(DLG) == "Attack/DLG"


def test_a_stored_configuration_finds_what_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads(json.dumps(compose("attack=dlg").config))
    config["attack"]["_target_"] = "harness.once.was.Here"
    monkeypatch.setitem(aliases.ALIASES, "harness.once.was.Here", "harness.attacks.dlg.DLG")
    again = restore(config, None, Paths())
    assert type(again.attack) is DLG
    assert again.id == compose("attack=dlg").id
    assert aliases.original("harness.attacks.dlg.DLG") == "harness.once.was.Here"


@component
class Today(Component):
    """As it was."""

    steps: int = 50
    width: int = 3


@component
class Tomorrow(Component):
    """The same, after its default has moved, one setting was renamed and another has come."""

    once = "Today"
    steps: int = setting(1, absence=50)
    breadth: int = setting(3, once="width")
    late: str = setting("new way", absence="as ever")


def test_a_default_moves_and_ids_and_meaning_stay() -> None:
    moved = [Tomorrow(steps=50, late="as ever"), Tomorrow(late="as ever"), Tomorrow()]
    ids = [canonical(each)["settings"] for each in moved]
    assert ids == [{}, {"steps": 1}, {"steps": 1, "late": "new way"}]
    assert (
        canonical(Tomorrow(breadth=4))["settings"]["width"] == canonical(Today(width=4))["settings"]["width"]
    )
    assert stable_name(Tomorrow) == stable_name(Today)


def test_what_a_stored_configuration_does_not_name_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.identity.identity.find", lambda name, target: Tomorrow)
    assert stored("attack", {"_target_": "any", "width": 7}) == {
        "_target_": "any",
        "steps": 50,
        "breadth": 7,
        "late": "as ever",
    }


def test_a_raised_version_counts_even_where_the_setting_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.starts.random import Random

    before = compose().id
    monkeypatch.setattr(Random, "version", 2)
    assert compose().id != before


def test_how_many_and_how_scored_are_not_in_it() -> None:
    same = ("trials=9", "metric.success_threshold=0.5", "~metric.metrics.ssim", "scale=smoke attack.steps=3")
    base = compose("attack.steps=3").id
    assert {compose("attack.steps=3", *each.split()).id for each in same} == {base}
    assert "trials" in compose("trials=9").config


def test_an_id_is_derived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = compose()
    first = experiment.id
    monkeypatch.setattr(Experiment, "identity", property(lambda self: 1 / 0))
    assert experiment.id == first
    assert dataclasses.replace(experiment, seed=0) == experiment


def test_paths_are_absolute_and_enter_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden.plant(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    chosen = (
        "dataset=image_folder",
        "model=resnet18_imagenet",
        "model.weights=weights.bin",
        "data.root=images",
    )
    found = []
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        found.append(compose(*chosen))
        assert found[-1].data.root == str(tmp_path / name / "images")
        assert found[-1].paths.runs == tmp_path / name / "runs"
    assert found[0].id == found[1].id
    assert str(tmp_path) not in json.dumps(found[0].identity)


def test_a_path_at_home_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compose("data.root='~/sets'").data.root == str(tmp_path / "sets")


FOREIGN = """
from harness.core import component
from harness.defenses.none import NoDefense

@component
class Own(NoDefense):
    "Theirs."
"""


def own(folder: Path, name: str, text: str) -> type[Component]:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "__init__.py").write_text("")
    (folder / name / "defense.py").write_text(FOREIGN)
    (folder / name / "loss.py").write_text(text)
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]
    found: type[Component] = __import__(f"{name}.defense", fromlist=["Own"]).Own
    return found


def test_the_code_of_others_counts_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.identity.digests import _code

    found = []
    for folder, text in (("one", "x = 1"), ("copy", "x = 1"), ("edited", "x = 2")):
        monkeypatch.syspath_prepend(str(tmp_path / folder))
        _code.cache_clear()
        found.append(canonical(own(tmp_path / folder, "their_package", text)()))
    assert found[0] == found[1]
    assert found[0]["component"] == "Defense/their_package.Own"
    assert found[0]["code"] != found[2]["code"]
    assert "code" not in canonical(compose("attack=dlg").attack)


def test_code_in_no_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: type[Component] = component(
        type("Lost", (Component,), {"__module__": "nowhere_at_all", "__annotations__": {}})
    )
    with pytest.raises(UserError, match="put it in a module"):
        canonical(lost())


def test_components_from_elsewhere_may_read_any_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    foreign = own(tmp_path, "their_other", "")()
    base = compose("attack=dlg")
    assert base.splits == ["attack"]
    assert dataclasses.replace(base, defense=foreign).splits == ["attack", "public", "train"]


@pytest.mark.parametrize(
    ("settings", "splits"),
    [
        ("attack=ggl prior=wgan_gp_small", ["attack", "public"]),
        ("attack=dlg start=mean_image", ["attack", "public"]),
        ("model=imprint_mlp attack=rtf", ["attack", "public"]),
        ("model=imprint_mlp model.edges=laplace attack=rtf", ["attack"]),
        ("knowledge.public=true", ["attack", "public"]),
        ("model=mlp training.steps=3", ["attack", "train"]),
        ("model=mlp training.steps=3 training.split=attack", ["attack"]),
        ("fl=fedavg fl.clients=3 attack=dlg", ["attack", "train"]),
        ("attack=ggl prior=untrained", ["attack"]),
    ],
)
def test_what_a_run_reads_is_known(settings: str, splits: list[str]) -> None:
    assert compose(*settings.split()).splits == splits


def test_no_module_reads_a_split_that_is_not_counted() -> None:
    """Who reads a further split of a data set declares it by `reads`: this list is all there is."""
    found = set()
    package = Path(harness.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "load"
            ):
                names = [each.value for each in node.args if isinstance(each, ast.Constant)]
                found |= {(path.name, name) for name in names if name in ("public", "train")}
    assert found == {
        ("targets.py", "public"),  # knowledge.public, and starts that need public images
        ("rounds.py", "train"),
        ("model.py", "public"),  # networks that need public images
        ("wgan_gp.py", "public"),
        ("reals.py", "train"),  # a report's of stolen pictures, made when the runs are done
        ("reals.py", "public"),
        (
            "generators.py",
            "public",
        ),  # real images that a table's generators are beside, once its runs are done
        ("others.py", "public"),  # other images beside those of an audit, which is no run
    }


@pytest.mark.parametrize(
    "chosen",
    [
        ("model=resnet18_imagenet", "model.weights="),
        ("attack=ggl", "dataset=tiny_imagenet", "prior=biggan", "prior.checkpoint="),
    ],
    ids=["model.weights", "prior.checkpoint"],
)
def test_weights_are_their_content_and_not_their_name(chosen: tuple[str, ...], tmp_path: Path) -> None:
    def identity(name: str) -> str:
        return compose(*chosen[:-1], f"{chosen[-1]}{tmp_path / name}").id

    (tmp_path / "best.pt").write_bytes(b"trained")
    first = identity("best.pt")
    shutil.copyfile(tmp_path / "best.pt", tmp_path / "other.pt")
    assert identity("other.pt") == first, "the same bytes under another name"
    (tmp_path / "best.pt").write_bytes(b"further")
    assert identity("best.pt") != first, "other bytes under the same name"
