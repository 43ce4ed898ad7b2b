"""iDLG, analytic and GradInversion's rule: labels by the sign or the least entry of the head's gradient."""

import numpy as np
import torch

from harness.labels.analytic import Analytic
from harness.labels.idlg import IDLG
from harness.labels.yin import Yin
from tests.fidelity.conftest import Fidelity
from tests.fidelity.labels.clients import CLASSES, client, head


def test_idlg_is_the_row_of_the_least_sum(fidelity: Fidelity) -> None:
    found, by_weight, truth = [], [], []
    for seed in range(20):
        seen, batch = client(1, seed)
        found.append(int(IDLG().labels(seen)))
        by_weight.append(int(np.argmin(head(seen).weight.sum(1))))
        truth.append(int(batch.y))
    assert found == truth
    what = "argmin of the row sums of the head's weight gradient (Zhao et al. 2020, section 3; iDLG.py)"
    fidelity("labels", "idlg", what, found, by_weight, tolerance=0)


def test_analytic_is_every_class_with_a_negative_slope(fidelity: Fidelity) -> None:
    found, expected = [], []
    for seed in range(20):
        seen, _ = client(5, seed, distinct=True)
        negative = head(seen).bias < 0
        assert negative.sum() == 5
        found.append(Analytic().counts(seen))
        expected.append(torch.from_numpy(negative).long())
    what = "{c: dL/db_c < 0}, distinct labels (Zhao et al. 2020, equation 3)"
    fidelity("labels", "analytic", what, found, expected, tolerance=0)


def test_yin_is_the_rows_with_the_least_entries(fidelity: Fidelity) -> None:
    for n in (3, 8, CLASSES):
        found, expected = [], []
        for seed in range(20):
            seen, _ = client(n, seed)
            least = [(min(row), c) for c, row in enumerate(head(seen).weight.tolist())]
            found.append(Yin().labels(seen))
            expected.append(sorted(c for _, c in sorted(least)[:n]))
        what = "argsort(min_j dL/dW_cj)[:n] (Yin et al. 2021, section 3.2)"
        fidelity("labels", "yin", what, torch.stack(found), torch.tensor(expected), tolerance=0)
