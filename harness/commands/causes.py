"""Why a stored run is not what the same settings give now: data, code or machine are others."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from harness.store.integrity import MARK, StoredRun, reading

if TYPE_CHECKING:
    from harness.config.experiment import Experiment

CAUSES = {"code": ("git", "version", "python", "versions"), "machine": ("machine", "instructions", "device")}
"""What a run's provenance says of each."""
DIGEST = "files"
"""The name of a data set's digest in a run's identity."""


def changed(config: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The settings that differ from those that were run, with both values."""
    from harness.store.frames import flatten

    now, then = flatten(config), flatten(before)
    return [
        f"{name} {now.get(name)!r}, was {then.get(name)!r}"
        for name in then | now
        if now.get(name) != then.get(name)
    ]


def another(before: StoredRun, experiment: "Experiment") -> str:
    """What of a run's identity is not as it was: the data that it read, or the code behind its settings."""
    changes = changed(experiment.identity, then) if (then := _identity(before)) else []
    if not changes:
        return f"code or data: its settings have the id {experiment.id} now, and what is behind its own is not stored"
    read = [each for each in changes if each.split(" ")[0].rpartition(".")[2] in _files(experiment)]
    return f"{'data' if read else 'code'}: {', '.join((read or changes)[:3])}"


def _identity(before: StoredRun) -> dict[str, Any]:
    """What was hashed; empty where a migration has put its mark in the place of that."""
    if not (before.directory / MARK).exists():
        return {}
    with reading(before.directory, MARK):
        found: dict[str, Any] = from_json(before.read(MARK))
        return found if "attack" in found else {}


def _files(experiment: "Experiment") -> set[str]:
    """The settings that stand for the content of files."""
    from harness.identity.identity import components

    return {DIGEST} | {
        name
        for part in components(experiment)
        for name, value in vars(part).items()
        if isinstance(value, Path)
    }


def reasons(before: Mapping[str, Any]) -> str:
    """What can be behind other numbers: the code or the machine that was another when they were computed."""
    import torch

    from harness.store.provenance import dated, provenance

    graphics = torch.cuda.is_available() and before.get("device", "cpu") != "cpu"
    now = provenance(torch.device("cuda" if graphics else "cpu")) | dated()
    found = {
        cause: changed(*({name: each.get(name) for name in names} for each in (now, before)))
        for cause, names in CAUSES.items()
    }
    told = [f"{cause}: {', '.join(changes[:3])}" for cause, changes in found.items() if changes]
    return "; ".join(told) or "code, data and machine are the same, and no file is damaged: please report it"
