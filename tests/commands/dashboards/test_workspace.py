"""The common layout names what is logged, is a workspace that W&B's own package accepts, and needs a key."""

from typing import Any

import pytest
import yaml

from harness.base.errors import UserError
from harness.commands.dashboards.workspace import LAYOUT, main, workspace
from harness.config.composition import compose
from harness.loggers import wandb_server
from harness.store.frames import flatten

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")  # of wandb_workspaces
BESIDE_METRICS = {"success", "label_correct", "seconds", "evaluations"}
"""Columns of a row that are not in conf/metric."""


@pytest.fixture
def layout() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(LAYOUT.read_text())
    return found


def test_every_name_of_the_layout_is_logged(layout: dict[str, Any]) -> None:
    experiment = compose("metric=thresholds", "fl=fedavg", "attack=ig_updates")
    scores = {*experiment.metric.metrics, *BESIDE_METRICS}
    panels = [panel for section in layout["sections"] for panel in section["panels"]]
    bars = [metric for panel in panels for metric in panel.get("metrics", [])]
    axes = [panel[axis] for panel in panels if panel["panel"] == "ScatterPlot" for axis in ("x", "y")]
    points = [name for name in axes if isinstance(name, str)]
    settings = {name["config"] for name in axes if not isinstance(name, str)}
    assert settings
    assert settings <= flatten(experiment.config).keys()
    pinned = [name.partition(":")[2] for name in layout["pinned_columns"] if name.startswith("summary:")]
    assert {name.removesuffix(".mean") for name in bars + points + pinned} <= scores
    lines = [metric for panel in panels if panel["panel"] == "LinePlot" for metric in panel.get("y", [])]
    assert {metric.removeprefix("image/") for metric in lines} <= scores
    choices = [name for name in layout["pinned_columns"] if name.startswith("config:choices.")]
    assert {name.removeprefix("config:choices.") for name in choices} <= set(experiment.choices)


def test_the_layout_is_a_workspace(layout: dict[str, Any]) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    made = workspace(layout, "somebody", "harness")._to_model()
    (runs,) = made.spec.section.run_sets
    assert [key.name for key in runs.grouping] == ["group", "jobType"]
    sections = made.spec.section.panel_bank_config.sections
    assert [len(section.panels) for section in sections] == [len(s["panels"]) for s in layout["sections"]]


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        ({"panel": "BarPlott"}, "there is no panel BarPlott; did you mean 'BarPlot'"),
        ({"panel": "LinePlot", "log_yy": True}, "LinePlot.log_yy"),
    ],
)
def test_a_mistake_in_a_layout_is_named(layout: dict[str, Any], panel: dict[str, Any], message: str) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    layout["sections"][0]["panels"] = [panel]
    with pytest.raises(UserError, match=message):
        workspace(layout, "somebody", "harness")


def test_without_a_server_no_view_is_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    monkeypatch.setattr(wandb_server, "obstacle", lambda: "no API key")
    assert main([]) == 2
    assert capsys.readouterr().err == "harness: no view is saved: no API key\n"
