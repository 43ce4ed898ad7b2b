"""Scores of inferred labels, and which image belongs to which."""

from collections import Counter
from itertools import permutations

import torch

from harness.core import generator
from harness.metrics.labels import count, score_counts
from harness.metrics.matching import match
from tests.fidelity.conftest import Fidelity


def test_labels_are_compared_as_multisets_and_as_counts(fidelity: Fidelity) -> None:
    rng = generator("labels")
    for _ in range(20):
        found, truth = torch.randint(7, (2, 16), generator=rng)
        scores = score_counts(count(found, 7), count(truth, 7))
        ours, theirs = Counter(found.tolist()), Counter(truth.tolist())
        missed = (theirs - ours).total()
        fidelity(
            "metric",
            "label_accuracy",
            "share of the labels named, repetitions counted",
            scores["label_accuracy"],
            1 - missed / 16,
        )
        exact = sum(ours[c] == theirs[c] for c in range(7)) / 7
        fidelity(
            "metric", "count_accuracy", "LnAcc: share of classes whose count is exact (Ma et al. 2023)",
            scores["count_accuracy"], exact,
        )  # fmt: skip
        told = sum((c in ours) == (c in theirs) for c in range(7)) / 7
        fidelity(
            "metric", "class_accuracy", "LeAcc: share of classes rightly said to be there or not (Ma et al. 2023)",
            scores["class_accuracy"], told,
        )  # fmt: skip


def test_images_are_matched_by_the_least_total_error(fidelity: Fidelity) -> None:
    rng = generator("images")
    for found_count, truth_count in ((5, 5), (3, 5), (5, 3)):
        found = torch.rand(found_count, 1, 3, 3, generator=rng, dtype=torch.float64)
        truth = torch.rand(truth_count, 1, 3, 3, generator=rng, dtype=torch.float64)
        errors = (truth[:, None] - found[None]).square().sum((2, 3, 4))
        if truth_count <= found_count:
            ways = [
                list(zip(range(truth_count), p, strict=True))
                for p in permutations(range(found_count), truth_count)
            ]
        else:
            ways = [
                list(zip(p, range(found_count), strict=True))
                for p in permutations(range(truth_count), found_count)
            ]
        best = min(ways, key=lambda way: sum(float(errors[ours, theirs]) for ours, theirs in way))
        ours, theirs = match(found, truth)
        fidelity(
            "metric",
            "matching",
            "one to one with the least total squared error, over all permutations",
            torch.stack([ours, theirs]),
            torch.tensor(sorted(best)).T,
            tolerance=0,
        )
