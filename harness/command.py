"""How small command lines end: a mistake of the user's is answered in one line. Needs neither Hydra nor torch."""

import os
import sys
from collections.abc import Callable

from harness.errors import UserError
from harness.secrecy import redact

USER_ERROR = 2


def answered(command: Callable[[], object]) -> int:
    """Run a command. Returns its exit status: 2 where it was a mistake of the user's, else 0.

    Whoever reads its output may stop to, as `head` does.
    """
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
    except UserError as error:
        return complain(str(error), USER_ERROR)
    return 0


def complain(message: str, status: int) -> int:
    """Print a message on stderr and hand on the status."""
    print(f"harness: {redact(message)}", file=sys.stderr, flush=True)
    return status
