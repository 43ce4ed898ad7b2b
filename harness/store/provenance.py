"""Where a number comes from: the code, the versions and the machine behind it."""

import functools
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from harness.base.errors import note
from harness.base.files import shown
from harness.identity.changes import merged
from harness.store.integrity import RESULT, Damaged, StoredRun, reading

PACKAGES = (
    "torch",
    "torchvision",
    "hydra-core",
    "omegaconf",
    "pytorch-lightning",
    "wandb",
    "lpips",
    "nevergrad",
    "scikit-learn",
    "scikit-image",
)

DISTRIBUTION = "gradient-inversion-harness"
NO_COMMANDS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""What git would run for a mere question."""


@functools.cache
def provenance(device: torch.device) -> dict[str, Any]:
    """Git revision, versions and device; nothing that names a person, a host or a path."""
    return {
        "git": revision(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def dated() -> dict[str, str]:
    """The day, and the version of the harness: a name for how a number came about that people remember."""
    day = {"date": datetime.now(UTC).date().isoformat()}
    try:
        return day | {"version": metadata.version(DISTRIBUTION)}
    except metadata.PackageNotFoundError:  # a checkout that is not installed: the revision says what it is
        return day


def note_stored(directories: Sequence[Path]) -> None:
    """Say in one line that finished runs answer, and since when they are there. Who needs a damaged one, says so."""
    found = ((directory, origin) for directory in directories if (origin := _origin(directory)))
    first, origin = next(found, (None, None))
    if first is None:
        return
    others = f" and {len(directories) - 1} more" if len(directories) > 1 else ""
    note(f"{shown(first)}{others}: computed on {origin}; here is the score")


def _origin(directory: Path) -> str | None:
    """Day and version of a run; of one whose record does not name them, the day of its file and the revision."""
    try:
        found = StoredRun.open(directory).content["provenance"]
        with reading(directory, RESULT):
            written = datetime.fromtimestamp((directory / RESULT).stat().st_mtime, UTC).date()
            version = found.get("version") or (found.get("git") or "of old")[:8]
            return f"{found.get('date') or written.isoformat()} by harness {version}"
    except Damaged:
        return None


def revision() -> str | None:
    """The commit that the code is at, with `+` when files differ from it; None outside a clone."""

    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(
            ["git", *NO_COMMANDS, *arguments],
            cwd=here,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    try:
        changed = git("status", "--porcelain", "--untracked-files=no").strip()
        return git("rev-parse", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def combined(origins: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The provenance of many runs: what they share, or the list of what occurs, and the sum of what they cost."""
    spent = [name for name in ("seconds", "cpu_seconds") if any(name in origin for origin in origins)]
    names = {name: None for origin in origins for name in origin if name not in (*spent, "methods")}
    shared = {name: _distinct([origin.get(name) for origin in origins]) for name in names}
    shared["methods"] = merged(origin.get("methods", {}) for origin in origins)
    return shared | {name: sum(origin.get(name) or 0.0 for origin in origins) for name in spent}


def _distinct(values: Sequence[object]) -> object:
    """The value that all share, or the list of those that occur."""
    different: list[object] = []
    for value in values:
        if value not in different:
            different.append(value)
    return different[0] if len(different) == 1 else different
