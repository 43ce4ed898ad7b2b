"""Images to tune on: those that a comparison by the same seed would attack last."""

from collections.abc import Sequence

import torch

from harness.config.experiment import Experiment
from harness.core import UserError, generator


def set_apart(experiments: Sequence[Experiment]) -> list[int]:
    """The rows of the data set for as many targets as the experiments ask for, which all of them attack.

    Of the order in which the seed draws the attack split they are the end: no comparison by that seed meets one of
    them before it has attacked all others. Raises UserError for federated rounds, which choose their victims, for
    experiments that differ in what a target is, and for more images than half of the split.
    """
    first = experiments[0]
    size, count = first.fl.examples, first.trials
    for each in experiments:
        if each.fl.in_rounds:
            raise UserError(
                "a tuning attacks single clients: federated rounds choose their victims themselves"
            )
        if (each.fl.examples, each.trials, each.seed, each.dataset) != (
            size,
            count,
            first.seed,
            first.dataset,
        ):
            raise UserError(
                "the rows of a tuning attack the same images: data set, seed, trials and client alike"
            )
        if each.of_class is not None:
            raise UserError("of_class: a tuning has images of any class")
        if each.targets is not None:
            raise UserError("targets: a tuning chooses them, apart from those of a comparison")
    images = first.dataset.load("attack", first.data.root)
    order = torch.randperm(len(images), generator=generator("targets", first.seed)).tolist()
    if 2 * size * count > len(order):
        raise UserError(f"trials={count}: more than half of the {len(order)} images would be tuned on")
    return [images.indices[position] for position in reversed(order)][: size * count]
