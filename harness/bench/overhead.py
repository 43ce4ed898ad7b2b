"""What the harness adds to a bare attack, for each run and for each image: composing, scoring, storing and logging."""

import tempfile
from collections.abc import Callable
from functools import partial

from harness.bench.attacks import BenchCase, open_clients
from harness.bench.report import BenchResult
from harness.bench.timing import Stopwatch, interleaved
from harness.config.composition import compose
from harness.runs.clients import Clients
from harness.runs.run import run

CASE = BenchCase("idlg", "mnist", "digits32", 60)
REPEATS = 5
LOGGERS = ("csv", "wandb")


def measure(problems: int) -> list[BenchResult]:
    """Runs of few and of many images, bare and whole: what grows with the images, and what each run costs anyway.

    Bare is what a script without a harness does: the clients' updates, and the attack on them. W&B logs offline; what
    it costs once a process is said beside it.
    """
    few, many = max(problems // 4, 1), max(problems, 2)
    clients, dataset = open_clients(CASE, many)
    _carry_out(dataset, 1, "csv")
    first, second = Stopwatch(), Stopwatch()
    for watch in (first, second):
        with watch:
            _carry_out(dataset, 1, "wandb")
    sides: dict[str, Callable[[], object]] = {}
    for count in (few, many):
        sides[f"bare {count}"] = partial(_attack, clients, count)
        sides |= {f"{logger} {count}": partial(_carry_out, dataset, count, logger) for logger in LOGGERS}
    spent = interleaved(sides, REPEATS)
    details: dict[str, float | str] = {f"CPU s, {name} images": seconds for name, seconds in spent.items()}
    details |= {"CPU s, W&B's start, once a process": first.seconds - second.seconds, "data": dataset}
    found = []
    for logger in LOGGERS:
        excess = {count: spent[f"{logger} {count}"] - spent[f"bare {count}"] for count in (few, many)}
        each = (excess[many] - excess[few]) / (many - few)
        found.append(BenchResult(f"overhead_image_{logger}", 1000 * each, details))
        found.append(BenchResult(f"overhead_run_{logger}", excess[few] - few * each, {"images": few}))
        details = {"images": f"{few} and {many}"}
    return found


def _attack(clients: Clients, count: int) -> None:
    """What is attacked is made anew, as by whoever attacks."""
    list(clients.experiment.attack(clients[position].problem for position in range(count)))


def _carry_out(dataset: str, count: int, logger: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(compose(*CASE.overrides(dataset, count), f"logger={logger}", f"paths.runs={folder}"))
