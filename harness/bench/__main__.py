"""harness bench [--only NAME ...] [--problems N]: measure, and write experiments/results/bench.{md,csv}."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch

from harness.bench import (
    attacks,
    closures,
    large,
    live,
    newcomer,
    optimizers,
    overhead,
    progress,
    report,
    rounding,
    rounds,
    shared,
    sharing,
    site,
    startup,
    store,
    whole,
)
from harness.bench.timing import machine

REPEATS = 15
Part = Callable[[int], list[report.BenchResult]]
PARTS: dict[str, Part] = {
    **{name: partial(attacks.compare, name) for name in attacks.CASES},
    "whole": lambda _: whole.measure(),
    "rounding": rounding.measure,
    "closures": lambda _: closures.eager(REPEATS),
    "compiled": lambda _: closures.compiled(REPEATS),
    "lbfgs": lambda _: optimizers.lbfgs(REPEATS),
    "cma": lambda _: optimizers.evolution(REPEATS),
    "ig_convnet": lambda _: large.convnet(REPEATS),
    "ig_resnet": lambda _: large.resnet(REPEATS),
    "residual": lambda _: shared.measure(REPEATS),
    "ig_bf16": lambda problems: large.precision(min(problems, 16)),
    "ggl": lambda _: large.latent(REPEATS),
    "rounds_mlp": lambda _: rounds.mlp(REPEATS),
    "rounds_cnn": lambda _: rounds.cnn(REPEATS),
    "overhead": overhead.measure,
    "live": lambda _: live.measure(),
    "progress": lambda _: progress.measure(),
    "newcomer": lambda _: newcomer.measure(),
    "startup": lambda _: startup.measure(),
    "report": site.measure,
    "store": store.measure,
    "sharing": lambda _: sharing.overhead(100) + sharing.sharing(rounds=2),
}
"""What can be measured by itself: each takes the number of problems, and gives one figure or several."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="harness bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="measure these parts; the others stay")
    parser.add_argument(
        "--problems", type=int, default=16, help="images of each whole attack (64 for the record)"
    )
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name, measure in PARTS.items():
        if chosen.only is None or name in chosen.only:
            print(f"{name} ...", flush=True)
            report.save(measure(chosen.problems), machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
