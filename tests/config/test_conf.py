"""Every YAML in conf/ composes and builds, and every attack runs end to end on real images."""

import dataclasses
import json
import math
import operator
import re
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf
from PIL import Image
from pydantic.fields import FieldInfo

from harness.base.schema import CONF, prepare_hydra
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import Component, UserError
from harness.priors.wgan_gp import WGANGP
from harness.runs.run import run

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
FILES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
NEEDS = {
    "attack=none": ["fl=fedavg", "fl.clients=3"],
    "dmgan": [
        "fl=fedavg",
        "fl.clients=3",
        "model=mlp",
        "model.extra_outputs=1",
        "attack.adversary.pictures=8",
    ],
    "dmgan_small": [
        "fl=fedavg",
        "fl.clients=3",
        "model=mlp",
        "model.extra_outputs=1",
        "attack.adversary.pictures=8",
    ],
    "rtf": ["model=imprint_mlp"],
    "quotients": ["model=mlp"],
    "server=trap_weights": ["model.normalize=none"],
    "server=class_fishing": ["fl.dummies=1"],
    "server=feature_fishing": ["fl.dummies=1"],
    "cpa": ["model=mlp"],
    "cpa_small": ["model=mlp"],
    "cpa_fi": ["model=strided_cnn"],
    "cpa_fi_small": ["model=strided_cnn"],
    "lti": ["knowledge.public=true", "model.fresh=false", "attack.hidden=8", "attack.updates=20"],
    "lti_small": ["knowledge.public=true", "model.fresh=false", "attack.hidden=8", "attack.updates=20"],
    "public_mean": ["knowledge.public=true"],
    "public_class_mean": ["knowledge.public=true"],
    "fedavg": ["knowledge.labels=true"],
    "image_folder": ["data.root=zoo"],
}
"""What a choice can't run without; attacks have a prior at hand."""
CITATION = re.compile(r"\b(19|20)\d\d\b")
OTHERWISE: dict[tuple[str, str], set[str]] = {
    ("attack", "ci_net_small"): {
        "channels",
        "convolutions",
        "interpolation",
        "output",
        "slope",
        "spectral",
        "total_variation",
    },
    ("attack", "dlg"): {"tolerance"},
    ("attack", "ggl"): {"per_round"},
    ("attack", "ggl_adam"): {"per_tensor", "start"},
    ("attack", "ggl_bo"): {"kl"},
    ("attack", "ggl_cma"): {"per_round"},
    ("attack", "gi"): {"restarts"},
    ("attack", "gias"): {"restarts"},
    ("attack", "idlg"): {"tolerance"},
    ("attack", "ig_multi"): {"full_batch", "soft_labels", "total_variation"},
    ("attack", "ig_updates"): {"total_variation"},
    ("attack", "lti"): {"hidden", "steps", "updates"},
    ("attack", "lti_small"): {"batch_size", "compression", "hidden", "lr", "steps", "updates"},
    ("attack", "public_class_mean"): {"by_class"},
    ("dataset", "image_folder"): {"class_names", "mean", "public_fraction", "size", "std"},
    ("dataset", "tile_sheets"): {"label"},
    ("dataset", "tile_sheets_cifar10"): {"label", "official", "public_fraction"},
    ("dataset", "utkface"): {"class_names", "folder", "mean", "public_fraction", "size", "std"},
    ("fl", "fedavg"): {"batch_size", "examples_per_client"},
    ("model", "lenet"): {"fresh"},
    ("model", "lenet5"): {"fresh"},
    ("model", "resnet34"): {"blocks"},
    ("model", "resnet50"): {"blocks", "bottleneck"},
    ("model", "resnet101"): {"blocks", "bottleneck"},
    ("prior", "untrained"): {"base", "kernel", "latent"},
    **{
        ("prior", f"wgan_gp_{of}"): {
            "base",
            "batch_size",
            "critic",
            "critic_steps",
            "ema",
            "kernel",
            "latent",
            "lr",
            "steps",
        }
        for of in ("faces", "small")
    },
    **{("scale", name): {"prior_steps", "steps", "trials"} for name in ("smoke", "small", "medium")},
    ("start", "previous"): {"after", "alpha"},
}
"""What a file sets otherwise than its class; of models `normalize`, of metrics their list besides."""
INNER = {
    "labels": ("attack.labels", ["knowledge.public=true"]),
    "optimizer": ("attack.optimizer", []),
    "search": ("attack", []),
    "network": ("model", []),
    "imprint": ("model", ["model=imprint_mlp"]),
    "partition": ("fl.partition", ["fl=fedavg", "fl.clients=2"]),
}
"""Groups that are part of another: where, and what that needs."""


NONE = dataclasses.MISSING


def default(setting: dataclasses.Field[object]) -> object:
    """What a class says of a setting, or NONE."""
    plain = setting.default_factory() if setting.default_factory is not NONE else setting.default
    return plain.default if isinstance(plain, FieldInfo) else plain


def chosen(group: str, name: str) -> tuple[list[str], str]:
    """Overrides that choose a file of a group, and where in the configuration it then is."""
    if group in INNER:
        place, others = INNER[group]
        return [*others, f"{group}@{place}={name}"], place
    return [f"{group}={name}", *needs(group, name)], group


def needs(group: str, name: str) -> list[str]:
    """What else must be said with a choice."""
    own = NEEDS.get(f"{group}={name}", NEEDS.get(name))
    return (["prior=untrained"] if group == "attack" else []) if own is None else own


def plant(folder: Path) -> Path:
    """A folder with images of four classes in `zoo`."""
    for number in range(4):
        (folder / "zoo" / f"class {number}").mkdir(parents=True)
        Image.linear_gradient("L").rotate(90 * number).save(folder / "zoo" / f"class {number}" / "1.png")
    return folder


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_composes_and_builds(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path))
    overrides, place = chosen(group, name)
    built = operator.attrgetter(place)(compose(*overrides))
    assert type(built).__doc__
    if isinstance(built, Component) and group in ("attack", "defense") and name != "none":
        assert CITATION.search(type(built).__doc__ or ""), f"{type(built).__name__} cites no paper"


def settings(node: object) -> Iterator[tuple[type, set[str]]]:
    """Every component of a YAML file, with the settings that it lists."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield hydra.utils.get_class(node["_target_"]), set(node) - {"_target_"}
        for value in node.values():
            yield from settings(value)
    elif isinstance(node, list):
        for value in node:
            yield from settings(value)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_lists_every_setting(group: str, name: str) -> None:
    """A setting that the YAML leaves out can't be overridden on the command line, nor found by reading."""
    overrides, place = chosen(group, name)
    prepare_hydra()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = OmegaConf.select(hydra.compose("config", overrides), place)
    for cls, listed in settings(OmegaConf.to_container(composed)):
        fields = {f.name for f in dataclasses.fields(cls)}
        if group == "prior" and not issubclass(cls, WGANGP):
            fields.discard("steps")  # nothing is trained
        assert fields == listed, f"{cls.__name__} in {group}/{name}.yaml"


@pytest.mark.parametrize(("group", "name"), [file for file in FILES if file[0] not in ("search", "network")])
def test_a_default_is_the_same_in_its_class_and_in_its_file(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts use the class's, the command line those of the file; where they are meant to differ, it stands above."""
    monkeypatch.chdir(plant(tmp_path))
    overrides, place = chosen(group, name)
    built = operator.attrgetter(place)(compose(*overrides))
    differ = {f.name for f in dataclasses.fields(built) if default(f) not in (NONE, getattr(built, f.name))}
    of_every = {"model": {"normalize"}, "imprint": {"normalize"}, "metric": {"metrics"}}.get(group, set())
    assert differ - of_every == OTHERWISE.get((group, name), set())


def test_the_id_depends_on_the_science_alone() -> None:
    base = compose().id
    same = ("logger=none", "threads=2", "paths.runs=elsewhere", "data.root=x", "label.name=y", "device=cpu")
    same += ("attack.engine=loop", "attack.slots=3")  # type: ignore[assignment]
    same += ("trials=5", "metric.success_threshold=0.5", "report=last")  # type: ignore[assignment]
    assert {compose(change).id for change in same} == {base}
    different = (
        "seed=1",
        "attack=dlg",
        "attack.steps=7",
        "defense=noise",
        "fl.batch_size=2 labels@attack.labels=llg_star",
    )
    different += (  # type: ignore[assignment]
        "model=cnn",
        "dataset=photos32",
        "knowledge.labels=true",
        "targets=[9]",
    )
    assert len({base} | {compose(*change.split()).id for change in different}) == len(different) + 1


def test_a_value_that_equals_the_default_does_not_change_the_id() -> None:
    assert compose("attack=ig", "attack.boxed=true").id == compose("attack=ig", "~attack.boxed").id


def test_the_scale_only_lowers() -> None:
    small = compose("attack=dlg", "scale=smoke", "trials=50")
    assert (small.attack.steps, small.trials) == (3, 1)
    assert compose("attack=dlg", "attack.steps=2", "scale=smoke").attack.steps == 2


def test_what_a_scale_lowers_is_said_once_and_what_allows_it(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("attack=dlg", "scale=small", "trials=77", "attack.steps=5555")
    assert [compose(*asked).trials for _ in range(2)] == [16, 16]
    lines = [line for line in capsys.readouterr().err.splitlines() if "lowers" in line]
    assert lines == [
        "warning: scale=small lowers trials from 77 to 16; scale.trials=77 allows it",
        "warning: scale=small lowers attack.steps from 5555 to 1000; scale.steps=5555 allows it",
    ]
    allowed = compose(*asked, "scale.trials=77", "scale.steps=5555")
    assert (allowed.trials, allowed.attack.steps) == (77, 5555)


def test_the_scale_lowers_what_an_attack_is_made_of() -> None:
    cpa = compose("attack=cpa_fi", "model=strided_cnn", "scale=small").attack
    assert (cpa.steps, cpa.unmixing.steps) == (1000, 1000)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for group, name in FILES if group == "attack" and name != "none"])
def test_every_attack_runs_and_is_deterministic(name: str, tmp_path: Path) -> None:
    def attempt(folder: str) -> tuple[Experiment, list[dict[str, object]]]:
        overrides = [f"attack={name}", "logger=none", "scale=smoke", "trials=1"]
        overrides += NEEDS.get(name, ["prior=untrained"])
        if name.startswith("ggl"):
            overrides.append("attack.per_round=4")
        experiment = compose(*overrides, f"paths.runs={tmp_path / folder}")
        return experiment, run(experiment).rows

    experiment, rows = attempt("one")
    _, again = attempt("two")
    assert len(rows) == experiment.fl.examples
    scored = "mse" if experiment.attack.reconstructs_images else "label_accuracy"
    for row, other in zip(rows, again, strict=True):
        assert math.isfinite(row[scored])  # type: ignore[arg-type]
        assert {k: v for k, v in row.items() if k != "seconds"} == {
            k: v for k, v in other.items() if k != "seconds"
        }
    if not experiment.attack.reconstructs_images:
        return  # nothing is searched for
    lines = (tmp_path / "one" / experiment.id / "traces.jsonl").read_text().splitlines()
    trace = json.loads(lines[0])["trace"]
    if trace and "loss" in trace[0]:
        assert rows[0]["loss"] <= trace[0]["loss"]  # type: ignore[operator]


def test_a_rule_that_needs_public_images_asks_for_them() -> None:
    for rule in ("llg_plus", "rlu"):
        chosen = ("attack=ig", f"labels@attack.labels={rule}")
        with pytest.raises(
            UserError, match=r"attack\.labels: \w+ needs public images .* say knowledge\.public=true"
        ):
            compose(*chosen)
        compose(*chosen, "knowledge.public=true")
        compose(*chosen, "knowledge.labels=true")  # which leave nothing to infer
