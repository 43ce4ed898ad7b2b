"""GGL's objective, and what of its evaluations reaches CMA-ES, as in zhuohangli/GGL."""

from typing import Any

import cma
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.attacks.solvers.gaussian_process import GaussianProcess
from harness.attacks.solvers.nevergrad import NevergradCMA
from harness.attacks.solvers.variables import Layout
from harness.core import Batch, Generator, Knowledge, Observation, generator
from tests.conftest import Observe
from tests.fidelity.attacks.statements import (
    Points,
    adam,
    angle,
    configured,
    differences,
    searched,
    slope,
    thirds,
)
from tests.fidelity.conftest import Fidelity

SIZE = 6
WHAT = "(Li et al. 2022, equations 4 to 9; code)"


class Smooth(Generator):
    """Images of 8x8 pixels from so many numbers."""

    latent = SIZE

    def __init__(self) -> None:
        super().__init__()
        basis = torch.randn(SIZE, 64, generator=generator("smooth"), dtype=torch.float64)
        self.basis = nn.Parameter(basis, requires_grad=False)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (0.4 * z.double() @ self.basis).sigmoid().view(-1, 1, 8, 8)


@pytest.fixture
def seen(observe: Observe) -> Observation:
    z = torch.randn(1, SIZE, generator=generator("truth"), dtype=torch.float64)
    truth = Batch(Smooth()(z, torch.zeros(1)), torch.tensor([2]))
    return observe(truth, knowledge=Knowledge(labels=truth.y, prior=Smooth()))


def latent() -> Tensor:
    return torch.randn(1, SIZE, generator=generator("latent"), dtype=torch.float64)


def trial(seen: Observation, z: Tensor) -> Points:
    x = (0.4 * z @ Smooth().basis).sigmoid().view(-1, 1, 8, 8)
    return slope(seen.params, 2 * x - 1, torch.tensor([2]))


def kl(z: Tensor) -> Tensor:
    """The scalar mean and population deviation of the entries."""
    mean = z.sum() / SIZE
    variance = ((z - mean) ** 2).sum() / SIZE
    return -(1 + (variance + 1e-10).log() - mean**2 - variance) / 2


def loss(attack: Any, seen: Observation, z: Tensor) -> Tensor:
    found: Tensor = attack.loss({"latent": z}, seen, attack.prepare(seen))
    return found


@pytest.mark.parametrize("name", ["ggl", "ggl_cma"])
def test_cma_divides_the_distance_by_the_number_of_tensors(
    name: str, seen: Observation, fidelity: Fidelity
) -> None:
    z, attack = latent(), configured(name)
    assert len(seen.update) == 6
    expected = differences(trial(seen, z), seen.update) / 6 + 0.1 * kl(z)
    fidelity("attack", name, f"D1 / number of tensors + .1 KL {WHAT}", loss(attack, seen, z), expected)


def test_adam_does_not(seen: Observation, fidelity: Fidelity) -> None:
    z, attack = latent(), configured("ggl_adam")
    expected = differences(trial(seen, z), seen.update) + 0.1 * kl(z)
    what = f"D1, divided by nothing, + .1 KL {WHAT}"
    fidelity("attack", "ggl_adam", what, loss(attack, seen, z), expected)


def test_bayesian_optimisation_has_no_kl(seen: Observation, fidelity: Fidelity) -> None:
    z, attack = latent(), configured("ggl_bo")
    expected = differences(trial(seen, z), seen.update) / 6
    fidelity(
        "attack", "ggl_bo", f"D1 / number of tensors, without KL {WHAT}", loss(attack, seen, z), expected
    )


def matern(a: Tensor, b: Tensor) -> Tensor:
    """(1 + sqrt(5) r + 5 r^2 / 3) exp(-sqrt(5) r), lengths .5 (Rasmussen and Williams 2006, equation 4.17)."""
    r = ((a[:, None] - b[None]).square().sum(-1).sqrt()) / 0.5
    return (1 + 5**0.5 * r + 5 / 3 * r.square()) * (-(5**0.5) * r).exp()


def test_the_gaussian_process_of_turbo(fidelity: Fidelity) -> None:
    """At the values from which its hyper-parameters are fitted: scale 1, lengths .5, noise .005."""
    pytest.importorskip("gpytorch")
    x, y, at = (
        torch.rand(*shape, generator=generator("process", str(shape))).double()
        for shape in ((7, 3), (7,), (5, 3))
    )
    mean, covariance = GaussianProcess(x, y, steps=0).posterior(at)
    inner, across = matern(x, x) + 0.005 * torch.eye(7), matern(at, x)
    what = "TuRBO's Gaussian process: {} of the posterior (Rasmussen and Williams 2006, equations 2.23, 2.24)"
    fidelity(
        "attack", "ggl_bo", what.format("mean"), mean, across @ torch.linalg.solve(inner, y), tolerance=1e-5
    )
    expected = matern(at, at) - across @ torch.linalg.solve(inner, across.mT)
    fidelity("attack", "ggl_bo", what.format("covariance"), covariance, expected, tolerance=1e-5)


def test_the_other_distance_and_the_other_regulariser(seen: Observation, fidelity: Fidelity) -> None:
    z = latent()
    attack = configured("ggl", distance="cosine", kl=1e-4, norm=1e-3)
    expected = angle(trial(seen, z), seen.update) + 1e-4 * kl(z) + 1e-3 * ((z**2).sum() - SIZE) ** 2
    what = "D2, the cosine distance, with KL and (||z||^2 - k)^2"
    fidelity("attack", "ggl", f"{what} {WHAT}", loss(attack, seen, z), expected)
    squashed = configured("ggl", squash=True)
    expected = differences(trial(seen, z.tanh()), seen.update) / 6
    fidelity("attack", "ggl", f"tanh(z) without KL {WHAT}", loss(squashed, seen, z), expected)


@pytest.mark.parametrize("name", ["ggl", "ggl_adam", "ggl_bo", "ggl_cma"])
def test_the_true_latent_has_no_loss(name: str, seen: Observation) -> None:
    z = torch.randn(1, SIZE, generator=generator("truth"), dtype=torch.float64)
    assert float(loss(configured(name, kl=0.0), seen, z)) < 1e-20


def test_adam_takes_the_sign_in_three_stages(seen: Observation, fidelity: Fidelity) -> None:
    losses, _, start = searched(configured("ggl_adam"), seen, 40)

    def objective(points: Points, _: int) -> Tensor:
        return differences(trial(seen, points["latent"]), seen.update) + 0.1 * kl(points["latent"])

    expected, _ = adam(start, objective, 40, 0.1, thirds(40), signed=("latent",))
    what = "40 iterates: the sign of the slope, rate .1, times .1 at 3/8, 5/8 and 7/8 (code)"
    fidelity("attack", "ggl_adam", what, losses, expected, tolerance=1e-7)


def bowl(x: Tensor) -> float:
    return float((torch.arange(1, len(x) + 1) * (x - 0.3) ** 2).sum())


def told(rule: NevergradCMA, size: int, evaluations: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The points and losses in the order of their evaluation, and the populations that pycma took."""
    taken: list[list[Tensor]] = []
    tell = cma.CMAEvolutionStrategy.tell

    def watched(self: Any, solutions: Any, values: Any, *others: Any, **named: Any) -> Any:
        answer = tell(self, solutions, values, *others, **named)
        taken.append([torch.as_tensor(np.array(each)) for each in solutions])
        return answer

    monkeypatch.setattr(cma.CMAEvolutionStrategy, "tell", watched)
    state = rule.start(1, Layout.of(size), torch.device("cpu"), torch.float64)
    x = state.reset(0, torch.zeros(size).double(), evaluations, torch.Generator().manual_seed(2))[None]
    made, losses = [], []
    for _ in range(evaluations):
        made.append(x[0].clone())
        losses.append(bowl(x[0]))
        x, _ = state.step(x, None, torch.tensor(losses[-1:], dtype=torch.float64), torch.tensor([True]))
    monkeypatch.undo()
    return (made, losses), taken


def test_every_whole_generation_reaches_cma(monkeypatch: pytest.MonkeyPatch, fidelity: Fidelity) -> None:
    """All but the last, incomplete one: 54 generations of 18 and 28 left over, of which 18 are told no more."""
    rule = configured("ggl").optimizer
    assert rule.ask_ahead == 1
    (made, _), taken = told(rule, 128, 1000, monkeypatch)
    assert [len(each) for each in taken] == [18] * (999 // 18)
    what = "every generation of 4 + floor(3 ln k) evaluations is told whole, in its order (nevergrad 0.4.3)"
    flat = torch.stack([point for each in taken for point in each])
    fidelity("attack", "ggl", what, flat, torch.stack(made[: len(flat)]))


def test_what_is_asked_ahead_is_kept(monkeypatch: pytest.MonkeyPatch, fidelity: Fidelity) -> None:
    """GGL's loop on nevergrad 0.4.3, by pycma alone: ask for 50, tell 50; what is refused waits for the next."""
    size, ahead, rounds = 12, 50, 8
    (_, losses), taken = told(NevergradCMA(ask_ahead=ahead), size, ahead * rounds, monkeypatch)
    draw = np.random.RandomState(int(torch.randint(2**32, (1,), generator=torch.Generator().manual_seed(2))))
    population = 4 + int(3 * np.log(size))
    options = {"popsize": population, "randn": draw.randn, "verbose": -9, "seed": np.nan}
    strategy = cma.CMAEvolutionStrategy(np.zeros(size), 1.0, options)
    asked: list[Any] = []
    waiting: list[tuple[Any, float]] = []
    expected, count, before = [], 0, 0
    for _ in range(rounds):
        before = count
        while len(asked) < ahead:
            asked += list(strategy.ask())
        batch, asked = asked[:ahead], asked[ahead:]
        for point in batch:
            value = bowl(torch.as_tensor(point))
            expected.append(value)
            waiting.append((point, value))
            if len(waiting) >= population:
                try:
                    strategy.tell(*map(list, zip(*waiting, strict=True)))
                except RuntimeError:
                    continue
                count, waiting = count + len(waiting), []
    what = "asked 50 ahead: what CMA-ES refuses is kept and told with the next (nevergrad 0.4.3)"
    fidelity("attack", "ggl", what, losses, expected)
    assert sum(map(len, taken)) == before > ahead * (rounds - 2)  # the last round needs no telling
    assert len({tuple(point.tolist()) for each in taken for point in each}) == before
