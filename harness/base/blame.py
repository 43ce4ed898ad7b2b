"""Whose code an unforeseen error comes from: the harness's, or a package's that brings components of its own."""

import traceback

from harness.base.packages import declared


def culprit(error: BaseException) -> traceback.FrameSummary | None:
    """The last line that ran of a declared package's code; None where none of it was running."""
    packages = declared()
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in packages:
            return traceback.FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name)
    return None
