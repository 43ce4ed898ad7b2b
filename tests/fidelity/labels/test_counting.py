"""Geng's, Dimitrov's and Ma's counts, before they are rounded."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.core import Observation
from harness.core.counts import apportion
from harness.federated.fedavg import FedAvg
from harness.labels.dimitrov import Dimitrov
from harness.labels.geng import Geng
from harness.labels.ilrg import ILRG
from harness.labels.predictions import gaussian_images
from tests.fidelity.conftest import Fidelity
from tests.fidelity.labels.clients import CLASSES, Array, client, head, predictions, softmax
from tests.fidelity.labels.conftest import Estimate


def dummies(seen: Observation, weights: dict[str, torch.Tensor]) -> tuple[Array, float]:
    """The mean prediction on 64 noise images, and the mean sum of their features."""
    p, a = predictions(weights, gaussian_images(seen, 64))
    return p.mean(0), float(a.sum(1).mean())


@pytest.mark.parametrize("n", [8, 32])
def test_geng_solves_for_the_counts(n: int, estimate: Estimate, fidelity: Fidelity) -> None:
    for seed in range(5):
        seen, _ = client(n, seed)
        p, a = dummies(seen, seen.params)
        expected = n * p - n * head(seen).weight.sum(1) / a
        what = (
            "sum_i p_ic - n dw_c / a, p and a of noise images (Geng et al. 2021; Zhu et al. 2024, equation 7)"
        )
        fidelity("labels", "geng", what, estimate(Geng(), seen), torch.from_numpy(expected))


@pytest.mark.parametrize("epochs", [1, 3])
def test_dimitrov_averages_over_the_steps(epochs: int, estimate: Estimate, fidelity: Fidelity) -> None:
    """Zhu et al. 2024 print the interpolation backwards (equation 8) and 1 / E in place of 1 / U (equation 9)."""
    protocol = FedAvg(examples_per_client=12, batch_size=4, local_epochs=epochs, lr=0.05, scaling="raw")
    steps = 3 * epochs
    for seed in range(5):
        seen, _ = client(12, seed, protocol=protocol)
        trained = {name: value - seen.update[name] for name, value in seen.params.items()}
        (p0, a0), (p1, a1) = dummies(seen, seen.params), dummies(seen, trained)
        dw = seen.update["network.3.weight"].numpy().sum(1) / 0.05
        counts = np.zeros(CLASSES)
        for u in range(steps):
            p, a = p0 + (p1 - p0) * u / steps, a0 + (a1 - a0) * u / steps
            counts += (12 * p - 12 * dw / (steps * a)) / steps
        what = "mean over u of K p(u) - K (w0 - wT) / (eta U a(u)), p and a interpolated (Dimitrov et al. 2022, code)"
        fidelity("labels", "dimitrov", what, estimate(Dimitrov(), seen), torch.from_numpy(counts))


@pytest.mark.parametrize("n", [8, 32])
def test_ilrg_solves_the_system_of_counts(n: int, estimate: Estimate, fidelity: Fidelity) -> None:
    for seed in range(5):
        seen, _ = client(n, seed)
        sent = head(seen)
        w, b = (seen.params[f"network.3.{name}"].numpy() for name in ("weight", "bias"))
        p = np.stack([softmax(w @ (sent.weight[c] / sent.bias[c]) + b) for c in range(CLASSES)])
        system = np.concatenate([p.T - np.eye(CLASSES), np.ones((1, CLASSES))])
        expected = np.linalg.pinv(system) @ np.append(n * sent.bias, n)
        what = "pinv of sum_j k_j P_jc - k_c = n db_c, sum k = n; P = softmax(FC(dW_c / db_c)) (Ma et al. 2023, code)"
        fidelity(
            "labels",
            "ilrg",
            what,
            estimate(ILRG(shrinkage=0), seen),
            torch.from_numpy(expected),
            tolerance=1e-7,
        )


@given(
    st.lists(st.floats(0, 50), min_size=3, max_size=10).filter(lambda shares: sum(shares) > 1),
    st.integers(1, 60),
)
def test_counts_are_rounded_by_largest_remainder(shares: list[float], total: int) -> None:
    """Within one of the quota, and no class rounded down has a larger remainder than one rounded up."""
    quota = np.array(shares) * total / sum(shares)
    counts = apportion(torch.tensor(shares, dtype=torch.float64), total).numpy()
    assert counts.sum() == total
    assert (np.abs(counts - quota) < 1 + 1e-9).all()
    up, down = (quota - np.floor(quota))[counts > quota], (quota - np.floor(quota))[counts < quota]
    assert not len(up) or not len(down) or up.min() >= down.max() - 1e-9
