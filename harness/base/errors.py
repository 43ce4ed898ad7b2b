"""Turn what libraries raise on a user's mistake into one or two clear lines."""

import dataclasses
import difflib
import functools
import multiprocessing
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pydantic


MEMORY = "memory: lower attack.slots, fl.batch_size, the model's width or JOBS"
"""What runs out, and what to do about it."""

LONGEST = 80
"""Characters of a value that an error repeats."""


class UserError(Exception):
    """A mistake that the user can mend: shown as one or two lines, exit status 2, no traceback."""


class Unreadable(Exception):
    """An update that an attacker can make nothing of: the attack on it fails, and the run goes on."""


class CellsFailed(Exception):
    """Some cells of a table could not be computed: the table is rendered without them, exit status 1."""


def warn(message: str) -> None:
    """One line on stderr, for what the user should know although the work goes on."""
    print(f"warning: {message}", file=sys.stderr)


@functools.cache
def warn_once(message: str) -> None:
    """As `warn`, once a command: a worker process leaves it to the one that started it."""
    if multiprocessing.current_process().name == "MainProcess":
        warn(message)


omitted: list[str] = []
"""What this process has left out, of which a command that goes on says so at its end."""


def omit(message: str) -> None:
    """As `warn`, of something stored that can't be shown: the command then ends with status 1."""
    omitted.append(message)
    warn(f"{message}; left out here")


@functools.cache
def note(message: str) -> None:
    """One line on stderr, once a process, for what was found or taken without being asked for."""
    print(f"note: {message}", file=sys.stderr)


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest of the allowed words, else what there is."""
    choices = sorted(set(allowed))
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there is {', '.join(choices)}" if choices else ""


def explain_failure(error: BaseException) -> str:
    """What went wrong, in one line; with what can be done about it where the machine has too little memory."""
    first = next(iter(str(error).splitlines()), "")
    if not out_of_memory(error):
        return f"{type(error).__name__}: {first}"
    amount = re.search(r"allocate (\d[\d.]* ?\w+)", str(error))
    asked = f" ({amount[1]} were asked for)" if amount else ""
    return f"out of {MEMORY}{asked}"


def first_line(error: BaseException) -> str:
    """What an error says, cut to one line of moderate length."""
    return next(iter(str(error).splitlines()), "")[: 2 * LONGEST]


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has an exception of its own for GPUs only."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(error)


def explain_validation(error: "pydantic.ValidationError", cls: type, path: str) -> str:
    """One line for each of the first two mistakes in a component: key, problem, value, nearest name.

    Of a mistake in no single setting the value is all of them, which is not repeated.
    """
    problems: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for detail in error.errors():
        location = [printable(str(part)) for part in detail["loc"] if not _names_an_alternative(part)]
        key = ".".join([*([path] if path else []), *location])
        problems.setdefault(key, []).append(_problem(detail, location, cls))  # type: ignore[arg-type]
        told = _unknown(detail["type"]) or detail["type"] == "missing" or not location
        given[key] = "" if told else f", not {shortened(detail['input'])}"
    lines = [f"{key}: {' or '.join(dict.fromkeys(several))}{given[key]}" for key, several in problems.items()]
    return "\n".join(lines[:2])


def _unknown(kind: object) -> bool:
    return kind in ("unexpected_keyword_argument", "extra_forbidden")


def _names_an_alternative(part: int | str) -> bool:
    """Whether a part of a location is pydantic's name for one of several types that a setting may have."""
    return isinstance(part, str) and bool(
        re.search(r"[\[(]|^(int|float|str|bool|none)$|^(constrained|function)-", part)
    )


def _problem(detail: dict[str, object], location: list[str], cls: type) -> str:
    if _unknown(detail["type"]):
        fields = [f.name for f in dataclasses.fields(cls)]
        return f"there is no such setting{nearest(location[-1], fields)}"
    message = str(detail["msg"]).removeprefix("Value error, ").partition(", unable to ")[0]
    if detail["type"] == "string_type" and isinstance(detail["input"], bool | int | float):
        message = "a text is wanted: write it in quotes, for YAML takes it for a number or for true or false"
    first = message[0] if message[:2].isupper() else message[0].lower()
    return first + message[1:]


def printable(text: str) -> str:
    """A name as it can stand in a line: cut at 80 characters, with what is no character written as an escape."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def shortened(value: object) -> str:
    """A value as Python writes it, cut at 80 characters."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
