"""Save experiments/dashboard.yaml as a view of a W&B project: `make wandb-workspace`."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pydantic
import yaml

from harness.base.command import answered
from harness.base.errors import UserError, nearest
from harness.base.schema import EXPERIMENTS

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

LAYOUT = EXPERIMENTS / "dashboard.yaml"
PANELS = ("BarPlot", "LinePlot", "MediaBrowser", "RunComparer", "ScatterPlot")
"""What a layout may name."""
GROUPS = {"group": "Group", "job_type": "JobType"}
"""What W&B calls the levels by which runs are grouped."""


def workspace(layout: Mapping[str, Any], entity: str, project: str) -> "Workspace":
    """The workspace of a layout. Raises UserError when the layout, or the package for it, is wrong or missing."""
    try:
        from wandb_workspaces import expr, workspaces
    except ImportError as error:
        raise UserError("this needs wandb-workspaces: pip install -e '.[dashboards]'") from error
    sections = [
        workspaces.Section(
            name=section["name"], panels=[_panel(node) for node in section["panels"]], is_open=True
        )
        for section in layout["sections"]
    ]
    runs = workspaces.RunsetSettings(
        groupby=[expr.Metric(GROUPS[name]) for name in layout["group_by"]],
        pinned_columns=layout["pinned_columns"],
    )
    return workspaces.Workspace(
        name=layout["name"], entity=entity, project=project, sections=sections, runset_settings=runs
    )


def _panel(node: Mapping[str, Any]) -> Any:
    import wandb_workspaces.reports.v2 as panels
    from wandb_workspaces.reports.v2.interface import Config

    name = str(node["panel"])
    settings = {
        key: Config(value["config"]) if isinstance(value, dict) else value
        for key, value in node.items()
        if key != "panel"
    }
    if name not in PANELS:
        raise UserError(f"{LAYOUT.name}: there is no panel {name}{nearest(name, PANELS)}")
    try:
        return getattr(panels, name)(**settings)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{LAYOUT.name}: {name}.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def save(entity: str | None, project: str) -> None:
    """Save the layout as a new view; W&B prints its address."""
    from harness.loggers.wandb_server import obstacle

    layout = yaml.safe_load(LAYOUT.read_text(encoding="utf-8"))
    made = workspace(layout, entity or "", project)
    if why := obstacle():
        raise UserError(f"no view is saved: {why}")
    if entity is None:
        import wandb

        made.entity = str(wandb.Api().default_entity)
    made.save()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness workspace", description=__doc__)
    parser.add_argument("--project", default="harness")
    parser.add_argument("--entity", help="the account or team; default: the key's own")
    options = parser.parse_args(arguments)
    return answered(lambda: save(options.entity, options.project))
