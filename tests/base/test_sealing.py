"""Nothing that a configuration, a name or a file says is executed, or writes elsewhere than to the results."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.base.rows import csv_cell
from harness.config.composition import compose
from harness.core import UserError
from harness.store.provenance import revision
from harness.sweeps import spec as sweeps
from harness.tables import spec as tables
from harness.tables.measurement import Measurement, cells_csv
from tests.command import QUICK, Main, write_table
from tests.command import main as main

TOUCH = "{_target_: os.system, command: touch planted}"
HANDLER = "{class: logging.FileHandler, filename: planted}"
FACTORY = "{'()': os.mkdir, path: planted}"
STEERED = [
    *(
        f"+hydra.job.env_set.{name}=planted"
        for name in ("GIT_CONFIG_COUNT", "HARNESS_PLUGINS", "PYTHONPATH", "PATH")
    ),
    *(
        f"+hydra.job.env_set.{name}=planted"
        for name in (
            "LD_PRELOAD",
            "PYTHONSTARTUP",
            "WANDB_API_KEY",
            "TORCH_HOME",
            "BASH_ENV",
            "PYTHONHOME",
            "GIT_DIR",
            "HTTPS_PROXY",
        )
    ),
    *(f"hydra.job.env_set={{{name}: planted}}" for name in ("GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF")),
    "hydra.job.env_copy=[HOME]",
    "hydra.job.env_copy=[HARNESS_PLUGINS]",
    "hydra.job_logging.version=2",
    "hydra.hydra_logging.disable_existing_loggers=false",
    "hydra.callbacks={x: {_target_: os.system}}",
    *(f"+hydra.{node}.handlers.file={HANDLER}" for node in ("job_logging", "hydra_logging")),
    *(f"+hydra.{node}.handlers.made={FACTORY}" for node in ("job_logging", "hydra_logging")),
    *(f"+hydra.{node}.formatters.made={FACTORY}" for node in ("job_logging", "hydra_logging")),
    *(f"+hydra.{node}.filters.made={FACTORY}" for node in ("job_logging", "hydra_logging")),
    *(f"+hydra.{node}.loggers.mine={{handlers: [file]}}" for node in ("job_logging", "hydra_logging")),
    *(
        f"hydra/{node}={name}"
        for node in ("job_logging", "hydra_logging")
        for name in ("default", "none", "stdout")
    ),
    "hydra.job_logging.root.level=DEBUG",
    "hydra.job_logging=null",
    "+hydra.callbacks.mine._target_=os.system",
    f"+hydra.callbacks.mine={TOUCH}",
    "hydra.output_subdir=planted",
    "hydra.output_subdir=/tmp/planted",
    *(
        f"hydra.{node}._target_={name}"
        for node in ("launcher", "sweeper")
        for name in ("os.system", "builtins.eval")
    ),
    *(f"hydra.{node}._target_=hydra_plugins.evil.Planted" for node in ("launcher", "sweeper")),
    *(f"+hydra.{node}._recursive_=true" for node in ("launcher",)),
    "hydra.sweeper._recursive_=true",
    *(
        f"+hydra.{node}.{key}=x"
        for node in ("launcher", "sweeper")
        for key in ("_args_", "_partial_", "_convert_")
    ),
    f"+hydra.launcher.more={TOUCH}",
    f"+hydra.launcher.more=[[{TOUCH}]]",
    f"+hydra.launcher.more={{deep: {{deeper: {TOUCH}}}}}",
    "hydra/sweeper=basic",
    "~hydra.sweeper",
    "~hydra.job_logging",
]
"""Overrides of Hydra's own nodes."""
NAMED = [
    *(
        f"{group}=../{group}/{name}"
        for group, name in (("dataset", "digits32"), ("attack", "dlg"), ("scale", "smoke"))
    ),
    "dataset=../../conf/dataset/digits32",
    f"dataset={Path(__file__).parents[2]}/conf/dataset/digits32",
]
"""Choices that are no names of files in a group's folder."""
COMPONENTS = [
    f"{place}={{_target_: {target}, path: planted}}"
    for place in ("attack.optimizer", "defense", "attack.labels")
    for target in ("os.mkdir", "harness.base.files.write_atomically")
] + [
    f"+{place}.{key}=[1]"
    for place in ("attack", "model", "metric.metrics.mse")
    for key in ("_args_", "_partial_")
]
NAMES = [
    "../../esc",
    "/tmp/esc",
    "",
    "a\0b",
    "a/b",
    "..",
    ".",
    "a\nb",
    "x" * 300,
    "con figuration",
    "~",
    "$HOME",
]
"""Of tables and sweeps: each has a folder of that name among the results."""


@pytest.fixture(autouse=True)
def _nothing_is_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield
    assert not any(path.name in ("planted", "esc") for path in tmp_path.rglob("*"))
    assert not Path("/tmp/planted").exists()
    assert not Path("/tmp/esc").exists()


@pytest.mark.parametrize("override", [*STEERED, *NAMED, *COMPONENTS])
def test_a_hostile_override_is_refused_in_one_line(override: str) -> None:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with pytest.raises((UserError, HydraException, OmegaConfBaseException)):
        compose(override)
    assert not os.listdir()


def test_they_are_a_hundred() -> None:
    assert len(STEERED) + len(NAMED) + len(COMPONENTS) + 2 * len(NAMES) >= 100


@pytest.mark.parametrize(
    "override",
    ["+hydra.job.env_set.GIT_CONFIG_COUNT=1", f"+hydra.job_logging.handlers.x={HANDLER}", "dataset=../dataset/mnist",
     "hydra.launcher._target_=os.system", "--experimental-rerun=x", "--config-name=x", "hydra.searchpath=[pkg://evil]",
     "--config-path=pkg://evil", "hydra.searchpath=['${oc.env:EVIL}']"],
)  # fmt: skip
@pytest.mark.parametrize("mode", [[], ["-m"]], ids=["run", "multirun"])
def test_the_command_line_says_why(
    override: str, mode: list[str], main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "evil"
    package.mkdir()
    (package / "__init__.py").write_text("import os; os.mkdir('planted')")
    sys.path.insert(0, str(tmp_path))
    try:
        assert main(*mode, *[each for each in QUICK if not override.startswith(each[:8])], override) == 2
    finally:
        sys.path.remove(str(tmp_path))
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 1), err
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "node",
    [{"job": {"env_set": {"HARNESS_PLUGINS": "planted"}}}, {"job_logging": {"handlers": {"x": {"class": "x"}}}},
     {"launcher": {"more": {"_target_": "os.system"}}}, {"callbacks": {"x": {"_target_": "os.system"}}},
     {"sweeper": {"_target_": "os.system"}}],
)  # fmt: skip
def test_a_file_that_is_handed_on_is_sealed_too(
    node: dict[str, object], main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for group, package in (("attack", "_global_"), ("hydra/job_logging", "hydra")):
        path = tmp_path / "own" / group / "evil.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"# @package {package}\n{yaml.safe_dump({'hydra': node} if group == 'attack' else node)}"
        )
        capfd.readouterr()
        assert main(*QUICK, f"{group}=evil") == 2
        assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_row_of_a_table_is_sealed_too(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path, "toy", rows={"First": ["+hydra.job.env_set.HARNESS_PLUGINS=planted"]})
    assert main("table=toy") == 2
    assert "env_set" in capfd.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_named_by_letters_and_digits(name: str) -> None:
    with pytest.raises(UserError, match=r"^table[^\0]*: name: "):
        tables.parse({"name": name})
    with pytest.raises(UserError, match=r"^sweep[^\0]*: name: "):
        sweeps.parse({"name": name})


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 300])
def test_a_plot_is_named_by_letters_and_digits(name: str) -> None:
    with pytest.raises(UserError, match=r"plots\.name: "):
        tables.parse(
            {"plots": [{"_target_": "harness.plots.lines.Lines", "name": name, "x": "seed", "y": ["mse"]}]}
        )


def test_git_runs_nothing_for_a_mere_question(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = revision()
    (tmp_path / "script").write_text(f"#!/bin/sh\ntouch {tmp_path}/planted\n")
    (tmp_path / "script").chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path / "script"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(tmp_path / "script"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert revision() == before


@pytest.mark.parametrize("text", ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "+x"])
def test_no_text_of_a_csv_file_is_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-1.5", "+3", "-1e-3", "-inf", "ig", "a=b", "", -2.5, None, True])
def test_numbers_and_other_texts_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) is value


def test_names_of_rows_are_no_formulas_in_cells_csv() -> None:
    (_, line) = cells_csv({("=1+1", "@x", "mse"): Measurement({}, None, None, ())}).splitlines()
    assert line.startswith("'=1+1,'@x,mse,0,")


def test_advice_to_load_unsafely_is_not_repeated(tmp_path: Path) -> None:
    import torch

    from harness.models.weights import read_weights

    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pth")
    with pytest.raises(UserError) as error:
        read_weights(tmp_path / "whole.pth")
    assert "weights_only" not in str(error.value)
    assert "\x1b" not in str(error.value)
    assert "state_dict" in str(error.value)
