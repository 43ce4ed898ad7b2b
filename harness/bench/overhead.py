"""What the harness adds to a bare attack: composing, scoring, storing and logging."""

import tempfile
from collections.abc import Callable

from harness.bench.attacks import Case, experiment, open_clients
from harness.bench.report import Measurement
from harness.bench.timing import Stopwatch, interleaved
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.runs.run import run

CASE = Case("idlg", "mnist", "digits32", 60)
REPEATS = 3


def measure(problems: int) -> list[Measurement]:
    """The same run, bare and whole, with a CSV log and with an offline W&B log; and what W&B costs once a process.

    Bare is what a script without a harness does: the clients' updates, and the attack on them.
    """
    clients, dataset = open_clients(CASE, problems)
    attack = clients.experiment.attack
    run(_whole(dataset, 1, "csv"))
    first, second = Stopwatch(), Stopwatch()
    for watch in (first, second):
        with watch:
            run(_whole(dataset, 1, "wandb"))
    sides: dict[str, Callable[[], object]] = {
        "bare": lambda: list(attack(clients[position].problem for position in range(problems))),
        "csv": lambda: run(_whole(dataset, problems, "csv")),
        "wandb": lambda: run(_whole(dataset, problems, "wandb")),
    }
    spent = interleaved(sides, REPEATS)
    shares = {name: 100 * (spent[name] / spent["bare"] - 1) for name in ("csv", "wandb")}
    details: dict[str, float | str] = {f"CPU s, {name}": seconds for name, seconds in spent.items()}
    details |= {f"overhead with {name}, %": share for name, share in shares.items()}
    details |= {"CPU s, W&B's start, once a process": first.seconds - second.seconds}
    details |= {"problems": problems, "Python's and torch's start": "not counted"}
    return [Measurement("overhead", shares["wandb"], details)]


def _whole(dataset: str, problems: int, logger: str) -> Experiment:
    base = experiment(CASE, dataset, problems)
    return compose(
        f"attack={CASE.attack}",
        f"dataset={dataset}",
        f"trials={base.trials}",
        f"attack.steps={CASE.steps}",
        f"logger={logger}",
        "device=cpu",
        f"paths.runs={tempfile.mkdtemp()}",
    )
