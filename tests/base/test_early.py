"""Values that are checked without torch: by the same types and in the same words as when all is imported."""

import dataclasses
import subprocess
import sys
import typing
from pathlib import Path

import pydantic
import pytest

from harness.base.components import build, find
from harness.base.early import annotations, check_early
from harness.base.errors import UserError
from harness.config.composition import part
from harness.config.experiment import Experiment
from harness.identity.identity import class_path

EXPERIMENT = class_path(Experiment)
ATTACKS = ("ig", "dlf", "ggl", "grnn", "rtf")
BAD = {
    "attack.steps": "ten",
    "attack.total_variation": -1,
    "attack.boxed": 3,
    "attack.distance": "far",
    "attack.optimizer.lr": float("inf"),
    "attack.restarts": 10**9,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_types_that_are_read_are_those_of_the_class(name: str) -> None:
    kind = find("attack", part("attack", name)["_target_"])
    hints = typing.get_type_hints(kind, include_extras=True)
    found = annotations(class_path(kind))
    assert {"steps", "restarts"} <= set(found) <= {f.name for f in dataclasses.fields(kind)}
    for field, read in found.items():
        adapters = (pydantic.TypeAdapter(each) for each in (read, hints[field]))
        assert len({str(adapter.json_schema()) for adapter in adapters}) == 1, field


@pytest.mark.parametrize(("key", "value"), BAD.items())
def test_a_mistake_is_told_in_the_words_of_the_whole_check(key: str, value: object) -> None:
    settings = part("attack", "ig")
    check_early({"attack": settings}, EXPERIMENT)
    node = settings["optimizer"] if ".optimizer." in key else settings
    node[key.rpartition(".")[2]] = value
    with pytest.raises(UserError) as early:
        check_early({"attack": settings}, EXPERIMENT)
    with pytest.raises(UserError) as whole:
        build("attack", settings)
    assert str(early.value) == str(whole.value)
    assert str(early.value).startswith(f"{key}: ")


def test_settings_of_the_run_itself_are_checked_too() -> None:
    with pytest.raises(UserError, match=r"trials: input should be a valid integer"):
        check_early({"trials": "many"}, EXPERIMENT)


@pytest.mark.parametrize(
    "target", ["os.path", "harness./etc/passwd.X", "harness..x.Y", "nowhere.Z", "harness"]
)
def test_what_is_no_class_of_ours_has_no_types(target: str) -> None:
    assert annotations(target) == {}


def test_torch_is_not_imported_for_a_wrong_value(tmp_path: Path) -> None:
    line = ["-X", "importtime", "-m", "harness", "attack=ig", "attack.steps=ten", "logger=none"]
    done = subprocess.run([sys.executable, *line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "attack.steps: input should be a valid integer" in done.stderr
    assert not [each for each in done.stderr.splitlines() if each.endswith("| torch")]
