"""python -m harness.bench.patience [--images N] [--only CASE ...]: what stopping early saves, and what it loses.

The same images from the same starts, with every patience of PATIENCE and without; an image is recovered where its mean
squared error is below SUCCESS. Cases that are measured anew take the place of their rows in
experiments/results/engines/patience.csv.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from harness.attacks.optimization import OptimizationAttack
from harness.base.rows import pipes, read_csv, to_csv
from harness.base.statistics.intervals import wilson
from harness.bench.attacks import CASES, SUCCESS, open_clients
from harness.bench.timing import Stopwatch
from harness.runs.clients import Client

FOLDER = Path("experiments/results/engines")
PATIENCE = (None, 10, 5, 2, 1)
"""Steps, of 20 evaluations each."""
HEAD = ("case", "data", "steps", "patience", "image", "evaluations", "recovered", "cpu_s")


@dataclass(frozen=True)
class Ended:
    """How the search for one image ended; `seconds` is its share of all CPU time."""

    case: str
    data: str
    steps: int
    patience: int | None
    image: int
    evaluations: int
    recovered: bool
    seconds: float

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in the file."""
        patience = "" if self.patience is None else str(self.patience)
        numbers = (str(self.image), str(self.evaluations), str(int(self.recovered)), f"{self.seconds:.4f}")
        return (self.case, self.data, str(self.steps), patience, *numbers)


def load(folder: Path = FOLDER) -> list[Ended]:
    """The rows that are there."""
    path = folder / "patience.csv"
    return [
        Ended(
            case=row["case"],
            data=row["data"],
            steps=int(row["steps"]),
            patience=int(row["patience"]) if row["patience"] else None,
            image=int(row["image"]),
            evaluations=int(row["evaluations"]),
            recovered=row["recovered"] == "1",
            seconds=float(row["cpu_s"]),
        )
        for row in (read_csv(path) if path.is_file() else [])
    ]


def save(found: Sequence[Ended], folder: Path = FOLDER) -> None:
    """Write the rows and the table of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "patience.csv").write_text(to_csv([HEAD, *(each.row for each in found)]))
    (folder / "patience.md").write_text(document(found))


def measure(name: str, images: int) -> list[Ended]:
    """A case with every patience."""
    case = CASES[name]
    targets, data = open_clients(case, images)
    clients = {k: targets[k] for k in range(images)}
    attack = targets.experiment.attack
    assert isinstance(attack, OptimizationAttack)
    found: list[Ended] = []
    for patience in PATIENCE:
        ends = _search(replace(attack, patience=patience), clients)
        found += [Ended(name, data, case.steps, patience, *end) for end in ends]
    return found


def _search(attack: OptimizationAttack, clients: dict[int, Client]) -> list[tuple[int, int, bool, float]]:
    with Stopwatch() as watch:
        found = list(attack(client.problem for client in clients.values()))
    share = watch.seconds / len(found)
    errors = {one.problem: float((one.x - clients[one.problem].truth.x).square().mean()) for one in found}
    return [(one.problem, one.evaluations, errors[one.problem] < SUCCESS, share) for one in found]


def document(found: Sequence[Ended]) -> str:
    """patience.md: what each patience saves and loses."""
    head = (
        *("case", "data", "steps", "patience", "images", "recovered (95 %)", "lost", "won"),
        *("evaluations an image", "of those without", "CPU s an image"),
    )
    lines = []
    for case, patience in dict.fromkeys((each.case, each.patience) for each in found):
        whole = {each.image: each for each in found if (each.case, each.patience) == (case, None)}
        own = [each for each in found if (each.case, each.patience) == (case, patience)]
        lines.append(_line(own, whole))
    return "\n\n".join((_title(), pipes([head, *lines]))) + "\n"


def _title() -> str:
    return (
        "# Stopping early\n\n"
        "Written by `python -m harness.bench.patience`. `attack.patience` in steps of 20 evaluations, with\n"
        f"`attack.improvement` at its default; an image is recovered at a mean squared error below {SUCCESS:g}.\n"
        "`lost` are recovered without patience and not with it, `won` the other way round."
    )


def _line(own: Sequence[Ended], whole: dict[int, Ended]) -> tuple[str, ...]:
    first, count = own[0], len(own)
    recovered, spent = sum(each.recovered for each in own), sum(each.evaluations for each in own)
    low, high = wilson(recovered, count)
    return (
        *(first.case, first.data, str(first.steps)),
        "none" if first.patience is None else str(first.patience),
        str(count),
        f"{recovered} ({low:.2f} to {high:.2f})",
        str(sum(whole[each.image].recovered and not each.recovered for each in own)),
        str(sum(each.recovered and not whole[each.image].recovered for each in own)),
        f"{spent / count:.0f}",
        f"{spent / sum(whole[each.image].evaluations for each in own):.0%}",
        f"{sum(each.seconds for each in own) / count:.3f}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m harness.bench.patience", description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in chosen.only:
        new = measure(name, chosen.images)
        rows = [*(each for each in load() if each.case != name), *new]
        save(sorted(rows, key=lambda each: list(CASES).index(each.case)))
        print(f"{name}: done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
