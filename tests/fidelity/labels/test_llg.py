"""Wainakh et al. 2022: from the gradients alone (LLG), with the model (LLG*), with public images (LLG+)."""

import numpy as np
import pytest
import torch

from harness.core import Batch, Observation
from harness.labels.llg import LLG
from harness.labels.llg_plus import LLGPlus
from harness.labels.llg_star import LLGStar, calibrate
from harness.labels.public import public_images
from tests.fidelity.conftest import Fidelity
from tests.fidelity.labels.clients import CLASSES, Array, client, gradient, head

CASES = [(n, seed) for n in (4, 8, 32) for seed in range(4)]


def named(signal: Array, impact: float, offset: Array, n: int) -> list[int]:
    """Algorithm 1: name what is negative, take the offset off, then name the least until n labels are named."""
    left, labels = signal.copy(), []
    for c in range(CLASSES):
        if left[c] < 0:
            labels.append(c)
            left[c] -= impact
    left -= offset
    while len(labels) < n:
        c = int(np.argmin(left))
        labels.append(c)
        left[c] -= impact
    return sorted(labels)


def signal(seen: Observation, weights: bool) -> Array:
    return head(seen).weight.sum(1) if weights else head(seen).bias


@pytest.mark.parametrize("weights", [True, False])
def test_llg_sums_what_is_negative(weights: bool, fidelity: Fidelity) -> None:
    found, expected = [], []
    for n, seed in CASES:
        seen, _ = client(n, seed)
        s = signal(seen, weights)
        m = s[s < 0].sum() / n * (1 + 1 / CLASSES)
        found.append(LLG(weights=weights).labels(seen))
        expected.append(torch.tensor(named(s, m, np.zeros(CLASSES), n)))
    read = "the weight's row sums" if weights else "the bias"
    what = f"algorithm 1, m = sum of negatives / n (1 + 1/C), no offset; on {read} (Wainakh et al. 2022)"
    fidelity("labels", "llg", what, found, expected, tolerance=0)


def calibrated(seen: Observation, batches: list[Batch], weights: bool) -> tuple[Array, Array, float, float]:
    """Offset and impact as we take them from updates of one class each, and the paper's impact."""
    slopes = [gradient(seen.params, b.x, b.y) for b in batches]
    signals = [g.weight.sum(1) if weights else g.bias for g in slopes]
    classes = [int(b.y[0]) for b in batches]
    pairs = list(zip(signals, classes, strict=True))
    offset = np.array([np.mean([s[c] for s, shown in pairs if shown != c]) for c in range(CLASSES)])
    impact = float(np.mean([s[c] - offset[c] for s, c in pairs])) / seen.n
    paper = float(np.mean([s[c] for s, c in pairs])) / seen.n * (1 + 1 / CLASSES)
    return np.array([impact]), offset, impact, paper


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("name", ["llg_star", "llg_plus"])
def test_llg_star_and_plus_measure_what_a_label_adds(name: str, weights: bool, fidelity: Fidelity) -> None:
    rule = LLGStar(weights=weights) if name == "llg_star" else LLGPlus(weights=weights)
    found, expected = [], []
    for n, seed in CASES:
        seen, _ = client(n, seed, public=3)
        batches = (
            rule._noise(seen)
            if isinstance(rule, LLGStar)
            else [Batch(x, torch.full((n,), c)) for c, x in enumerate(public_images(seen, name, n))]
        )
        _, offset, impact, paper = calibrated(seen, batches, weights)
        measured, absent = calibrate(seen, batches, weights)
        what = "s_c of an absent class: mean of dummy updates of the others (Wainakh et al. 2022)"
        fidelity("labels", name, what, absent, torch.from_numpy(offset))
        what = "m: mean of (s_i - its offset) / n over dummy updates of one class i"
        fidelity("labels", name, what, measured, impact)
        what = (
            "m beside the paper's mean of s_i / n (1 + 1/C), of which the offset takes the place; untrained"
        )
        fidelity("labels", name, what, measured, paper, tolerance=0.05)
        found.append(rule.labels(seen))
        expected.append(torch.tensor(named(signal(seen, weights), impact, offset, n)))
    what = "algorithm 1 with that m and offset (Wainakh et al. 2022)"
    fidelity("labels", name, what, found, expected, tolerance=0)
