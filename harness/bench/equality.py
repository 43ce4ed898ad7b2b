"""python -m harness.bench.equality [--images N] [--rows ROW ...] [--share X]: is another engine as good as the loop?

Table 3 at its small scale on digits32, every cell by both engines, on the same images from the same starts; what is
compared is the PSNR of the last iterate, which that table reports. Rounding makes single trajectories part; so equality
is that of means: two one-sided tests on the paired differences of each row over all its columns, within MARGIN.
Rows that are in experiments/results/engines/psnr.csv are not made again; those of other numbers of steps stand beside.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from omegaconf import OmegaConf

from harness.attacks.optimization import OptimizationAttack
from harness.base.rows import pipes, read_csv, to_csv
from harness.base.schema import EXPERIMENTS
from harness.base.statistics.comparison import MeanDifference, equivalence
from harness.config.composition import compose
from harness.core import Batch
from harness.metrics.psnr import PSNR
from harness.runs.clients import Clients
from harness.tables import spec
from harness.tables.layout import Cell

FOLDER = Path("experiments/results/engines")
TABLE = EXPERIMENTS / "table" / "table3.yaml"
REFERENCE = "loop"
MARGIN = 0.3
"""dB."""
LEVEL = 0.05
BLOCK = 4
"""Images of a cell at a time, so that all cells have come equally far whenever it is stopped."""
HEAD = ("row", "column", "steps", "image", "engine", "psnr")


class Key(NamedTuple):
    """Whose PSNR it is."""

    row: str
    column: str
    steps: int
    image: int
    engine: str


def cells() -> list[Cell]:
    """The cells of the table at the small scale."""
    node = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(TABLE), resolve=False))
    return spec.parse(node["hydra"]["sweeper"]).cells("digits32", "small")


def load(folder: Path = FOLDER) -> dict[Key, float]:
    """The rows that are there."""
    path = folder / "psnr.csv"
    rows = read_csv(path) if path.is_file() else []
    return {
        Key(r["row"], r["column"], int(r["steps"]), int(r["image"]), r["engine"]): float(r["psnr"])
        for r in rows
    }


def save(found: dict[Key, float], folder: Path = FOLDER) -> None:
    """Write the rows and the table of them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(*key, f"{psnr:.4f}") for key, psnr in found.items()]
    (folder / "psnr.csv").write_text(to_csv([HEAD, *rows]))
    (folder / "psnr.md").write_text(document(found))


def share_of_steps(cell: Cell, share: float) -> int:
    """So large a share of the steps that the table gives a cell."""
    attack = compose(*cell.overrides).attack
    assert isinstance(attack, OptimizationAttack)
    return math.ceil(share * attack.steps)


def measure(cell: Cell, steps: int, engine: str, images: Sequence[int]) -> Iterator[tuple[Key, float]]:
    """The PSNR of each image by one engine."""
    settings = (
        f"attack.engine={engine}",
        f"attack.steps={steps}",
        f"trials={max(images) + 1}",
        f"scale.trials={max(images) + 1}",
        "device=cpu",
    )
    run = compose(*cell.overrides, *settings)
    targets, psnr = Clients(run), PSNR(convention="ggl")
    clients = {k: targets[k] for k in images}
    for found in run.attack(client.problem for client in clients.values()):
        client, end = clients[found.problem], found.end
        observation = client.problem.observation
        score = psnr(Batch(end.x, end.y), client.truth, observation.model, observation.params)
        yield Key(cell.row, cell.column, steps, found.problem, engine), float(score)


def document(found: dict[Key, float]) -> str:
    """psnr.md: each row over all its columns, then every cell."""
    head = (
        *("engine", "row", "steps", "column", "images"),
        *(f"{REFERENCE}, dB", "engine, dB", "difference (95 %), dB", "within"),
    )
    pairs = [key for key in found if key.engine != REFERENCE and key._replace(engine=REFERENCE) in found]
    lines: list[tuple[str, ...]] = []
    for engine, row, steps in sorted({(key.engine, key.row, key.steps) for key in pairs}):
        own = [key for key in pairs if (key.engine, key.row, key.steps) == (engine, row, steps)]
        columns = list(dict.fromkeys(key.column for key in own))
        lines.append((engine, row, str(steps), "all", *_line(found, _everywhere(own, columns))))
        for column in columns:
            chosen = [key for key in own if key.column == column]
            lines.append((engine, row, str(steps), column, *_line(found, chosen)))
    return "\n\n".join((_title(), pipes([head, *lines]))) + "\n"


def _everywhere(own: Sequence[Key], columns: Sequence[str]) -> list[Key]:
    """Those of the images that were attacked in every column."""
    seen = Counter(key.image for key in own)
    return [key for key in own if seen[key.image] == len(columns)]


def _title() -> str:
    return (
        "# Another engine beside the loop\n\n"
        "Written by `python -m harness.bench.equality`. PSNR of the last iterate in GGL's units, Table 3 at the small\n"
        f"scale on digits32, the same images and starts. `within`: that the means differ by less than {MARGIN} dB, by\n"
        f"two one-sided tests at {LEVEL:.0%} over images (an image under all defences is one unit).\n"
        "The table's own steps are in experiments/table/table3.yaml; fewer of them show less."
    )


def _line(found: dict[Key, float], pairs: Sequence[Key]) -> tuple[str, ...]:
    ours, loop = [found[key] for key in pairs], [found[key._replace(engine=REFERENCE)] for key in pairs]
    difference = equivalence(ours, loop, MARGIN, [key.image for key in pairs])
    return (
        str(difference.n),
        f"{sum(loop) / len(loop):.2f}",
        f"{sum(ours) / len(ours):.2f}",
        _interval(difference),
        "yes" if difference.above < LEVEL else f"not shown (p = {difference.above:.2g})",
    )


def _interval(difference: MeanDifference) -> str:
    if difference.interval is None:
        return f"{difference.mean:+.2f}"
    return f"{difference.mean:+.2f} ({difference.interval[0]:+.2f} to {difference.interval[1]:+.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m harness.bench.equality", description=__doc__)
    parser.add_argument("--images", type=int, default=BLOCK, help="of each cell")
    parser.add_argument("--rows", nargs="+", help="of the table; else all")
    parser.add_argument("--engine", default="native")
    parser.add_argument("--share", type=float, default=1.0, help="of the table's steps")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = load()
    wanted = {
        cell: share_of_steps(cell, chosen.share)
        for cell in cells()
        if chosen.rows is None or cell.row in chosen.rows
    }
    for first in range(0, chosen.images, BLOCK):
        for (cell, steps), engine in product(wanted.items(), (REFERENCE, chosen.engine)):
            images = range(first, min(first + BLOCK, chosen.images))
            missing = [k for k in images if Key(cell.row, cell.column, steps, k, engine) not in found]
            if missing:
                for key, psnr in measure(cell, steps, engine, missing):
                    found[key] = psnr
                    save(found)
                print(
                    f"{cell.name}, {steps} steps, {engine}, images {missing[0]} to {missing[-1]}", flush=True
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
