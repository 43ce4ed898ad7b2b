"""Whose code an unforeseen error comes from: the harness's, or a package's that brings components of its own."""

import importlib.util
import traceback
from collections.abc import Iterable
from pathlib import Path

from harness.base.packages import declared


def culprit(error: BaseException) -> traceback.FrameSummary | None:
    """The last line that ran of a declared package's code, or can't be read; None where none of it was running."""
    packages = declared()
    if isinstance(error, SyntaxError) and error.filename and _inside(Path(error.filename), packages):
        return traceback.FrameSummary(
            error.filename, error.lineno, "<module>", line=(error.text or "").strip()
        )
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in packages:
            return traceback.FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name)
    return None


def _inside(file: Path, packages: Iterable[str]) -> bool:
    """Whether a file is one of these packages'."""
    specs = [spec for name in packages if (spec := importlib.util.find_spec(name))]
    folders = [place for spec in specs for place in spec.submodule_search_locations or ()]
    return any(file.is_relative_to(folder) for folder in folders) or str(file) in [s.origin for s in specs]
