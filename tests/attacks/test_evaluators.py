"""Every way of evaluating a loss gives the same numbers, for shared and for fresh networks, whoever leaves first."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.dlg import DLG
from harness.attacks.ggl import GGL
from harness.attacks.idlg import IDLG
from harness.attacks.inverting import InvertingGradients
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers import lowrank, selection
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.evaluator import Evaluator, Loop, Setting, Vectorized
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.selection import automatic, operations, select
from harness.attacks.solvers.variables import Layout
from harness.core import (
    Batch,
    Classifier,
    Defense,
    Knowledge,
    Normalize,
    Observation,
    Params,
    UserError,
    generator,
)
from harness.defenses.clipping import Clipping
from harness.defenses.noise import Noise
from harness.defenses.none import NoDefense
from harness.defenses.soteria import Soteria
from harness.defenses.sparsification import Sparsification
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.labels.analytic import Analytic
from harness.models.lenet import LeNet

SHAPE, CLASSES, SLOTS = (2, 12, 8), 6, 4
ATTACKS = [
    DLG(steps=1, optimizer=LBFGS()),
    IDLG(steps=1, optimizer=LBFGS(), labels=Analytic()),
    InvertingGradients(steps=1, optimizer=Adam(), labels=Analytic()),
]
Make = Callable[[Setting], Evaluator]
EVALUATORS: dict[str, Make] = {
    "loop": Loop,
    "vmap": lambda setting: Vectorized(setting, SLOTS),
    "lowrank": lambda setting: lowrank.LowRank(setting, SLOTS),
}


def lenet(seed: int, dtype: torch.dtype) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LeNet().network(SHAPE, CLASSES)
    normalize = Normalize((0.4, 0.5), (0.2, 0.3))
    return Classifier(normalize, network).to(dtype).eval().requires_grad_(False)


def observations(
    fresh: bool, dtype: torch.dtype = torch.float64, defense: Defense | None = None, informed: bool = False
) -> list[Observation]:
    """One image on a sigmoid LeNet, SLOTS times, with one network or one for each."""
    defense = defense or NoDefense()
    model, found = lenet(0, dtype), []
    for k in range(SLOTS):
        rng = torch.Generator().manual_seed(k)
        model = lenet(k, dtype) if fresh else model
        params = {name: value.detach() for name, value in model.named_parameters()}
        truth = Batch(torch.rand(1, *SHAPE, generator=rng, dtype=torch.float64).to(dtype), torch.tensor([k]))
        protocol = FedSGD()
        update = protocol.update(model, params, truth)
        update = defense.on_update(update, model, params, truth, generator("noise", k))
        knowledge = Knowledge(labels=truth.y, adaptations=defense.adaptations() if informed else ())
        found.append(
            Observation(model, params, update, protocol, 1, SHAPE, CLASSES, knowledge=knowledge),
        )
    return found


def prepare(attack: OptimizationAttack, seen: list[Observation]) -> tuple[Setting, Tensor]:
    """What the engine would make of the problems, and their starting points [SLOTS, size]."""
    starts = [attack.initial(each, generator("start", k)) for k, each in enumerate(seen)]
    layout = Layout({name: value.shape for name, value in starts[0].items()})
    x = torch.stack([layout.flatten(start) for start in starts]).to(next(iter(seen[0].params.values())))
    return Setting(attack, layout, seen[0], attack.prepare(seen[0])), x


def load(evaluator: Evaluator, attack: OptimizationAttack, seen: list[Observation]) -> Evaluator:
    for slot, each in enumerate(seen):
        evaluator.load(slot, each, attack.prepare(each))
    return evaluator


def by_slot(evaluator: Evaluator, x: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    slots, loss, gradient = evaluator.evaluate(x)
    assert gradient is not None
    return {slot: (loss[row], gradient[row]) for row, slot in enumerate(slots)}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
@pytest.mark.parametrize("name", EVALUATORS)
def test_every_evaluator_agrees_with_double_precision(
    name: str, attack: OptimizationAttack, dtype: torch.dtype, fresh: bool
) -> None:
    if name == "lowrank" and isinstance(attack, InvertingGradients):
        pytest.skip("is not for this loss")
    exact, exact_x = prepare(attack, observations(fresh))
    reference = by_slot(load(Loop(exact), attack, observations(fresh)), exact_x)
    seen = observations(fresh, dtype)
    setting, x = prepare(attack, seen)
    found = by_slot(load(EVALUATORS[name](setting), attack, seen), x)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    assert sorted(found) == list(range(SLOTS))
    for slot, (loss, gradient) in reference.items():
        assert float(abs(found[slot][0] - loss)) <= tolerance * float(loss)
        assert float((found[slot][1] - gradient).norm()) <= tolerance * float(gradient.norm())


def test_what_cannot_be_compiled_whole_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Tensor:
        torch._dynamo.graph_break()  # type: ignore[no-untyped-call]
        return torch.zeros(())

    seen = observations(True, torch.float32)
    setting, x = prepare(ATTACKS[0], seen)
    evaluator = load(Vectorized(setting, SLOTS, compiled=True), ATTACKS[0], seen)
    monkeypatch.setattr(DLG, "loss", broken)
    with pytest.raises(UserError, match="say vmap"):
        evaluator.evaluate(x)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_compiled_agrees_with_double_precision(attack: OptimizationAttack) -> None:
    """Also when slots are empty: their rows are computed, and dropped."""
    exact, exact_x = prepare(attack, observations(True))
    reference = by_slot(load(Loop(exact), attack, observations(True)), exact_x)
    seen = observations(True, torch.float32)
    setting, x = prepare(attack, seen)
    evaluator = load(Vectorized(setting, SLOTS, compiled=True), attack, seen)
    for slots in ([0, 1, 2, 3], [0, 2, 3]):
        found = by_slot(evaluator, x)
        assert sorted(found) == slots
        for slot in slots:
            loss, gradient = reference[slot]
            assert float(abs(found[slot][0] - loss)) <= 1e-5 * float(loss)
            assert float((found[slot][1] - gradient).norm()) <= 1e-5 * float(gradient.norm())
        if slots == [0, 1, 2, 3]:
            evaluator.release(1)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("name", EVALUATORS)
def test_a_problem_that_leaves_disturbs_nobody(name: str, fresh: bool) -> None:
    attack, seen = ATTACKS[0], observations(fresh)
    setting, x = prepare(attack, seen)
    reference = by_slot(load(Loop(setting), attack, seen), x)
    evaluator = load(EVALUATORS[name](setting), attack, seen)
    evaluator.release(1)
    evaluator.release(3)
    assert sorted(by_slot(evaluator, x)) == [0, 2]
    evaluator.load(3, seen[1], attack.prepare(seen[1]))
    moved = x.clone()
    moved[3] = x[1]
    found = by_slot(evaluator, moved)
    for slot, original in ((0, 0), (2, 2), (3, 1)):
        torch.testing.assert_close(found[slot], reference[original], rtol=1e-11, atol=0)


@pytest.mark.parametrize("defense", [Clipping(bound=0.1), Soteria(percent=50.0)], ids=repr)
def test_low_rank_survives_what_keeps_the_rank(defense: Defense) -> None:
    attack, seen = ATTACKS[1], observations(True, defense=defense)
    setting, x = prepare(attack, seen)
    assert automatic(setting, x[0]) == "lowrank"
    reference = by_slot(load(Loop(setting), attack, seen), x)
    found = by_slot(load(lowrank.LowRank(setting, SLOTS), attack, seen), x)
    for slot in reference:
        torch.testing.assert_close(found[slot], reference[slot], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("defense", [Clipping(bound=0.1), Soteria(percent=50.0)], ids=repr)
def test_vmap_runs_informed_attacks(defense: Defense) -> None:
    attack, seen = ATTACKS[1], observations(True, defense=defense, informed=True)
    setting, x = prepare(attack, seen)
    assert automatic(setting, x[0]) == "vmap"
    reference = by_slot(load(Loop(setting), attack, seen), x)
    found = by_slot(load(Vectorized(setting, SLOTS), attack, seen), x)
    for slot in reference:
        torch.testing.assert_close(found[slot], reference[slot], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("attack", "defense", "informed", "expected"),
    [
        (ATTACKS[0], NoDefense(), False, "lowrank"),
        (ATTACKS[0], Noise(sigma=0.1), False, "vmap"),
        (ATTACKS[0], Sparsification(percent=50.0), False, "vmap"),
        (ATTACKS[0], Sparsification(percent=50.0), True, "loop"),
        (ATTACKS[2], NoDefense(), False, "vmap"),
    ],
)
def test_auto_chooses_by_capability(
    attack: OptimizationAttack, defense: Defense, informed: bool, expected: str
) -> None:
    setting, x = prepare(attack, observations(True, defense=defense, informed=informed))
    assert automatic(setting, x[0]) == expected


def test_auto_keeps_large_closures_and_stock_batch_normalisation_in_the_loop() -> None:
    seen = observations(False)[0]
    setting, x = prepare(ATTACKS[0], [seen])
    wide = nn.Sequential(
        nn.Conv2d(2, 256, 3, padding=1),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.Flatten(),
        nn.Linear(24576, CLASSES),
    )
    stock = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(192, CLASSES))
    for network in (wide, stock):
        model = Classifier(Normalize((0.4, 0.5), (0.2, 0.3)), network).double().eval().requires_grad_(False)
        params = dict(model.named_parameters())
        update = seen.protocol.update(model, params, Batch(torch.rand(1, *SHAPE).double(), torch.tensor([1])))
        observation = replace(seen, model=model, params=params, update=update)
        assert automatic(replace(setting, observation=observation), x[0]) == "loop"


@pytest.mark.parametrize(
    ("steps", "most", "expected"),
    [(4, 3.0, "vmap"), (4, 0.5, "loop"), (1, 0.5, "loop"), (1, 2.0, "vmap")],
)
def test_many_small_local_steps_are_small(
    steps: int, most: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`most`: operations up to which all that is unrolled fits, in those of a closure."""
    seen = replace(observations(False)[0], protocol=FedAvg(local_epochs=steps))
    setting, x = prepare(ATTACKS[2], [seen])
    needed = operations(setting, x[0])
    monkeypatch.setitem(selection.SMALL, "cpu", 0.9 * needed)
    monkeypatch.setitem(selection.SMALL_STEP, "cpu", 1.1 * needed / steps)
    monkeypatch.setattr(selection, "UNROLLED", most * needed)
    assert automatic(setting, x[0]) == expected
    monkeypatch.setitem(selection.SMALL_STEP, "cpu", 0.9 * needed / steps)
    assert automatic(setting, x[0]) == "loop"


@pytest.mark.parametrize(("share", "expected"), [(1.01, "vmap"), (0.99, "loop")])
def test_what_is_unrolled_side_by_side_fits_into_memory(
    share: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`share`: the memory that there is, of what the slots' local steps keep."""
    steps = 4
    seen = replace(observations(False)[0], protocol=FedAvg(local_epochs=steps))
    setting, x = prepare(ATTACKS[2], [seen])
    weights = sum(value.numel() * value.element_size() for value in seen.params.values())
    monkeypatch.setitem(selection.SMALL, "cpu", 0.0)
    monkeypatch.setitem(
        selection.MEMORY, "cpu", share * selection.COPIES * steps * weights * selection.SLOTS["cpu"]
    )
    assert automatic(setting, x[0]) == expected


def test_an_engine_that_cannot_is_refused() -> None:
    setting, x = prepare(ATTACKS[2], observations(True))
    with pytest.raises(UserError, match=r"attack\.engine=lowrank needs"):
        select(setting, x[0], "lowrank", None)
    informed = observations(True, defense=Sparsification(percent=50.0), informed=True)
    setting, x = prepare(ATTACKS[0], informed)
    with pytest.raises(UserError, match=r"attack\.engine=vmap"):
        select(setting, x[0], "vmap", None)


def test_slots_follow_the_evaluator_and_the_memory_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    setting, x = prepare(ATTACKS[0], observations(True))
    chosen = {engine: select(setting, x[0], engine, None)[1] for engine in ("loop", "vmap", "lowrank")}
    assert chosen == {"loop": 1, "vmap": 16, "lowrank": 16}
    assert select(setting, x[0], "vmap", 3)[1] == 3
    monkeypatch.setitem(selection.MEMORY, "cpu", 4e6)
    assert 1 < select(setting, x[0], "vmap", None)[1] < 16
    monkeypatch.setitem(selection.MEMORY, "cpu", 1)
    assert select(setting, x[0], "vmap", None)[1] == 1


@pytest.mark.parametrize(("slots", "alone"), [(1, False), (None, True), (5, True)])
def test_what_has_nothing_beside_it_by_configuration_takes_the_loop(slots: int | None, alone: bool) -> None:
    setting, x = prepare(ATTACKS[2], observations(True))
    assert isinstance(select(setting, x[0], "auto", slots, alone)[0], Loop)
    assert isinstance(select(setting, x[0], "auto", 5)[0], Vectorized)
    setting, x = prepare(ATTACKS[0], observations(True))
    assert isinstance(select(setting, x[0], "auto", slots, alone)[0], lowrank.LowRank)


def test_an_overridden_loss_is_not_taken_for_its_parent() -> None:
    class Other(DLG):
        def loss(self, variables: Params, observation: Observation, known: Params) -> Tensor:
            return super().loss(variables, observation, known) + variables["images"].abs().sum()

    setting, x = prepare(Other(steps=1, optimizer=LBFGS()), observations(True))
    assert not lowrank.applies(setting)
    assert automatic(setting, x[0]) == "loop"


def test_problems_of_another_kind_are_not_taken() -> None:
    setting, _ = prepare(ATTACKS[0], observations(True))
    evaluator, (_, like, *_) = Vectorized(setting, SLOTS), observations(True)
    assert evaluator.takes(like)
    assert not evaluator.takes(replace(like, protocol=FedSGD(batch_size=2)))
    assert Loop(setting).takes(replace(like, protocol=FedSGD(batch_size=2)))


def test_ggl_takes_vmap_for_its_latent_vectors() -> None:
    assert getattr(GGL.loss, "vectorizable", False)
