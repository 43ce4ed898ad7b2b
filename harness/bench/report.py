"""The figures to reach, what was measured, and the two files that hold them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.base.rows import pipes, read_csv, to_csv

RESULTS = Path("experiments/results")
MISSING = "not measured"
MACHINE = "measured on"
HEAD = ("what", "target", "stretch", "measured", "met", "why not")


@dataclass(frozen=True)
class Figure:
    """A ratio (more is better) or a cost (less is better) that the engine is held to."""

    what: str
    target: float | None
    stretch: float | None = None
    unit: str = "x"
    less: bool = False

    def met(self, value: float) -> str:
        """How a value stands against the target."""
        if self.target is None:
            return ""
        sign = -1 if self.less else 1
        if self.stretch is not None and sign * value >= sign * self.stretch:
            return "stretch"
        return "yes" if sign * value >= sign * self.target else "no"


FIGURES = {
    "idlg_mnist": Figure("iDLG on MNIST, images per CPU second over serial", 25, 40),
    "dlg_mnist": Figure("DLG on MNIST, images per CPU second over serial", 25, 40),
    "idlg_cifar10": Figure("iDLG on CIFAR-10, images per CPU second over serial", 15, 20),
    "closure_vmap": Figure("LeNet closure, 16 slots, eager vmap, over serial", 2, 10),
    "whole_process": Figure("96 images of MNIST by iDLG, a whole process, over serial", 15, 25),
    "closure_compiled": Figure("LeNet closure, 16 slots, compiled vmap, over serial", 5, 10),
    "closure_lowrank": Figure("LeNet closure, 16 slots, by hand (lowrank), over serial", 5, 10),
    "lbfgs": Figure("L-BFGS step, history 100 full, D = 3072, 16 slots, over torch's", 2.8, 4.5),
    "ig_convnet": Figure("IG closure, float32, ConvNet64, over the authors'", 1.05),
    "ig_resnet": Figure("IG closure, float32, ResNet-18, over the authors'", 1.2),
    "ig_convnet_bf16": Figure("IG with bf16 autocast, ConvNet64", 1.6),
    "ig_resnet_bf16": Figure("IG with bf16 autocast, ResNet-18", 1.4),
    "ig_bf16_quality": Figure("IG with bf16 autocast, loss of PSNR", 0.3, None, "dB", less=True),
    "ig_resnet10_native": Figure("IG closure, ResNet-10, one image, native, over the authors'", 4),
    "ig_resnet10_together": Figure(
        "IG closure, ResNet-10, 16 images by hand (lowrank), over the authors'", 3.5
    ),
    "ig_resnet18_together": Figure(
        "IG closure, ResNet-18, 4 images by hand (lowrank), over the authors'", 1.8
    ),
    "gi_resnet10_together": Figure("GI closure, ResNet-10, 16 images by hand (lowrank), over the loop", None),
    "ggl_resnet10_together": Figure(
        "GGL, ResNet-10, 16 candidates with the update by hand (lowrank), over the loop", None
    ),
    "ggl": Figure("GGL per candidate, ResNet-18, over the authors'", 0.95),
    "ggl_optimizer": Figure("GGL, CMA-ES in torch, its own cost per candidate", 0.2, None, "ms", less=True),
    "overhead_image_csv": Figure(
        "Harness around an attack, CSV log, for each image", 4, None, "ms", less=True
    ),
    "overhead_run_csv": Figure("Harness around an attack, CSV log, for each run", 0.15, None, "s", less=True),
    "overhead_image_wandb": Figure(
        "Harness around an attack, W&B log, for each image", 8, None, "ms", less=True
    ),
    "overhead_run_wandb": Figure(
        "Harness around an attack, W&B log, for each run", 0.2, None, "s", less=True
    ),
    "live_cost": Figure("An IG image of 300 steps, followed by W&B offline", 1, None, "%", less=True),
    "live_points": Figure("An IG image of 300 steps, points of its loss in W&B's log", 30, None, "points"),
    "live_pictures": Figure("An IG image of 300 steps, its pictures in W&B's log", 3, None, "pictures"),
    "progress_left": Figure(
        "Time left as promised after a quarter, over what it takes, or the reverse", 2, None, "x", less=True
    ),
    "newcomer_setup": Figure("make setup in a fresh clone, by the clock", 170, None, "s", less=True),
    "newcomer_run": Figure("A first run of four images, by the clock", 10, None, "s", less=True),
    "startup_help": Figure("The help, a whole process", 0.7, None, "s", less=True),
    "startup_setting": Figure("A setting that is misspelt, a whole process", 0.9, None, "s", less=True),
    "startup_value": Figure("A value that is wrong, a whole process", 0.9, None, "s", less=True),
    "startup_run_csv": Figure("The smallest run, CSV log, a whole process", 3.5, None, "s", less=True),
    "startup_run_wandb": Figure("The smallest run, W&B log, a whole process", 4.7, None, "s", less=True),
    "report_build": Figure("Report of 1,000 cells, building it", 30, None, "s", less=True),
    "report_open": Figure(
        "Report of 1,000 cells, opening its slowest page in Chromium", 2, None, "s", less=True
    ),
    "store": Figure("10,000 records into one pandas table, CPU time", 5, 2, "s", less=True),
    "sharing_overhead": Figure("Store, lease and log of a smoke cell, of its time", 5, None, "%", less=True),
    "sharing": Figure("Two commands on one store, 200 smoke cells, over one", 0.6, None, "x", less=True),
    "rounds_mlp": Figure("Federated round of the MLP, 10 clients of batch 10, over the plain way", 2),
    "rounds_cnn": Figure("Federated round of the CNN, 10 clients of batch 10, over the plain way", 2),
    "gpu": Figure("LeNet on a GPU, 256 slots, over serial on the same GPU", 50, 500),
}


@dataclass(frozen=True)
class BenchResult:
    """What one part of the suite found: the figure of that name, and all else by quantity."""

    name: str
    value: float | None
    details: dict[str, float | str] = field(default_factory=dict)
    reason: str = ""
    """Why the figure is short of its target, or missing."""


def load(folder: Path = RESULTS) -> dict[str, BenchResult]:
    """The measurements of earlier parts, from bench.csv."""
    path = folder / "bench.csv"
    if not path.is_file():
        return {}
    found: dict[str, BenchResult] = {}
    for row in read_csv(path):
        one = found.setdefault(row["name"], BenchResult(row["name"], None))
        if row["quantity"] == "figure":
            found[row["name"]] = BenchResult(one.name, _number(row["value"]), one.details, one.reason)
        elif row["quantity"] == "reason":
            found[row["name"]] = BenchResult(one.name, one.value, one.details, row["value"])
        else:
            number = _number(row["value"])
            one.details[row["quantity"]] = row["value"] if number is None else number
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def save(measurements: Iterable[BenchResult], machine: dict[str, str], folder: Path = RESULTS) -> None:
    """Put new measurements among the old ones, and write bench.csv and bench.md."""
    told: dict[str, float | str] = {MACHINE: ", ".join(machine.values())}
    found = load(folder) | {each.name: replace(each, details=each.details | told) for each in measurements}
    folder.mkdir(parents=True, exist_ok=True)
    lines = [["name", "quantity", "value"]]
    for name in sorted(found):
        one = found[name]
        lines.append([name, "figure", "" if one.value is None else f"{one.value:.4g}"])
        for quantity, value in one.details.items():
            lines.append([name, quantity, value if isinstance(value, str) else f"{value:.6g}"])
        if one.reason:
            lines.append([name, "reason", one.reason])
    (folder / "bench.csv").write_text(to_csv(lines))
    (folder / "bench.md").write_text(document(found))


def document(found: dict[str, BenchResult]) -> str:
    """bench.md: the figures to reach, then the details of every part."""
    blocks = [
        "# The engine beside the authors' way",
        "Written by `make bench`. CPU seconds of one thread, both sides in turn in one process, on the same\n"
        "problems; medians where a part repeats. On which machine each part was measured stands with its details.",
        pipes([HEAD, *(_row(figure, found.get(name)) for name, figure in FIGURES.items())]),
    ]
    for name in sorted(found):
        if details := found[name].details:
            rows = [(quantity, _show(value)) for quantity, value in details.items()]
            blocks += [f"## {name}", pipes([("quantity", "value"), *rows])]
    return "\n\n".join(blocks) + "\n"


def _row(figure: Figure, one: BenchResult | None) -> list[str]:
    goals = [
        "-" if goal is None else f"{'<=' if figure.less else '>='} {goal:g} {figure.unit}"
        for goal in (figure.target, figure.stretch)
    ]
    if one is None or one.value is None:
        return [figure.what, *goals, MISSING, "", one.reason if one else ""]
    shown = f"{one.value:.3g} {figure.unit}"
    return [figure.what, *goals, shown, figure.met(one.value), one.reason]


def _show(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
