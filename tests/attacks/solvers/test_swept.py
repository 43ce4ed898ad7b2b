"""Residual networks by hand in torch: autograd's gradients, the update alone, and what is refused."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers import selection
from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.engine import Engine
from harness.attacks.solvers.evaluator import Loop
from harness.attacks.solvers.jobs import Job
from harness.attacks.solvers.nevergrad import NevergradCMA
from harness.attacks.solvers.optimizer import Optimizer
from harness.attacks.solvers.sweeps.network import SharedNetwork
from harness.attacks.solvers.swept import Swept, refusal
from harness.core import Batch, Defense, Observation, Shape, UserError
from harness.core.activation import LAYERS, Nonlinearity, activate
from harness.core.normalization import Normalization
from harness.defenses.clipping import Clipping
from harness.defenses.soteria import Soteria
from harness.defenses.sparsification import Sparsification
from harness.federated.fedavg import FedAvg
from harness.models.resnet import ResNet
from tests.attacks.solvers.residual_problems import (
    ATTACKS,
    CLASSES,
    IG,
    SHAPE,
    classifier,
    evaluated,
    expected,
    ggl,
    resnet,
    seen,
    setting,
)

MODES: Sequence[Normalization] = ("eval", "train", "statistics")
MODELS = st.builds(
    ResNet,
    width=st.sampled_from([2, 5]),
    blocks=st.sampled_from([1, (2, 1, 1, 1)]),
    bottleneck=st.booleans(),
)


def sent(
    model: ResNet, activation: Nonlinearity, mode: Normalization, images: int, shape: Shape = SHAPE
) -> Observation:
    """What a client with such a network in float64 sends."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = model.network(shape, CLASSES)
    activate(network, activation)
    observation = seen(classifier(network, torch.float64), images=images)
    protocol = replace(observation.protocol, normalization=mode)
    rng = torch.Generator().manual_seed(1)
    truth = Batch(torch.rand(images, *shape, generator=rng).double(), torch.arange(images))
    statistics = protocol.statistics(observation.model, observation.params, truth)
    update = protocol.update(observation.model, observation.params, truth, statistics=statistics)
    update = {name: value.detach() for name, value in update.items()}
    return replace(observation, protocol=protocol, update=update, statistics=statistics)


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(sorted(ATTACKS)),
    model=MODELS,
    activation=st.sampled_from(sorted(LAYERS)),
    mode=st.sampled_from(MODES),
    images=st.integers(1, 2),
)
def test_loss_and_gradient_are_those_of_autograd(
    name: str, model: ResNet, activation: Nonlinearity, mode: Normalization, images: int
) -> None:
    problem, x = setting(ATTACKS[name], sent(model, activation, mode, images))
    assert refusal(problem) is None
    loss, gradient = evaluated(Swept(problem, exact=False), problem, x)
    exact, slopes = evaluated(Loop(problem), problem, x)
    assert loss == pytest.approx(exact, rel=1e-10)
    assert float((gradient - slopes).norm()) <= 1e-10 * float(slopes.norm())


@settings(max_examples=12, deadline=None)
@given(
    model=MODELS,
    activation=st.sampled_from(sorted(LAYERS)),
    mode=st.sampled_from(MODES),
    images=st.integers(1, 2),
    explicit=st.booleans(),
)
def test_the_gradient_in_the_parameters_is_the_clients(
    model: ResNet, activation: Nonlinearity, mode: Normalization, images: int, explicit: bool
) -> None:
    """For two problems at once, with hard and with soft labels, explicit or not."""
    observation = sent(model, activation, mode, images)
    network = SharedNetwork(observation, explicit)
    x = torch.rand(2, images, *SHAPE, generator=torch.Generator().manual_seed(2)).double()
    y = torch.rand(2, images, CLASSES, generator=torch.Generator().manual_seed(3)).double().softmax(-1)
    step = observation.statistics[0] if observation.statistics else {}
    statistics = {name: torch.stack([value, value]) for name, value in step.items()}
    sweep = network.sweep(torch.stack([observation.model.normalize(each) for each in x]), y, statistics)
    found = network.unpacked(sweep.gradient())
    protocol, params = observation.protocol, observation.params
    for k in range(2):
        batch = Batch(x[k], y[k])
        update = protocol.update(observation.model, params, batch, statistics=observation.statistics)
        assert found.keys() == update.keys()
        for name, value in update.items():
            assert float((found[name][k] - value).norm()) <= 1e-10 * float(value.norm()) + 1e-15


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(("width", "blocks"), [(16, 1), (20, 2)])
def test_single_precision_is_that_of_the_loop(name: str, width: int, blocks: int) -> None:
    attack, observation = ATTACKS[name], seen(classifier(resnet(width, blocks)))
    problem, x = setting(attack, observation)
    loss, gradient = evaluated(Swept(problem, exact=True), problem, x)
    exact, slopes = expected(attack, observation, classifier(resnet(width, blocks), torch.float64), x)
    assert loss == pytest.approx(exact, rel=1e-5)
    assert float((gradient - slopes).norm() / slopes.norm()) < 1e-5


@pytest.mark.parametrize("name", ["ig", "ig, l2", "idlg"])
def test_the_truth_costs_nothing(name: str) -> None:
    observation = seen(classifier(resnet(8)))
    plain = {} if name == "idlg" else {"total_variation": 0}
    problem, _ = setting(replace(ATTACKS[name], **plain), observation)
    truth = observation.model.normalize(torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)))
    loss, gradient = evaluated(Swept(problem, exact=False), problem, truth.flatten())
    assert abs(loss) < 1e-6
    assert float(gradient.norm()) < 1e-3


def test_problems_of_several_networks_come_and_go() -> None:
    models = [classifier(resnet(8, seed=seed), torch.float64) for seed in (0, 1)]
    observations = [seen(models[k % 2], k) for k in range(5)]
    together = [setting(ATTACKS["ig"], each, k) for k, each in enumerate(observations)]
    evaluator = Swept(together[0][0], exact=True)
    for slot, (problem, _) in enumerate(together):
        evaluator.load(slot, problem.observation, problem.known)
    assert sorted(len(group.problems) for group in evaluator.groups) == [2, 3]
    evaluator.release(1)
    evaluator.release(3)
    assert len(evaluator.groups) == 1
    evaluator.renumber([0, 2, 4])
    evaluator.load(3, observations[1], together[1][0].known)
    left = [together[k] for k in (0, 2, 4, 1)]
    slots, loss, gradient = evaluator.evaluate(torch.stack([x for _, x in left]))
    assert sorted(slots) == [0, 1, 2, 3]
    assert gradient is not None
    for row, slot in enumerate(slots):
        problem, x = left[slot]
        alone, slopes = evaluated(Loop(problem), problem, x)
        assert float(loss[row]) == pytest.approx(alone, rel=1e-10)
        torch.testing.assert_close(gradient[row], slopes, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    "defense", [None, Clipping(bound=0.5), Soteria(percent=50), Sparsification(percent=50)], ids=repr
)
def test_the_update_alone(defense: Defense | None) -> None:
    """Two candidates of one client, from places that differ."""
    attack, observation = ggl(defense)
    problem, x = setting(attack, observation)
    assert refusal(problem) is None
    rows = x + torch.randn(2, len(x), generator=torch.Generator().manual_seed(4))
    evaluator = Swept(problem, exact=True)
    for slot in range(2):
        evaluator.load(slot, observation, problem.known)
    _, loss, gradient = evaluator.evaluate(rows)
    assert gradient is None
    for k, row in enumerate(rows):
        exact, _ = evaluated(Loop(problem), problem, row)
        assert float(loss[k]) == pytest.approx(exact, rel=1e-5)


def test_the_engine_finds_what_the_loop_finds() -> None:
    """A few steps, before rounding has grown; two problems and the best of two restarts."""
    observations = [seen(classifier(resnet(8)), k) for k in range(2)]
    traces = []
    for engine in ("lowrank", "loop"):
        attack = replace(IG, engine=engine, steps=4)
        jobs = [Job(k, each, torch.Generator().manual_seed(k)) for k, each in enumerate(observations)]
        found = dict(Engine(attack).run(iter(jobs)))
        traces.append([point["loss"] for k in sorted(found) for point in found[k].trace])
    assert traces[0] == pytest.approx(traces[1], rel=1e-4)


def test_it_is_chosen_where_it_is_asked_for() -> None:
    problem, x = setting(IG, seen(classifier(resnet(4))))
    assert isinstance(selection.select(problem, x, "lowrank", None)[0], Swept)
    assert not isinstance(selection.select(problem, x, "auto", None)[0], Swept)


@pytest.mark.parametrize(("optimizer", "chosen"), [(NevergradCMA(), True), (CMA(), False)])
def test_auto_takes_it_for_the_cma_es_that_was_measured(optimizer: Optimizer, chosen: bool) -> None:
    attack, observation = ggl()
    problem, x = setting(replace(attack, optimizer=optimizer), observation)
    found, _ = selection.select(problem, x, "auto", None, one_network=True)
    assert isinstance(found, Swept) == chosen


@pytest.mark.parametrize(
    ("name", "slots", "alone", "chosen"),
    [
        ("ig", None, False, True),
        ("gi", None, False, True),
        ("ig", None, True, False),
        ("ig", 1, False, False),
        ("dlg", None, False, False),
        ("idlg", None, False, False),
    ],
)
def test_auto_takes_it_for_adams_searches_side_by_side_through_one_network(
    name: str, slots: int | None, alone: bool, chosen: bool
) -> None:
    problem, x = setting(ATTACKS[name], seen(classifier(resnet(4))))
    found, _ = selection.select(problem, x, "auto", slots, alone, one_network=True)
    assert isinstance(found, Swept) == chosen


def test_auto_does_without_it_where_two_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, x = setting(IG, seen(classifier(resnet(4))))
    evaluator, slots = selection.select(problem, x, "auto", None, one_network=True)
    assert (type(evaluator), slots) == (Swept, 16)
    parameters = sum(value.numel() for value in problem.observation.params.values())
    monkeypatch.setitem(selection.MEMORY, "cpu", 4 * (3 * parameters + 50 * x.numel()))
    evaluator, slots = selection.select(problem, x, "auto", None, one_network=True)
    assert (type(evaluator), slots) == (Loop, 1)


def test_auto_does_without_it_where_it_knows_no_way() -> None:
    observation = seen(classifier(resnet(4)))
    adaptations = Clipping(bound=1.0).adaptations()
    adaptive = replace(observation, knowledge=replace(observation.knowledge, adaptations=adaptations))
    for attack, each in ((IG, adaptive), (replace(IG, autocast=True), observation), ggl()):
        problem, x = setting(attack, each)
        found, _ = selection.select(problem, x, "auto", None, one_network=True)
        assert not isinstance(found, Swept)


@pytest.mark.parametrize(
    "reason", ["fedsgd", "matches updates", "defence", "single value", "compares updates"]
)
def test_other_settings_are_refused(reason: str) -> None:
    attack: OptimizationAttack = IG
    observation = seen(classifier(resnet(4)))
    if reason == "fedsgd":
        observation = replace(observation, protocol=FedAvg(batch_size=1, lr=0.1))
    elif reason == "matches updates":
        attack = replace(IG, autocast=True)
    elif reason == "defence":
        adaptations = Clipping(bound=1.0).adaptations()
        observation = replace(observation, knowledge=replace(observation.knowledge, adaptations=adaptations))
    elif reason == "single value":
        observation = seen(classifier(resnet(4)), shape=(3, 8, 8))
        observation = replace(observation, protocol=replace(observation.protocol, normalization="train"))
    else:
        attack, observation = _comparing_nothing()
    problem, x = setting(attack, observation)
    with pytest.raises(UserError, match=f"attack.engine=lowrank .*{reason}"):
        selection.select(problem, x, "lowrank", None)


def _comparing_nothing() -> tuple[OptimizationAttack, Observation]:
    """An attack that inherits all but what says how its loss is made."""
    attack, observation = ggl()

    class Other(type(attack)):  # type: ignore[misc]
        def loss(self, *arguments: object) -> torch.Tensor:
            return torch.zeros(())

    return Other(**vars(attack)), observation


def test_a_second_activation_is_not_lost() -> None:
    network = resnet(4)
    assert isinstance(network, torch.nn.Sequential)
    network.insert(3, torch.nn.Tanh())
    problem, _ = setting(IG, seen(classifier(network)))
    assert "Tanh at this place" in str(refusal(problem))
