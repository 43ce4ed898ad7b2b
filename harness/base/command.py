"""How small command lines end: a mistake of the user's is answered in one line. Needs neither Hydra nor torch."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from harness.base.blame import culprit
from harness.base.errors import UserError, explain_failure, first_line, omitted, out_of_memory
from harness.base.interruption import Completed, Interrupted
from harness.base.secrecy import redact

FAILURE, USER_ERROR, INTERRUPTED = 1, 2, 130

Explain = Callable[[Exception], tuple[str, int] | None]
"""What to say of an error, and the exit status; None where nobody foresaw it."""


def answered(command: Callable[[], object], explain: Explain = lambda _: None) -> int:
    """Run a command. Returns its exit status: 2 where it was a mistake of the user's, 1 where one of ours, else 0.

    Where damaged runs were left out of what it shows, it is 1 too. Whoever reads its output may stop to, as
    `head` does.
    """
    before = len(omitted)
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        return unread()
    except UserError as error:
        return complain(str(error), USER_ERROR)
    except Completed:
        return complain("interrupted, when all was done: it is complete", INTERRUPTED)
    except (KeyboardInterrupt, Interrupted):
        return complain("interrupted: the same command goes on where this one stopped", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last boundary
        if told := explain(error):
            return complain(*told)
        return complain(explain_failure(error), FAILURE) if out_of_memory(error) else unforeseen(error)
    if left := len(omitted) - before:
        return complain(f"{left} damaged run{'s' * (left > 1)} left out of this, as said above", FAILURE)
    return 0


def expanded(text: str) -> Path:
    """A path among the arguments of a command; `~` is the home folder, also where the shell leaves it."""
    return Path(text).expanduser()


def unread() -> int:
    """Go on in silence where nobody reads the output any more. Returns the status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
    return 0


def unforeseen(error: Exception) -> int:
    """Say in two lines what nobody foresaw, and keep the traceback in a file; in four where it comes from a package of
    the user's, with its line. Returns the status."""
    text, line = redact("".join(traceback.format_exception(error))), culprit(error)
    said = f"{type(error).__name__}: {first_line(error)}"
    if line:
        said, status = f"{said}\n  {line.filename}:{line.lineno}, in {line.name}\n    {line.line}", USER_ERROR
    else:
        said, status = f"an error of the harness's own, {said}", FAILURE
    asked = "all of it is in" if line else "please report it, with"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="harness-", suffix=".log", delete=False) as file:
            file.write(text)
    except OSError:  # no place to write: then the text itself has to do
        return complain(f"{said}\n{text}", status)
    return complain(f"{said}\n{asked} {file.name}; what is stored stays", status)


def complain(message: str, status: int) -> int:
    """Print a message on stderr and hand on the status."""
    print(f"harness: {redact(message)}", file=sys.stderr, flush=True)
    return status
