"""What the harness adds to a bare attack: composing, scoring, storing and logging."""

import tempfile

from harness.bench.attacks import Case, experiment, open_clients
from harness.bench.report import Measurement
from harness.bench.timing import Stopwatch
from harness.config import Experiment, compose
from harness.run import run

CASE = Case("idlg", "mnist", "digits32", 60)


def measure(problems: int) -> list[Measurement]:
    """The same run, bare and whole, with a CSV log and with an offline W&B log."""
    clients, dataset = open_clients(CASE, problems)
    targets = [clients[position].problem for position in range(problems)]
    list(clients.experiment.attack(targets[:1]))
    run(_whole(dataset, 1, "csv"))
    spent = {"bare": Stopwatch(), "csv": Stopwatch(), "wandb": Stopwatch()}
    with spent["bare"]:
        list(clients.experiment.attack(targets))
    for logger in ("csv", "wandb"):
        with spent[logger]:
            run(_whole(dataset, problems, logger))
    bare = spent["bare"].seconds
    details: dict[str, float | str] = {f"CPU s, {name}": watch.seconds for name, watch in spent.items()}
    details |= {
        f"overhead with {name}, %": 100 * (spent[name].seconds / bare - 1) for name in ("csv", "wandb")
    }
    details |= {"problems": problems, "imports": "not counted"}
    return [Measurement("overhead", float(details["overhead with csv, %"]), details)]


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
