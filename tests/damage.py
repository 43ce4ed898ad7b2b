"""Runs that are not as they were stored."""

import json
from pathlib import Path
from typing import Any


def unseal(directory: Path, **changes: Any) -> None:
    """Make a run one from before there were digests, with other things in its record."""
    path = directory / "result.json"
    kept = json.loads(path.read_text())
    kept.pop("files", None)
    kept.pop("digest", None)
    path.write_text(json.dumps(kept | changes))
