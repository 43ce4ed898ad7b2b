"""python -m harness.bench [--only NAME ...] [--problems N]: measure, and write experiments/results/bench.{md,csv}."""

import argparse
from collections.abc import Callable

import torch

from harness.bench import attacks, report
from harness.bench.timing import machine

Part = Callable[[int], list[report.Measurement]]


def parts() -> dict[str, Part]:
    """What can be measured by itself: each takes the number of problems, and gives one figure or several."""
    whole: dict[str, Part] = {
        name: lambda problems, name=name: [attacks.compare(name, problems)]  # type: ignore[misc]
        for name in attacks.CASES
    }
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness.bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=list(parts()), help="measure these parts; the others stay"
    )
    parser.add_argument(
        "--problems", type=int, default=16, help="images of each whole attack (64 for the record)"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name, measure in parts().items():
        if chosen.only is None or name in chosen.only:
            report.save(measure(chosen.problems), machine())


if __name__ == "__main__":
    main()
