"""Residual networks in native code: the gradients of autograd, the update alone, and what is refused."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers import library, selection
from harness.attacks.solvers.engine import Engine
from harness.attacks.solvers.evaluator import Loop
from harness.attacks.solvers.jobs import Job
from harness.attacks.solvers.residual import Packing, Residual, refusal
from harness.attacks.solvers.units import units
from harness.core import Defense, Observation, UserError, generator
from harness.core.activation import activate
from harness.defenses.clipping import Clipping
from harness.defenses.soteria import Soteria
from harness.models.normalization import BatchNorm2d
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

needs_library = pytest.mark.skipif(library.load() is None, reason="no C compiler was there at install")
GIVEN = pytest.mark.parametrize("name", ATTACKS)


@needs_library
@GIVEN
@pytest.mark.parametrize(("width", "blocks"), [(4, 1), (16, 1), (20, 2)])
def test_loss_and_gradient_are_those_of_autograd(name: str, width: int, blocks: int) -> None:
    attack, network = ATTACKS[name], resnet(width, blocks)
    observation = seen(classifier(network))
    problem, x = setting(attack, observation)
    loss, gradient = evaluated(Residual(problem), problem, x)
    exact, slopes = expected(attack, observation, copy.deepcopy(observation.model).double(), x)
    assert loss == pytest.approx(exact, rel=1e-5)
    assert float((gradient - slopes).norm() / slopes.norm()) < 1e-5


@needs_library
@pytest.mark.parametrize("name", ["ig", "ig, l2", "idlg"])
def test_the_truth_costs_nothing(name: str) -> None:
    observation = seen(classifier(resnet(8)))
    plain = {} if name == "idlg" else {"total_variation": 0}
    attack = replace(ATTACKS[name], **plain)
    problem, _ = setting(attack, observation)
    truth = observation.model.normalize(torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)))
    loss, gradient = evaluated(Residual(problem), problem, truth.flatten())
    assert abs(loss) < 1e-6
    assert float(gradient.norm()) < 1e-3


@needs_library
def test_one_network_for_all_or_one_for_each() -> None:
    """Problems that come and go, with networks of their own."""
    seeds = [0, 1, 1]
    models = {seed: classifier(resnet(8, seed=seed)) for seed in (0, 1)}
    observations = [seen(models[seed], k) for k, seed in enumerate(seeds)]
    together = [setting(ATTACKS["ig"], each, k) for k, each in enumerate(observations)]
    evaluator = Residual(together[0][0])
    for slot, (problem, _) in enumerate(together):
        evaluator.load(slot, problem.observation, problem.known)
    assert len({id(problem.network) for problem in evaluator.problems.values()}) == 2
    evaluator.release(0)
    evaluator.renumber([1, 2])
    slots, loss, gradient = evaluator.evaluate(torch.stack([x for _, x in together[1:]]))
    assert slots == [0, 1]
    assert gradient is not None
    for row, (problem, x) in enumerate(together[1:]):
        alone, slopes = evaluated(Residual(problem), problem, x)
        assert alone == float(loss[row])
        assert torch.equal(slopes, gradient[row])


@needs_library
@pytest.mark.parametrize("defense", [None, Clipping(bound=0.5), Soteria(percent=50)], ids=repr)
def test_the_update_alone(defense: Defense | None) -> None:
    attack, observation = ggl(defense)
    problem, x = setting(attack, observation)
    x = x + torch.randn(x.shape, generator=generator("latent"))
    assert refusal(problem) is None
    loss, _ = evaluated(Residual(problem), problem, x)
    exact, _ = evaluated(Loop(problem), problem, x)
    assert loss == pytest.approx(exact, rel=1e-5)


@needs_library
def test_a_vector_of_parameters_is_these_parameters() -> None:
    observation = seen(classifier(resnet(20)))
    packing = Packing(observation.model, units(observation.model), CLASSES)
    back = packing.unpack(packing.pack(observation.params))
    assert back.keys() == observation.params.keys()
    assert all(torch.equal(value, observation.params[name]) for name, value in back.items())


@needs_library
def test_the_engine_finds_what_the_loop_finds() -> None:
    """A few steps: before rounding has grown."""
    observation = seen(classifier(resnet(8)))
    losses = []
    for engine in ("native", "loop"):
        attack = replace(ATTACKS["idlg"], engine=engine, steps=1)
        job = Job(None, observation, torch.Generator().manual_seed(3))
        ((_, found),) = Engine(attack).run(iter([job]))
        losses.append([point["loss"] for point in found.trace])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def strange(change: Callable[[nn.Sequential], None]) -> Observation:
    network = resnet(8)
    assert isinstance(network, nn.Sequential)
    change(network)
    return seen(classifier(network))


def replaced(place: int, layer: nn.Module) -> Callable[[nn.Sequential], None]:
    return lambda network: network.__setitem__(place, layer)


NETWORKS = {
    "Tanh": replaced(2, nn.Tanh()),
    "Softplus": lambda network: activate(network, "softplus"),
    "without bias, padded": replaced(0, nn.Conv2d(3, 8, 3, padding=1)),
    "1 x 1 and 3 x 3": replaced(0, nn.Conv2d(3, 8, 5, padding=2, bias=False)),
    "without batch normalisation": lambda network: network.insert(7, nn.Conv2d(64, 64, 1, bias=False)),
    "mean over all places": replaced(7, nn.MaxPool2d(2)),
    "last layer without bias": replaced(9, nn.Linear(64, CLASSES, bias=False)),
    "BatchNorm2d at this place": lambda network: network.insert(2, BatchNorm2d(8)) and None,
}


@pytest.mark.parametrize("reason", NETWORKS)
def test_other_networks_are_refused(reason: str) -> None:
    problem, _ = setting(ATTACKS["ig"], strange(NETWORKS[reason]))
    assert reason in str(refusal(problem))


def test_other_settings_are_refused() -> None:
    plain = seen(classifier(resnet(4)))

    def said(attack: OptimizationAttack, observation: Observation) -> str:
        return str(refusal(setting(attack, observation)[0]))

    assert "autocast" in said(replace(IG, autocast=True), plain)
    assert "one image" in said(ATTACKS["dlg"], seen(classifier(resnet(4)), images=2))
    assert "float32" in said(ATTACKS["dlg"], seen(classifier(resnet(4), torch.float64)))
    train = replace(plain, protocol=replace(plain.protocol, normalization="train"))
    assert "normalization=eval" in said(ATTACKS["dlg"], train)
    knowing = replace(
        plain, knowledge=replace(plain.knowledge, adaptations=Clipping(bound=1.0).adaptations())
    )
    assert "defence" in said(ATTACKS["dlg"], knowing)


def test_a_loss_of_ones_own_is_refused() -> None:
    """It inherits all but what says how the loss is made."""

    class Other(type(ATTACKS["ig"])):  # type: ignore[misc]
        def mismatch(self, *arguments: object) -> torch.Tensor:
            return torch.zeros(())

    other = Other(**vars(ATTACKS["ig"]))
    assert "matches updates" in str(refusal(setting(other, seen(classifier(resnet(4))))[0]))


@needs_library
@pytest.mark.parametrize(
    ("name", "images", "chosen"), [("dlg", 1, True), ("idlg", 1, True), ("dlg", 2, False)]
)
def test_auto_takes_it_for_searches_by_lbfgs(name: str, images: int, chosen: bool) -> None:
    problem, x = setting(ATTACKS[name], seen(classifier(resnet(4)), images=images))
    assert isinstance(selection.select(problem, x, "auto", None)[0], Residual) == chosen


def test_auto_does_without_it_where_it_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "load", lambda: None)
    problem, x = setting(ATTACKS["dlg"], seen(classifier(resnet(4))))
    assert not isinstance(selection.select(problem, x, "auto", None)[0], Residual)


def test_asking_for_native_code_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, x = setting(ATTACKS["ig"], seen(classifier(resnet(4)), images=2))
    with pytest.raises(UserError, match=r"attack\.engine=native needs one image"):
        selection.select(problem, x, "native", None)
    problem, x = setting(ATTACKS["ig"], seen(classifier(resnet(4))))
    monkeypatch.setattr(library, "load", lambda: None)
    with pytest.raises(UserError, match="was not built here: say loop"):
        selection.select(problem, x, "native", None)


@needs_library
@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_every_level_is_tried(capability: str) -> None:
    script = (
        "from tests.attacks.solvers import test_residual as t; from harness.attacks.solvers import library; "
        "t.test_loss_and_gradient_are_those_of_autograd('ig', 20, 1); print(library.level())"
    )
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == {"avx2": "x86-64-v3", "default": "plain"}[capability]


@pytest.mark.skipif(
    len(library.libraries()) < 2, reason="one library alone fits this processor, or was built"
)
def test_levels_with_fused_products_find_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (3, 16, 19)
    problem, x = setting(ATTACKS["ig"], seen(classifier(resnet(20, shape=shape)), shape=shape))
    found = []
    for path in library.libraries().values():
        opened = library.opened(path)
        monkeypatch.setattr(library, "load", lambda opened=opened: opened)
        found.append(evaluated(Residual(problem), problem, x))
    for loss, gradient in found[1:]:
        assert loss == found[0][0]
        assert torch.equal(gradient, found[0][1])
