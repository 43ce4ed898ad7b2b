"""The label rules of breaching, by its own code, on the very updates of table labels_peers at scale medium.

    python experiments/reference/labels_peers.py ROOT > labels_peers.csv     # after: pip install --no-deps breaching

ROOT holds CIFAR-10 as conf/dataset/tile_sheets_cifar10.yaml says. A line gives the mean label accuracy of a rule of
breaching (`published`) and of ours over the same updates, and the mean difference with its 95 % interval, paired.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
import yaml
from torch import Tensor

from harness.machine import vision as vision  # before torchvision, which breaching imports  # isort: skip
from breaching.attacks.base_attack import _BaseAttacker

from harness.base.statistics import statistic
from harness.config.composition import compose
from harness.core import Observation
from harness.metrics.labels import count, score_counts
from harness.models.head import head_parameters
from harness.runs.clients import open_targets

TABLE = yaml.safe_load(Path(__file__).parents[1].joinpath("table/labels_peers.yaml").read_text())["hydra"][
    "sweeper"
]
RULES = {
    "iDLG": "iDLG",
    "Analytic": "analytic",
    "GradInversion": "yin",
    "LLG (weights)": "wainakh-simple",
    "LLG": "bias-corrected",
    "Chance": "random",
}
"""Rows of the table, and what stands for them in breaching."""
DATASET, SCALE = "tile_sheets_cifar10", "medium"
Pair = tuple[float, float]


def recovered(rule: str, observation: Observation) -> Tensor:
    """The labels [n] that a rule of breaching reads off an update."""
    weight, bias = head_parameters(observation.model)
    user = {
        "gradients": [observation.update[weight].clone(), observation.update[str(bias)].clone()],
        "metadata": {"num_data_points": observation.n},
    }
    attacker = SimpleNamespace(
        cfg=SimpleNamespace(label_strategy=rule),
        setup={"device": torch.device("cpu"), "dtype": torch.float32},
    )
    labels: Tensor = _BaseAttacker._recover_label_information(attacker, [user], [None], [observation.model])
    return labels


def pairs(column: str, root: str) -> Iterator[tuple[str, Pair]]:
    """The label accuracies of our rule and breaching's on each update of a column, by row."""
    common = [*TABLE["base"], *TABLE["columns"][column], *TABLE["scales"][SCALE]["columns"].get(column, [])]
    common += [f"dataset={DATASET}", f"data.root={root}", f"scale={SCALE}", "threads=1"]
    rows = {row: compose(*common, *TABLE["rows"][row]) for row in RULES}
    targets = open_targets(rows["Chance"])
    for position in range(targets.trials):
        client = targets[position]
        seen = client.problem.observation
        torch.manual_seed(position)  # of what breaching pads with
        for row, rule in RULES.items():
            sought = replace(seen, n=rows[row].fl.dummies or seen.n)  # iDLG's is one label
            found = rows[row].attack.labels.counts(sought), count(recovered(rule, seen), seen.classes)
            truth = count(client.truth.y, seen.classes)
            ours, theirs = (score_counts(counts, truth)["label_accuracy"] for counts in found)
            yield row, (ours, theirs)


def main() -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = (
        "dataset",
        "row",
        "column",
        "metric",
        "published",
        "ours",
        "difference",
        "low",
        "high",
        "updates",
    )
    writer.writerow(columns)
    for column in TABLE["columns"]:
        found: dict[str, list[Pair]] = defaultdict(list)
        for row, pair in pairs(column, sys.argv[1]):
            found[row].append(pair)
        for row, both in found.items():
            summaries = [statistic(values) for values in (*zip(*both, strict=True), [a - b for a, b in both])]
            ours, theirs, apart = (summary for summary in summaries if summary is not None)
            numbers = (theirs.mean, ours.mean, apart.mean, apart.low, apart.high)
            rounded = [f"{0.0 if number is None else number:.3f}" for number in numbers]
            writer.writerow(["CIFAR-10", row, column, "label_accuracy", *rounded, len(both)])


if __name__ == "__main__":
    main()
