"""Batched Adam against torch.optim.Adam and the papers' schedules."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.variables import Layout
from tests.attacks.solvers.solver_problems import deep_leakage, evaluate, minimise, of, quadratic, rosenbrock

START = torch.linspace(-1, 1, 7, dtype=torch.float64)


def authors(start: Tensor, steps: int, signed: bool, decay: bool, **options: float) -> Tensor:
    """Geiping's loop on the Rosenbrock function: Adam on the (signed) gradient, MultiStepLR."""
    x = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], **options)
    milestones = [steps // 2.667, steps // 1.6, steps // 1.142] if decay else []
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)  # type: ignore[arg-type]
    for _ in range(steps):
        gradient = of(rosenbrock)(x)[1]
        x.grad = gradient.sign() if signed else gradient
        optimizer.step()
        scheduler.step()
    return x.detach()


def rates(adam: Adam, steps: int) -> list[float]:
    """The multiples of the learning rate, read off moves under a constant gradient of 1."""
    (run,) = minimise(adam, [lambda x: (x.sum(), torch.ones_like(x))], [START], steps)
    points = torch.stack([*run.points])
    return ((points[:-1] - points[1:])[:, 0] / adam.lr).tolist()


@pytest.mark.parametrize("steps", [1, 3, 24, 161])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_where_torch_ends(steps: int, signed: bool, decay: bool, dtype: torch.dtype) -> None:
    adam = Adam(lr=0.05, betas=(0.8, 0.99), eps=1e-6, signed=signed, schedule="step" if decay else "constant")
    (run,) = minimise(adam, [of(rosenbrock)], [START.to(dtype)], steps)
    expected = authors(START.to(dtype), steps, signed, decay, lr=0.05, betas=(0.8, 0.99), eps=1e-6)  # type: ignore[arg-type]
    torch.testing.assert_close(run.last, expected, rtol=1e-6, atol=1e-6)
    assert len(run.points) == steps + 1


def test_cosine_with_warmup() -> None:
    found = rates(Adam(schedule="cosine_warmup", eps=1e-12), 250)
    assert found[0] == pytest.approx(1 / 50)
    assert found[49] == pytest.approx(1)
    assert found[50] == pytest.approx(1)
    assert found[150] == pytest.approx(0.5)
    assert found[249] == pytest.approx(0.5 - 0.5 * math.cos(math.pi / 200))


def test_cosine_to_the_end() -> None:
    found = rates(Adam(schedule="cosine", eps=1e-12), 200)
    assert [found[step] for step in (0, 100)] == pytest.approx([1, 0.5])
    assert found[199] == pytest.approx(0.5 - 0.5 * math.cos(math.pi / 200))


def test_ggl_imagenet_multiplier() -> None:
    found = rates(Adam(schedule="ggl_imagenet", eps=1e-12), 200)
    assert found[:11] == pytest.approx([step / 10 for step in range(11)])
    assert found[11:151] == pytest.approx([1] * 140)
    assert found[175] == pytest.approx(0.5)
    assert found[199] == pytest.approx(0.5 - 0.5 * math.cos(math.pi * 0.02))


def test_noise_is_the_slots_own_and_grows_with_the_rate() -> None:
    flat = [lambda x: (x.sum() * 0, torch.zeros_like(x))] * 2
    starts = [torch.zeros(4000), torch.zeros(4000)]
    first, second = minimise(Adam(lr=0.1, noise=0.2), flat, starts, 1, seeds=[3, 4])
    (alone,) = minimise(Adam(lr=0.1, noise=0.2), flat[:1], starts[:1], 1, seeds=[4])
    assert first.last.std().item() == pytest.approx(0.1 * 0.2, rel=0.05)
    assert torch.equal(second.last, alone.last)
    assert not torch.equal(first.last, second.last)
    assert not minimise(Adam(lr=0.1), flat, starts, 1)[0].last.any()


def test_noise_waits_with_an_inactive_slot() -> None:
    state = Adam(noise=0.2).start(1, Layout.of(5), torch.device("cpu"), torch.float32)
    x = state.reset(0, torch.zeros(5), 10, torch.Generator().manual_seed(0))[None]
    zero, expected = torch.zeros(1, 5), 0.02 * torch.randn(5, generator=torch.Generator().manual_seed(0))
    for on in (False, False, True):
        x, _ = state.step(x, zero, torch.zeros(1), torch.tensor([on]))
    torch.testing.assert_close(x[0], expected)


def test_slots_of_different_ages_do_what_they_would_do_alone() -> None:
    adam = Adam(schedule="step", signed=True)
    problems, starts = zip(*(deep_leakage(seed) for seed in range(2)), strict=True)
    state = adam.start(2, Layout.of(261), torch.device("cpu"), torch.float64)
    x = torch.zeros(2, 261, dtype=torch.float64)
    x[0] = state.reset(0, starts[0], 20, torch.Generator())
    x[1] = state.reset(1, starts[0], 100, torch.Generator())
    elsewhere = torch.ones(261, dtype=torch.float64)
    for step in range(35):
        if step == 9:
            x[1] = state.reset(1, starts[1], 24, torch.Generator())
        grad, loss = evaluate(problems, x)
        grad[1] = elsewhere if step < 9 else grad[1]
        x, done = state.step(x, grad, loss, torch.tensor([True, True]))
    assert done.all()
    for slot, steps in enumerate((20, 24)):
        (alone,) = minimise(adam, [problems[slot]], [starts[slot]], steps)
        torch.testing.assert_close(x[slot], alone.last)


def test_signed_descent_reaches_the_minimum() -> None:
    (run,) = minimise(Adam(lr=0.1, signed=True, schedule="step"), [quadratic(7, 1e3)], [START], 400)
    assert run.best < 1e-3 * run.losses[0]


def test_a_stored_schedule_is_known_by_the_name_that_it_had() -> None:
    assert Adam(schedule="dlf") == Adam(schedule="exponential")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"betas": (0.9, 1.0)}, {"schedule": "linear"}, {"schedule": []}, {"lr": 0.0}, {"noise": -1}]
)
def test_refuses_what_makes_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Adam(**options)  # type: ignore[arg-type]
