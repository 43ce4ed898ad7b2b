"""RLU, where each class has one public image: its logits have no spread, so that nothing is left to chance."""

import numpy as np
import torch
from scipy.optimize import minimize

from harness.core import Observation, generator
from harness.federated.fedavg import FedAvg
from harness.labels.rlu import RLU, Moments
from tests.fidelity.conftest import Fidelity
from tests.fidelity.labels.clients import CLASSES, Array, Public, client, head, softmax
from tests.fidelity.labels.conftest import Estimate


def logits(seen: Observation, weights: dict[str, torch.Tensor]) -> Array:
    """Of the public image of each class, in order."""
    public = Public(1)
    with torch.no_grad():
        found: Array = torch.func.functional_call(seen.model, weights, (public.x,)).numpy()
    return found


def mix(confidence: Array, v: Array) -> Array:
    """argmin ||H z - v||^2 over shares z, with H by equation 14: the step of the bias that class c' brings about."""
    h = -confidence.T.copy()
    for c in range(CLASSES):
        h[c, c] = confidence[c].sum() - confidence[c, c]
    solved = minimize(
        lambda z: float(((h @ z - v) ** 2).sum()),
        np.full(CLASSES, 1 / CLASSES),
        jac=lambda z: 2 * h.T @ (h @ z - v),
        method="SLSQP",
        bounds=[(0, 1)] * CLASSES,
        constraints={"type": "eq", "fun": lambda z: z.sum() - 1, "jac": lambda z: np.ones(CLASSES)},
        options={"maxiter": 1000, "ftol": 1e-20},
    )
    found: Array = solved.x
    return found


def test_the_mix_explains_the_step_of_the_bias(estimate: Estimate, fidelity: Fidelity) -> None:
    for seed in range(5):
        seen, _ = client(16, seed)
        expected = 16 * mix(softmax(logits(seen, seen.params)), -head(seen).bias)
        what = "n argmin ||H z - v||^2, z >= 0, sum z = 1 (Zhu et al. 2024, equations 13-15; solved by SLSQP)"
        found = estimate(RLU(images=2, samples=3), seen)
        fidelity("labels", "rlu", what, found, torch.from_numpy(expected), tolerance=1e-4)


def test_confidences_are_means_over_normal_logits(fidelity: Fidelity) -> None:
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(3, 40, 3)) @ rng.normal(size=(3, 3)) + rng.normal(size=(3, 1, 3))
    noise = torch.randn(20_000, 3, generator=generator("noise"), dtype=torch.float64)
    expected = []
    for each in shown:
        mean = each.mean(0)
        covariance = (each - mean).T @ (each - mean) / len(each)
        expected.append(softmax(rng.multivariate_normal(mean, covariance, 200_000)).mean(0))
    what = (
        "S: mean softmax of draws from N(mu_c, Sigma_c) (equation 16; by other draws, so to sampling error)"
    )
    found = Moments.of(torch.from_numpy(shown)).confidence(noise)
    fidelity("labels", "rlu", what, found, torch.from_numpy(np.stack(expected)), tolerance=0.02)


def test_between_the_steps_the_logits_move_with_the_bias(estimate: Estimate, fidelity: Fidelity) -> None:
    """Equations 17 and 18; the paper's a'a leaves out the bias's own move, which 1 + a'a has."""
    protocol = FedAvg(examples_per_client=12, batch_size=12, local_epochs=3, lr=0.1, scaling="raw")
    for seed in range(3):
        seen, _ = client(12, seed, protocol=protocol)
        b, w = (seen.update[f"network.3.{name}"].numpy() / 0.3 for name in ("bias", "weight"))
        a = w.T @ b / (b @ b)
        trained = {name: value - seen.update[name] for name, value in seen.params.items()}
        last = softmax(logits(seen, trained))
        z = mix(softmax(logits(seen, seen.params)), -b)
        for _ in range(3):
            mu, path = logits(seen, seen.params), []
            for _ in range(2):
                s = softmax(mu)
                path.append(s)
                step = np.array(
                    [
                        z[c] * (s[c].sum() - s[c, c]) - sum(z[k] * s[k, c] for k in range(10) if k != c)
                        for c in range(10)
                    ]
                )
                mu = mu + 0.1 * step * (1 + a @ a)
            z = mix((path[0] + path[1] + last) / 3, -b)
        what = "the same over E steps, mu moved by E[db] (1 + a'a) (equations 17-18, which leave out the 1)"
        found = estimate(RLU(images=2, samples=3), seen)
        fidelity("labels", "rlu", what, found, torch.from_numpy(12 * z), tolerance=1e-4)
