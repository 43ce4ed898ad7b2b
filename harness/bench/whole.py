"""A whole process of ours beside one that attacks as the authors' script does: start, attack, storing and logging."""

import sys
from collections.abc import Sequence

import torch

from harness.bench.attacks import CASES, open_clients, serial_attack
from harness.bench.report import BenchResult
from harness.bench.startup import cpu_seconds

CASE = CASES["idlg_mnist"]
IMAGES = 96


def measure() -> list[BenchResult]:
    """CPU seconds of either process. Ours scores, stores and logs every image; the other one only attacks."""
    _, dataset = open_clients(CASE, IMAGES)
    ours = cpu_seconds(["-m", "harness", *CASE.overrides(dataset, IMAGES), "logger=csv"], 0)
    theirs = cpu_seconds(["-m", "harness.bench.whole", str(IMAGES)], 0)
    details: dict[str, float | str] = {
        "data": CASE.data(dataset),
        "images": IMAGES,
        "CPU s, ours": ours,
        "CPU s, serial": theirs,
    }
    return [BenchResult("whole_process", theirs / ours, details)]


def main(arguments: Sequence[str]) -> int:
    """What the other process does: the authors' loop over so many images."""
    torch.set_num_threads(1)
    images = int(arguments[0])
    clients, _ = open_clients(CASE, images)
    for position in range(images):
        serial_attack(clients.experiment, clients[position], CASE.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
