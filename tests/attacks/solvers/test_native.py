"""The native search: the gradient of autograd, the engine's contract, and what happens where it can't be had."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.attacks.dlg import DLG
from harness.attacks.idlg import IDLG
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers import library
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.engine import Engine
from harness.attacks.solvers.evaluator import Loop, Setting
from harness.attacks.solvers.jobs import Job
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.native import Native, NativeResult, Rules
from harness.attacks.solvers.variables import Layout
from harness.core import Batch, Classifier, Normalize, Observation, Reconstruction, Shape, UserError
from harness.federated.fedsgd import FedSGD
from harness.labels.idlg import IDLG as LabelRule  # noqa: N811
from harness.models.lenet import LeNet

needs_library = pytest.mark.skipif(library.load() is None, reason="no C compiler was there at install")
SMALL = (1, 9, 11)
ENDLESS = Rules(budget=400, every=40, tolerance=1e-6, exploded=1e3, exploded_steps=400)


def network(shape: Shape, classes: int, seed: int) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = LeNet().network(shape, classes)
    return Classifier(Normalize((0.3,), (0.6,)), layers).eval().requires_grad_(False)


def seen(model: Classifier, shape: Shape, classes: int, seed: int) -> Observation:
    rng = torch.Generator().manual_seed(seed)
    truth = Batch(torch.rand(1, *shape, generator=rng), torch.tensor([seed % classes]))
    params = {name: value.detach() for name, value in model.named_parameters()}
    sent = FedSGD().update(model, params, truth)
    update = {name: value.detach() for name, value in sent.items()}
    return Observation(model, params, update, FedSGD(), 1, shape, classes)


def attack(name: str, **settings: object) -> OptimizationAttack:
    if name == "dlg":
        return DLG(optimizer=LBFGS(), steps=20, tolerance=1e-6, **settings)
    return IDLG(optimizer=LBFGS(), labels=LabelRule(), steps=20, tolerance=1e-6, **settings)


def problem(
    name: str, observation: Observation, seed: int = 0
) -> tuple[Setting, torch.Tensor, dict[str, torch.Tensor]]:
    """The setting, the start [size] and what the attacker knows."""
    of = attack(name)
    start = of.initial(observation, torch.Generator().manual_seed(seed))
    layout = Layout({key: value.shape for key, value in start.items()})
    known = of.prepare(observation)
    return Setting(of, layout, observation, known), layout.flatten(start), known


def in_double(observation: Observation) -> Observation:
    model = network(observation.shape, observation.classes, 0).double()
    return replace(
        observation,
        model=model,
        params={name: value.double() for name, value in observation.params.items()},
        update={name: value.double() for name, value in observation.update.items()},
    )


@needs_library
@pytest.mark.parametrize("name", ["dlg", "idlg"])
@settings(max_examples=12, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    height=st.integers(7, 33),
    width=st.integers(7, 33),
    classes=st.sampled_from([2, 10, 17]),
    seed=st.integers(0, 9),
)
def test_loss_and_gradient_are_those_of_autograd(
    name: str, channels: int, height: int, width: int, classes: int, seed: int
) -> None:
    shape = (channels, height, width)
    observation = seen(network(shape, classes, 0), shape, classes, seed)
    setting, x, known = problem(name, observation)
    loss, gradient = Native(setting).closure(x, observation, known)
    loop, exact = Loop(setting), in_double(observation)
    known = {key: value.double() if value.is_floating_point() else value for key, value in known.items()}
    loop.load(0, exact, known)
    _, (expected,), slopes = loop.evaluate(x.double()[None])
    assert slopes is not None
    # Where the updates nearly agree, torch's own float32 is as far off: by so much at most, whatever they are.
    assert loss == pytest.approx(float(expected), rel=1e-4, abs=1e-8)
    assert float((gradient - slopes[0]).norm()) < max(3e-4 * float(slopes[0].norm()), 4e-6)


@needs_library
def test_the_truth_costs_nothing() -> None:
    observation = seen(network(SMALL, 4, 0), SMALL, 4, 1)
    setting, _, known = problem("idlg", observation)
    rng = torch.Generator().manual_seed(1)
    truth = observation.model.normalize(torch.rand(1, *SMALL, generator=rng)).flatten()
    loss, gradient = Native(setting).closure(truth, observation, known)
    assert loss < 1e-9
    assert float(gradient.abs().max()) < 1e-4


@needs_library
@pytest.mark.parametrize("kernel", [(3, 5), (5, 3)])
def test_any_sigmoid_network_of_convolutions(kernel: tuple[int, int]) -> None:
    shape, classes = (2, 14, 12), 5
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layers = nn.Sequential(
            *(nn.Conv2d(2, 16, kernel, stride=(1, 2), padding=(2, 1)), nn.Sigmoid()),
            *(nn.Conv2d(16, 7, 3, stride=(2, 1), padding=0), nn.Sigmoid()),
            nn.Flatten(),
            nn.LazyLinear(classes),
        )
        layers(torch.zeros(1, *shape))
    model = Classifier(Normalize((0.5,), (0.5,)), layers).eval().requires_grad_(False)
    observation = seen(model, shape, classes, 2)
    setting, x, known = problem("dlg", observation)
    loss, gradient = Native(setting).closure(x, observation, known)
    loop = Loop(setting)
    loop.load(0, observation, known)
    _, (expected,), slopes = loop.evaluate(x[None])
    assert slopes is not None
    assert loss == pytest.approx(float(expected), rel=1e-4)
    torch.testing.assert_close(gradient, slopes[0], rtol=1e-3, atol=1e-4 * float(slopes.abs().max()))


def search(name: str, seed: int, rules: Rules = ENDLESS) -> NativeResult:
    observation = seen(network(SMALL, 4, seed), SMALL, 4, seed)
    setting, x, known = problem(name, observation, seed)
    return Native(setting).search(x, observation, known, rules, [].append)


@needs_library
@pytest.mark.parametrize("name", ["dlg", "idlg"])
def test_it_follows_the_path_of_lowrank(name: str) -> None:
    """Forty evaluations: before rounding has grown, the losses of the trace are the same."""
    observation = seen(network(SMALL, 4, 5), SMALL, 4, 5)
    traces = []
    for engine in ("native", "lowrank"):
        job = Job(None, observation, torch.Generator().manual_seed(5))
        ((_, found),) = Engine(replace(attack(name, engine=engine), steps=2, tolerance=None)).run(iter([job]))
        assert found.evaluations == 40
        assert found.status == "budget"
        traces.append([point["loss"] for point in found.trace])
    assert traces[0] == pytest.approx(traces[1], rel=2e-2)


@needs_library
def test_rules_that_end_a_search() -> None:
    converged = search("idlg", 1)
    assert converged.status == "converged"
    assert converged.newest_loss < 1e-6
    assert converged.best_loss == converged.newest_loss
    assert torch.equal(converged.best, converged.newest)
    short = search("idlg", 1, replace(ENDLESS, budget=7, every=3))
    assert (short.status, short.evaluations, len(short.trace)) == ("budget", 7, 3)
    assert short.best_loss <= min(short.trace)
    exploded = search("idlg", 1, replace(ENDLESS, exploded=0.0, exploded_steps=3))
    assert (exploded.status, exploded.evaluations) == ("diverged", 3)


@needs_library
def test_a_start_that_is_no_number_is_a_result() -> None:
    observation = seen(network(SMALL, 4, 1), SMALL, 4, 1)
    setting, x, known = problem("idlg", observation)
    x[3] = math.nan
    assert Native(setting).search(x, observation, known, ENDLESS, [].append).status == "diverged"


@needs_library
def test_bits_depend_on_nothing_beside_a_problem() -> None:
    first = search("dlg", 2)
    search("dlg", 3)
    again = search("dlg", 2)
    assert torch.equal(first.best, again.best)
    assert first.trace == again.trace


@needs_library
def test_what_it_is_not_for_is_said_in_one_line() -> None:
    observation = seen(network(SMALL, 4, 1), SMALL, 4, 1)
    for wrong, why in (
        (replace(attack("idlg", engine="native"), boxed=True), "box"),  # type: ignore[call-arg]
        (replace(attack("idlg", engine="native"), optimizer=Adam()), "needs L-BFGS"),
    ):
        with pytest.raises(UserError, match=why):
            list(Engine(wrong).run(iter([Job(None, observation, torch.Generator())])))
    soft = replace(observation, update={key: value + 0.1 for key, value in observation.update.items()})
    with pytest.raises(UserError, match="plain update"):
        list(Engine(attack("idlg", engine="native")).run(iter([Job(None, soft, torch.Generator())])))


@pytest.fixture
def other_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file in the place of the native library."""
    path = tmp_path / "other.so"
    monkeypatch.setattr(library, "built", lambda: path)
    library.load.cache_clear()
    yield path
    library.load.cache_clear()


def found_by(engine: str) -> Reconstruction:
    observation = seen(network(SMALL, 4, 1), SMALL, 4, 1)
    job = Job(None, observation, torch.Generator().manual_seed(1))
    ((_, found),) = Engine(attack("idlg", engine=engine)).run(iter([job]))
    return found


@pytest.mark.parametrize("content", [None, b"", b"no library"])
def test_without_a_library_lowrank_does_it(
    other_library: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        other_library.write_bytes(content)
    assert found_by("auto").status == "converged"
    assert found_by("auto").status == "converged"
    assert capsys.readouterr().err.count("lowrank is used") == 1
    with pytest.raises(UserError, match="lowrank"):
        found_by("native")


@needs_library
def test_a_library_of_another_version_is_not_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(library, "VERSION", library.VERSION + 1)
    library.load.cache_clear()
    try:
        assert found_by("auto").status == "converged"
    finally:
        library.load.cache_clear()
    assert f"version {library.VERSION - 1}" in capsys.readouterr().err


@needs_library
@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_every_level_is_tried(capability: str) -> None:
    """The file for old processors runs on new ones as well."""
    script = (
        "from harness.attacks.solvers import library; from tests.attacks.solvers.test_native import found_by; "
        "print(library.level(), found_by('native').status)"
    )
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    expected = {"avx2": "x86-64-v3", "default": "plain"}[capability]
    assert done.stdout.split() == [expected, "converged"]


def test_a_spent_budget_ends_with_a_move() -> None:
    """As in the other engines, and in the authors' loops: the next evaluation would be there."""
    short, longer = (search("idlg", 1, replace(ENDLESS, budget=budget)) for budget in (7, 8))
    assert short.status == "budget"
    assert longer.newest_loss == pytest.approx(longer.best_loss)
    assert torch.equal(short.newest, longer.best)


@pytest.mark.skipif(
    len(library.libraries()) < 2, reason="one library alone fits this processor, or was built"
)
@pytest.mark.parametrize("name", ["dlg", "idlg"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 32)])
def test_levels_with_fused_products_find_the_same_bits(name: str, shape: Shape) -> None:
    setting, x, known = problem(name, seen(network(shape, 10, 0), shape, 10, 1))
    found = []
    for path in library.libraries().values():
        search = Native(setting)
        search.library = library.opened(path)
        rules = replace(ENDLESS, budget=60)
        found.append(search.search(x, setting.observation, known, rules, lambda _: None))
    for other in found[1:]:
        assert other.trace == found[0].trace
        assert torch.equal(other.newest, found[0].newest)


@needs_library
@pytest.mark.parametrize("improvement", [0.9, 0.999])
def test_patience_ends_a_search_whose_loss_falls_no_more(improvement: float) -> None:
    every = replace(ENDLESS, every=1)
    losses = search("dlg", 2, every).trace
    mark = end = 0
    while end - mark <= 9:  # nine evaluations after the last one that was lower by the share
        mark = end if losses[end] < (1 - improvement) * losses[mark] else mark
        end += 1
    found = search("dlg", 2, replace(every, patience=9, improvement=improvement))
    assert (found.status, found.evaluations) == ("stalled", end)
    assert found.trace == losses[:end]
    assert found.newest_loss == losses[end - 1]


@needs_library
def test_an_impatient_attack_is_searched_natively_as_side_by_side() -> None:
    observation = seen(network(SMALL, 4, 1), SMALL, 4, 1)
    ends = []
    for engine in ("native", "lowrank"):
        impatient = attack("idlg", engine=engine, patience=1, improvement=0.999)
        ((_, found),) = Engine(impatient).run(
            iter([Job(None, observation, torch.Generator().manual_seed(2))])
        )
        ends.append((found.status, found.evaluations))
    assert ends[0] == ends[1]
    assert ends[0][0] == "stalled"
