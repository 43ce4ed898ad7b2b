"""One evaluation of DLG's loss and gradient on the LeNet: ours and the authors', and how both grow."""

from collections.abc import Callable

import torch

from harness.attacks.dlg import DLG
from harness.attacks.solvers.evaluator import Evaluator, Loop, Setting, Vectorized
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.lowrank import LowRank
from harness.bench import problems, serial
from harness.bench.report import BenchResult
from harness.bench.timing import interleaved, operations, sgemm_peak
from harness.core import Observation, Shape
from harness.machine.memory import reuse_freed_memory
from harness.models.lenet import LeNet

SHAPE, CLASSES, SLOTS = (3, 32, 32), 10, 16
Call = Callable[[], object]
EVALUATORS: dict[str, Callable[[Setting, int], Evaluator]] = {
    "vmap": Vectorized,
    "compiled": lambda setting, slots: Vectorized(setting, slots, compiled=True),
    "lowrank": LowRank,
}
ATTACK = DLG(steps=1, optimizer=LBFGS())


def sides(
    *names: str, slots: int = SLOTS, shape: Shape = SHAPE, classes: int = CLASSES, batch_size: int = 1
) -> dict[str, Call]:
    """One evaluation of all problems, by each evaluator, by our loop and by the authors' closure."""
    reuse_freed_memory()
    seen = [problems.observe(LeNet(), shape, classes, k, batch_size) for k in range(slots)]
    setting, x = problems.setting(ATTACK, seen)
    evaluators = {name: EVALUATORS[name](setting, slots) for name in names} | {"loop": Loop(setting)}
    for evaluator in evaluators.values():
        problems.loaded(evaluator, ATTACK, seen)
    ours: dict[str, Call] = {
        name: lambda evaluator=evaluator: evaluator.evaluate(x)  # type: ignore[misc]
        for name, evaluator in evaluators.items()
    }
    closures = [_authors(each) for each in seen]
    return {"serial": lambda: [closure() for closure in closures]} | ours


def _authors(observation: Observation) -> Call:
    images = torch.rand(observation.n, *observation.shape, requires_grad=True)
    logits = torch.zeros(observation.n, observation.classes, requires_grad=True)
    received = list(observation.update.values())
    return serial.closure(serial.trainable(observation), received, images, logits, torch.zeros(1))


def eager(repeats: int) -> list[BenchResult]:
    """vmap and lowrank at 16 slots, and their growth with slots, image size, classes and batch size."""
    whole = sides("vmap", "lowrank")
    work, peak = operations(whole["serial"]) / SLOTS, sgemm_peak()
    spent = interleaved(whole, repeats)
    growth: dict[str, float | str] = {}
    for slots in (1, 4, 64):
        growth |= _rows(f"{slots} slots", interleaved(sides("vmap", "lowrank", slots=slots), repeats), slots)
    for side in (16, 64):
        found = interleaved(sides("vmap", "lowrank", shape=(3, side, side)), repeats)
        growth |= _rows(f"{side}x{side}", found, SLOTS)
    growth |= _rows("100 classes", interleaved(sides("vmap", "lowrank", classes=100), repeats), SLOTS)
    for batch in (4, 16):
        growth |= _rows(f"batch of {batch}", interleaved(sides("vmap", batch_size=batch), repeats), SLOTS)
    return [_bench_result(name, spent, work, peak, growth) for name in ("vmap", "lowrank")]


def compiled(repeats: int) -> list[BenchResult]:
    """torch.compile of vmap at 16 slots; the compilation is not counted."""
    whole = sides("compiled")
    work, peak = operations(whole["serial"]) / SLOTS, sgemm_peak()
    return [_bench_result("compiled", interleaved(whole, repeats), work, peak, {})]


def _bench_result(
    name: str, spent: dict[str, float], work: float, peak: float, growth: dict[str, float | str]
) -> BenchResult:
    own: dict[str, float | str] = {
        key: value for key, value in growth.items() if key.rpartition(", ")[2] in (name, "serial")
    }
    details = _rows("16 slots", {side: spent[side] for side in ("serial", "loop", name)}, SLOTS)
    share = {f"share of sgemm's peak, {side}": work * SLOTS / spent[side] / peak for side in ("serial", name)}
    return BenchResult(f"closure_{name}", spent["serial"] / spent[name], details | share | own)


def _rows(what: str, spent: dict[str, float], slots: int) -> dict[str, float | str]:
    return {f"ms per problem, {what}, {side}": 1e3 * value / slots for side, value in spent.items()}
