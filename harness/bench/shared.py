"""Residual networks that problems share: ours by hand, in C and in torch, beside the authors' closure and our loop."""

from collections.abc import Callable

from harness.attacks.ggl import GGL
from harness.attacks.gradinversion import GradInversion
from harness.attacks.inverting import InvertingGradients
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers import library
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.evaluator import Evaluator, Loop, Setting
from harness.attacks.solvers.residual import Residual
from harness.attacks.solvers.swept import Swept
from harness.bench import problems
from harness.bench.large import CLASSES, SHAPE, authors_inverting
from harness.bench.report import BenchResult
from harness.bench.timing import interleaved
from harness.core import Model
from harness.labels.analytic import Analytic
from harness.machine.memory import reuse_freed_memory
from harness.models.resnet import ResNet
from harness.priors.networks import ConvolutionalGenerator

RESNET10, RESNET18 = ResNet(width=16, blocks=1), ResNet()
IG = InvertingGradients(steps=1, optimizer=Adam(), labels=Analytic())
GI = GradInversion(steps=1, optimizer=Adam(), labels=Analytic())
GGL_CMA = GGL(steps=1, optimizer=CMA(), labels=Analytic())
Call = Callable[[], object]


def measure(repeats: int) -> list[BenchResult]:
    """The figures of ResNet-10 and ResNet-18."""
    reuse_freed_memory()
    spent = {count: interleaved(_sides(IG, RESNET10, count), repeats) for count in (1, 4, 16)}
    found = [BenchResult("ig_resnet10_together", _ratio(spent[16], "authors"), _rows(spent))]
    if library.load() is not None:
        details = {"native library": library.level()} | _rows({1: spent[1]})
        found.append(BenchResult("ig_resnet10_native", _ratio(spent[1], "authors", "native"), details))
    large = interleaved(_sides(IG, RESNET18, 4), max(3, repeats // 5))
    found.append(BenchResult("ig_resnet18_together", _ratio(large, "authors"), _rows({4: large})))
    for name, attack in (("gi_resnet10_together", GI), ("ggl_resnet10_together", GGL_CMA)):
        own = interleaved(_sides(attack, RESNET10, 16), max(3, repeats // 3))
        found.append(BenchResult(name, _ratio(own, "loop"), _rows({16: own})))
    return found


def _ratio(spent: dict[str, float], slow: str, fast: str = "lowrank") -> float:
    return spent[slow] / spent[fast]


def _sides(attack: OptimizationAttack, model: Model, count: int) -> dict[str, Call]:
    """One evaluation of so many problems by each of the ways, the authors' where it is IG's."""
    prior = ConvolutionalGenerator(SHAPE, latent=32, base=64, kernel=4).eval().requires_grad_(False)
    seen = problems.share(model, SHAPE, CLASSES, count, prior)
    setting, x = problems.setting(attack, seen)
    ways: dict[str, Callable[[Setting], Evaluator]] = {
        "loop": Loop,
        "lowrank": lambda setting: Swept(setting, exact=count > 1),
    }
    if library.load() is not None:
        ways["native"] = Residual
    sides: dict[str, Call] = {}
    if attack is IG:
        closures = [authors_inverting(each, row) for each, row in zip(seen, x, strict=True)]
        sides["authors"] = lambda: [closure() for closure in closures]
    for name, way in ways.items():
        evaluator = problems.loaded(way(setting), attack, seen)
        sides[name] = lambda evaluator=evaluator: evaluator.evaluate(x)  # type: ignore[misc]
    return sides


def _rows(spent: dict[int, dict[str, float]]) -> dict[str, float | str]:
    rows: dict[str, float | str] = {}
    for count, sides in spent.items():
        for side, value in sides.items():
            rows[f"ms per problem, {count} together, {side}"] = 1e3 * value / count
        rows[f"lowrank over the loop, {count} together"] = sides["loop"] / sides["lowrank"]
        if "native" in sides:
            rows[f"native over the loop, {count}"] = sides["loop"] / sides["native"]
    return rows
