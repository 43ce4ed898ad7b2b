"""harness accuracy: train the networks of the figure 48 of Zhu et al. 2024, and draw its curves."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from harness.base import interruption
from harness.base.command import expanded
from harness.commands.main import guarded

if TYPE_CHECKING:
    from harness.config.experiment import Experiment

SETTING = (
    *("fl=fedavg", "fl.clients=10", "partition@fl.partition=dirichlet", "fl.partition.beta=0.5"),
    *("fl.local_epochs=2", "fl.batch_size=50", "fl.lr=0.1", "fl.momentum=0.5", "fl.lr_decay=0.95"),
    *("fl.weight_decay=1e-5", "fl.keep_momentum=true", "fl.normalization=train"),
    *("model.normalize=symmetric", "model.fresh=false", "logger=none"),
)
"""Zhu et al. 2024, figure 48, as their code runs it."""
PHOTOGRAPHS = ["defense=augmentation", "dataset.public_fraction=0.02"]
"""Real data: mirrored and shifted, and nearly all of the training images dealt out; the rest calibrates the imprint."""
EMBEDDED_DIGITS = ("digits32",)
"""Data whose images must not be mirrored."""
NARROW = {
    "resnet18": ("model.width=8", "model.blocks=1"),
    "imprint_resnet18": ("model.base.width=8", "model.base.blocks=1"),
}


@dataclass(frozen=True)
class Scale:
    """How many rounds, how many images are dealt out in all, and whether the networks are as in the paper."""

    rounds: int
    images: int | None
    paper: bool = True


SCALES = {
    "smoke": Scale(2, 300, False),
    "small": Scale(12, 1000, False),
    "medium": Scale(100, 5000),
    "paper": Scale(100, None),
}
NETWORKS = {
    "MLP (256 hidden)": "mlp",
    "CNN": "cnn",
    "ResNet18": "resnet18",
    "Imprint+ResNet18": "imprint_resnet18",
}
"""By their names in the paper."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    options = _parser().parse_args(arguments)
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness accuracy", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("--scale", choices=list(SCALES), default="small")
    parser.add_argument("--dataset", default="digits32")
    parser.add_argument("--data", help="where real data sets are; default: $HARNESS_DATA")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(NETWORKS.values()),
        help="these networks; the others stay as they are",
    )
    parser.add_argument("--rounds", type=int, help="default: the scale's")
    parser.add_argument("--images", type=int, help="dealt out in all; default: the scale's")
    parser.add_argument("--runs", type=expanded, default=Path("runs"))
    parser.add_argument("--results", type=expanded, default=Path("results"))
    return parser


def _run(options: argparse.Namespace) -> None:
    from harness.accuracy import figure
    from harness.accuracy.curve import measure
    from harness.config.composition import compose
    from harness.machine.device import device
    from harness.store.provenance import provenance

    scale = SCALES[options.scale]
    rounds, images = options.rounds or scale.rounds, options.images or scale.images
    directory = options.results / "accuracy" / f"{options.dataset}-{options.scale}"
    curves = figure.load(directory)
    torch.set_num_threads(1)
    for name, network in NETWORKS.items():
        if options.only is not None and network not in options.only:
            continue
        experiment = compose(*_overrides(network, options, scale))
        print(f"{name}: up to round {rounds}", file=sys.stderr, flush=True)
        curves[name] = measure(name, experiment, rounds, images, options.runs)
        shown = [curves[each] for each in NETWORKS if each in curves]
        figure.write(shown, _caption(experiment, options, scale), provenance(device("auto")), directory)
        interruption.check()
    print(f"{directory}/")


def _overrides(network: str, options: argparse.Namespace, scale: Scale) -> list[str]:
    chosen = [*SETTING, f"model={network}", f"dataset={options.dataset}"]
    chosen += [] if options.dataset in EMBEDDED_DIGITS else PHOTOGRAPHS
    chosen += [] if scale.paper else NARROW.get(network, ())
    return chosen + ([f"data.root={options.data}"] if options.data else [])


def _caption(experiment: "Experiment", options: argparse.Namespace, scale: Scale) -> str:
    width = (
        "the paper's networks" if scale.paper else "ResNet-18 narrowed to 8 channels and one block a stage"
    )
    moved = experiment.choices["defense"] == "augmentation"
    drawn = "one random crop and flip of each image in a round, the same in both epochs" if moved else "none"
    return (
        "10 clients, Dirichlet(0.5), 2 local epochs of batches of 50, lr 0.1 (x 0.95 a round), momentum 0.5, "
        "which each client keeps from round to round as the authors' code does, batch normalisation in train mode, "
        f"weight decay 1e-5, seed {experiment.seed}; {options.dataset}, {width}. Augmentation: {drawn}. Tested on "
        "the fifth of each client's images that it holds back."
    )


if __name__ == "__main__":
    sys.exit(main())
