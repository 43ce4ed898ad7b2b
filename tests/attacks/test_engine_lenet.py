"""Real deep leakage: whichever engine, however many slots, in whatever order, the same images come back."""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from harness.attacks.dlg import DLG
from harness.attacks.idlg import IDLG
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.objective import EngineName
from harness.core import Batch, Classifier, Normalize, Observation, Problem
from harness.federated.fedsgd import FedSGD
from harness.labels.idlg import IDLG as LabelRule  # noqa: N811
from harness.models.lenet import LeNet

SHAPE, CLASSES, COUNT = (1, 8, 8), 4, 5


def leakage(seed: int) -> tuple[Problem, Batch]:
    """The update of one smooth image on a fresh LeNet."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, 4, 4, generator=rng)
    truth = Batch(
        torch.nn.functional.interpolate(coarse, SHAPE[1:], mode="bilinear"), torch.tensor([seed % 4])
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LeNet().network(SHAPE, CLASSES)
    model = Classifier(Normalize((0.0,), (1.0,)), network).eval().requires_grad_(False)
    params = {name: value.detach() for name, value in model.named_parameters()}
    protocol = FedSGD()
    update = {name: value.detach() for name, value in protocol.update(model, params, truth).items()}
    return Problem(seed, Observation(model, params, update, protocol, 1, SHAPE, CLASSES), seed), truth


PROBLEMS = [leakage(seed) for seed in range(COUNT)]


def recovered(attack: OptimizationAttack, order: list[int]) -> dict[int, bool]:
    """Which problems are solved, to a mean squared error of 1e-3."""
    truth = {problem.id: batch.x for problem, batch in PROBLEMS}
    found = attack(PROBLEMS[position][0] for position in order)
    return {one.problem: float((one.x - truth[one.problem]).square().mean()) < 1e-3 for one in found}


@pytest.fixture(scope="module")
def reference() -> dict[str, dict[int, bool]]:
    """What the plain loop solves, one problem after the other."""
    return {name: recovered(attack(name, "loop", 1), list(range(COUNT))) for name in ("dlg", "idlg")}


def attack(name: str, engine: EngineName, slots: int | None) -> OptimizationAttack:
    if name == "dlg":
        return DLG(optimizer=LBFGS(), steps=20, tolerance=1e-6, engine=engine, slots=slots)
    return IDLG(optimizer=LBFGS(), labels=LabelRule(), steps=20, tolerance=1e-6, engine=engine, slots=slots)


@pytest.mark.parametrize("name", ["dlg", "idlg"])
@pytest.mark.parametrize(
    ("engine", "slots", "order"),
    [
        ("auto", None, [0, 1, 2, 3, 4]),
        ("lowrank", 1, [0, 1, 2, 3, 4]),
        ("lowrank", 4, [1, 0, 3, 2, 4]),
        ("vmap", 4, [3, 1, 0, 4, 2]),
        ("loop", 3, [2, 4, 0, 1, 3]),
    ],
)
def test_the_same_images_come_back(
    reference: dict[str, dict[int, bool]], name: str, engine: EngineName, slots: int | None, order: list[int]
) -> None:
    assert sum(reference[name].values()) >= COUNT - 1
    assert recovered(attack(name, engine, slots), order) == reference[name]


def test_a_thousand_problems_do_not_pile_up() -> None:
    """What is finished is let go: memory stays flat however long the queue is."""
    alive: list[weakref.ref[Observation]] = []

    def queue() -> Iterator[Problem]:
        for identity in range(1000):
            observation = replace(PROBLEMS[0][0].observation)
            alive.append(weakref.ref(observation))
            yield Problem(identity, observation, identity)

    most, count = 0, 0
    attack = IDLG(optimizer=Adam(), labels=LabelRule(), steps=1, slots=16, tolerance=1e9)
    for _ in attack(queue()):
        count += 1
        if count % 100 == 0:
            gc.collect()
            most = max(most, sum(reference() is not None for reference in alive))
    assert count == 1000
    assert most <= 16 + 4, "the slots, the first one as a template, and those on their way"
