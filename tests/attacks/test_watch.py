"""What a search tells while it lasts: how far it is and what it has found, and that telling changes nothing."""

from dataclasses import replace

import pytest
import torch

from harness.attacks.dlg import DLG
from harness.attacks.inverting import InvertingGradients
from harness.attacks.matching import total_variation
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers import library, telling
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.lbfgs import LBFGS
from harness.core import Batch, Moment, Problem, Watch
from harness.labels.idlg import IDLG as LabelRule  # noqa: N811
from tests.attacks.solvers.test_native import network, seen

SHAPE, CLASSES = (1, 9, 11), 10


class Listener(Watch):
    """Looks at everything that it can look at."""

    listens = True

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.moments: list[Moment] = []
        self.terms: list[dict[str, float]] = []
        self.batches: dict[int, Batch] = {}

    def advance(self, restart: int, share: float, loss: float) -> None:
        self.shares.append(restart + share)

    def hear(self, moment: Moment) -> None:
        self.moments.append(moment)
        self.terms.append(moment.terms())
        if moment.batch is not None:
            self.batches[moment.evaluation] = moment.batch()


def ig(**settings: object) -> OptimizationAttack:
    return InvertingGradients(
        optimizer=Adam(lr=0.1), labels=LabelRule(), steps=30, total_variation=0.1, **settings
    )


def dlg(**settings: object) -> OptimizationAttack:
    return DLG(optimizer=LBFGS(), steps=25, **settings)


def problems(count: int = 2, watch: Watch | None = None) -> list[Problem]:
    model = network(SHAPE, CLASSES, 0)
    found = [Problem(seed, seen(model, SHAPE, CLASSES, seed), seed) for seed in range(count)]
    return [replace(each, watch=watch) if watch else each for each in found]


WAYS = [
    pytest.param(ig(engine="loop", restarts=2), id="loop"),
    pytest.param(ig(engine="vmap", slots=3), id="vmap"),
    pytest.param(dlg(engine="lowrank", slots=2), id="lowrank"),
    pytest.param(
        dlg(engine="native"),
        id="native",
        marks=pytest.mark.skipif(library.load() is None, reason="no C compiler was there at install"),
    ),
]


@pytest.mark.parametrize("attack", WAYS)
def test_who_listens_changes_nothing(attack: OptimizationAttack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "SECONDS", 0.0)
    alone = {found.problem: found for found in attack(problems())}
    for found in attack(problems(watch=Listener())):
        assert torch.equal(found.x, alone[found.problem].x)
        assert (found.loss, found.trace) == (alone[found.problem].loss, alone[found.problem].trace)
        assert torch.equal(found.end.x, alone[found.problem].end.x)


@pytest.mark.parametrize("attack", WAYS)
def test_the_course_that_is_told_is_the_trace(
    attack: OptimizationAttack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "SECONDS", 0.0)
    listener = Listener()
    (found,) = replace(attack, restarts=1)(problems(1, listener))
    told = {moment.evaluation: moment.loss for moment in listener.moments}
    assert found.trace
    assert all(told[int(point["evaluation"])] == point["loss"] for point in found.trace)
    assert listener.shares == sorted(listener.shares)
    assert 0 < listener.shares[0] <= listener.shares[-1] <= 1
    assert listener.batches


def test_what_is_told_of_a_moment_is_the_attack_s_own() -> None:
    """The images whose loss it is, and the loss's regularisers: at the best point, those that are returned."""
    listener = Listener()
    (found,) = ig(engine="loop")(problems(1, listener))
    best = min(listener.moments, key=lambda moment: moment.loss)
    batch = listener.batches[best.evaluation]
    assert torch.equal(batch.x.clamp(0, 1), found.x)
    terms = listener.terms[listener.moments.index(best)]
    images = problems(1)[0].observation.model.normalize(batch.x)
    assert terms["total_variation"] == pytest.approx(0.1 * float(total_variation(images)), rel=1e-5)


def test_restarts_are_told_apart() -> None:
    listener = Listener()
    list(ig(engine="loop", restarts=2)(problems(1, listener)))
    assert {moment.restart for moment in listener.moments} == {0, 1}
