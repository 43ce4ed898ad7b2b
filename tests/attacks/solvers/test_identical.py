"""What is found for a problem is the same to the last bit, whichever and however many problems are beside it."""

import functools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.attacks.dlg import DLG
from harness.attacks.ggl import GGL
from harness.attacks.inverting import InvertingGradients
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers import library
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.evaluator import Evaluator, Loop, Setting, Vectorized
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.lowrank import LowRank
from harness.attacks.solvers.optimizer import Optimizer
from harness.attacks.solvers.residual import Residual
from harness.attacks.solvers.selection import select
from harness.attacks.solvers.swept import Swept
from harness.attacks.solvers.variables import Layout
from harness.bench import problems
from harness.core import Generator, Model, Observation, Problem, Reconstruction, Shape, generator
from harness.labels.analytic import Analytic
from harness.models.cnn import CNN
from harness.models.lenet import LeNet
from harness.models.mlp import MLP
from harness.models.resnet import ResNet
from harness.priors.networks import ConvolutionalGenerator

COUNT, SLOTS, CLASSES = 9, 7, 7
MATCHING = DLG(steps=1, optimizer=LBFGS())
COSINE = InvertingGradients(steps=1, optimizer=Adam(), labels=Analytic())
Case = tuple[Callable[[Setting], Evaluator], OptimizationAttack, Model, Shape]
CASES: dict[str, Case] = {
    "loop": (Loop, MATCHING, LeNet(), (1, 13, 11)),
    "lowrank": (lambda setting: LowRank(setting, SLOTS), MATCHING, LeNet(), (1, 13, 11)),
    "lenet": (lambda setting: Vectorized(setting, SLOTS), MATCHING, LeNet(), (1, 13, 11)),
    "mlp": (lambda setting: Vectorized(setting, SLOTS), COSINE, MLP(hidden=33), (1, 9, 9)),
    "cnn": (lambda setting: Vectorized(setting, SLOTS), COSINE, CNN(), (1, 9, 9)),
    "swept": (lambda setting: Swept(setting, exact=True), COSINE, ResNet(width=4, blocks=1), (3, 9, 9)),
    "swept, l2": (
        lambda setting: Swept(setting, exact=True),
        MATCHING,
        ResNet(width=8, blocks=1),
        (1, 16, 16),
    ),
    "resnet": (lambda setting: Vectorized(setting, SLOTS), COSINE, ResNet(width=4, blocks=1), (3, 9, 9)),
}

if library.load() is not None:
    CASES["native"] = (Residual, COSINE, ResNet(width=4, blocks=1), (3, 9, 9))


@functools.cache
def observations(model: Model, shape: Shape, fresh: bool) -> list[Observation]:
    """COUNT clients, with one network or one for each."""
    if not fresh:
        return problems.share(model, shape, CLASSES, COUNT)
    return [problems.observe(model, shape, CLASSES, k) for k in range(COUNT)]


def evaluate(case: Case, seen: list[Observation], chosen: list[int]) -> dict[int, tuple[Tensor, Tensor]]:
    """Losses and gradients of the chosen problems at their starts, in slots of this order."""
    make, attack, _, _ = case
    setting, starts = problems.setting(attack, seen)
    setting = replace(setting, observation=seen[chosen[0]])
    evaluator, x = make(setting), starts.new_zeros(SLOTS, starts.shape[1])
    for slot, k in enumerate(chosen):
        evaluator.load(slot, seen[k], attack.prepare(seen[k]))
        x[slot] = starts[k]
    slots, loss, gradient = evaluator.evaluate(x)
    assert gradient is not None
    return {chosen[slot]: (loss[row], gradient[row]) for row, slot in enumerate(slots)}


@functools.cache
def reference(name: str, fresh: bool) -> dict[int, tuple[Tensor, Tensor]]:
    seen = observations(*CASES[name][2:], fresh)
    return evaluate(CASES[name], seen, [0, 1, 2, 3, 4]) | evaluate(CASES[name], seen, [5, 6, 7, 8])


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "shared"])
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8, deadline=None)
@given(chosen=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=SLOTS, unique=True))
def test_losses_and_gradients(name: str, fresh: bool, chosen: list[int]) -> None:
    for k, (loss, gradient) in evaluate(CASES[name], observations(*CASES[name][2:], fresh), chosen).items():
        expected_loss, expected_gradient = reference(name, fresh)[k]
        assert torch.equal(loss, expected_loss)
        assert torch.equal(gradient, expected_gradient)


def test_many_problems_of_a_wide_network() -> None:
    """oneDNN convolves 1 x 1 otherwise from 16 images on, and fewer than 8 grey ones otherwise than more."""
    setting, x = problems.setting(
        COSINE, problems.share(ResNet(width=64, blocks=1), (1, 16, 16), CLASSES, 16)
    )
    found = []
    for count in (1, 16):
        evaluator = Swept(setting, exact=True)
        for slot in range(count):
            evaluator.load(slot, setting.observation, setting.known)
        _, loss, gradient = evaluator.evaluate(x[:count])
        assert gradient is not None
        found.append((loss[0], gradient[0]))
    (loss, gradient), (beside_others, slope) = found
    assert torch.equal(loss, beside_others)
    assert torch.equal(gradient, slope)


@pytest.mark.parametrize("name", ["lowrank", "mlp", "cnn", "swept"])
def test_a_network_that_others_share_is_as_good_as_ones_own(name: str) -> None:
    """As when a group of runs that differ in their seed is split."""
    seen = observations(*CASES[name][2:], False)
    mixed = [*seen[:4], *observations(*CASES[name][2:], True)[4:]]
    for k, found in evaluate(CASES[name], mixed, [0, 5, 2, 6]).items():
        expected = reference(name, k > 3)[k]
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


ATTACKS: dict[str, tuple[OptimizationAttack, Model, Shape]] = {
    "dlg": (DLG(optimizer=LBFGS(), steps=8, tolerance=1e-3), LeNet(), (1, 13, 11)),
    "dlg, vmap": (DLG(optimizer=LBFGS(), steps=2, engine="vmap"), LeNet(), (1, 13, 11)),
    "ig": (
        InvertingGradients(optimizer=Adam(signed=True), labels=Analytic(), steps=6, restarts=2),
        MLP(hidden=33), (1, 9, 9),
    ),
    "ig, swept": (
        InvertingGradients(
            optimizer=Adam(signed=True), labels=Analytic(), steps=3, restarts=2, engine="lowrank"
        ),
        ResNet(width=4, blocks=1), (3, 9, 9),
    ),
    "ig, noise": (
        InvertingGradients(optimizer=Adam(noise=0.2), labels=Analytic(), steps=6, boxed=False),
        CNN(), (1, 9, 9),
    ),
    "ggl": (GGL(optimizer=CMA(population=4), labels=Analytic(), steps=9), LeNet(), (1, 16, 16)),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=4, deadline=None)
@given(
    chosen=st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True), slots=st.sampled_from([2, 3, 16])
)
def test_whole_attacks(name: str, chosen: list[int], slots: int) -> None:
    """Also with more problems than slots, and with slots that are dropped at the end."""
    attack = replace(ATTACKS[name][0], slots=slots)
    for found in attack(problem(name, k) for k in chosen):
        expected = whole(name)[found.problem]
        assert torch.equal(found.x, expected.x)
        assert (found.loss, found.trace) == (expected.loss, expected.trace)


def problem(name: str, k: int) -> Problem:
    attack, model, shape = ATTACKS[name]
    seen = observations(model, shape, True)[k]
    if attack.requires_prior:
        seen = replace(seen, knowledge=replace(seen.knowledge, prior=prior(shape)))
    return Problem(k, seen, seed=k)


@functools.cache
def prior(shape: Shape) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConvolutionalGenerator(shape, latent=6, base=8, kernel=4).eval().requires_grad_(False)


def test_a_generator_keeps_no_search_from_running_side_by_side() -> None:
    seen = [problem("ggl", k).observation for k in range(3)]
    setting, x = problems.setting(ATTACKS["ggl"][0], seen)
    assert isinstance(select(setting, x[0], "auto", None)[0], Vectorized)


@functools.cache
def whole(name: str) -> dict[int, Reconstruction]:
    return {found.problem: found for found in ATTACKS[name][0](problem(name, k) for k in range(5))}


@pytest.mark.parametrize(
    "optimizer", [LBFGS(history=5), Adam(signed=True), CMA()], ids=lambda one: type(one).__name__
)
@settings(max_examples=5, deadline=None)
@given(slots=st.permutations(range(5)), size=st.sampled_from([7, 33]))
def test_optimisers(optimizer: Optimizer, slots: list[int], size: int) -> None:
    """Rows of odd length, which begin at any place in memory."""
    together = course(optimizer, size, {slot: k for k, slot in enumerate(slots)})
    for k in (0, 3):
        assert torch.equal(together[k], course(optimizer, size, {0: k})[k])


def course(optimizer: Optimizer, size: int, problems: dict[int, int]) -> dict[int, Tensor]:
    """Where 60 steps lead on a bowl of each problem's own, by problem; `problems` are by slot."""
    state = optimizer.start(len(problems), Layout.of(size), torch.device("cpu"), torch.float32)
    x, bowls = torch.zeros(len(problems), size), torch.zeros(len(problems), size)
    for slot, k in problems.items():
        rng = generator("bowl", k)
        x[slot], bowls[slot] = torch.randn(size, generator=rng), torch.rand(size, generator=rng)
        x[slot] = state.reset(slot, x[slot], 1000, rng)
    for _ in range(60):
        loss = torch.stack([(bowl * row**2).sum() for bowl, row in zip(bowls, x, strict=True)])
        x, _ = state.step(x, 2 * bowls * x, loss, torch.ones(len(problems), dtype=torch.bool))
    return {k: x[slot] for slot, k in problems.items()}
