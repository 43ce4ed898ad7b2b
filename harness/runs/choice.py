"""Which images are attacked: a choice that depends on the data set, the seed and the settings alone."""

import torch

from harness.config.experiment import Experiment
from harness.core import Images, UserError, generator


def choose(experiment: Experiment, images: Images) -> list[int]:
    """Positions in the attack split, in the order in which they are attacked.

    Raises UserError for targets that are not there, and for more than there are.
    """
    size = experiment.fl.examples
    if experiment.targets is not None:
        return _named(experiment.targets, images, size)
    order = _ordered(experiment, images)
    if experiment.of_class is not None:
        order = _of_class(experiment.of_class, order, images)
    if len(order) < size * experiment.trials:
        one_class = experiment.order == "same_class" or experiment.of_class is not None
        of_class = " of the class" if one_class else ""
        raise UserError(
            f"trials={experiment.trials} of {size} images each: the attack split has only {len(order)}{of_class}"
        )
    return order


def _ordered(experiment: Experiment, images: Images) -> list[int]:
    if experiment.order == "sequential":
        return list(range(len(images)))
    rng = generator("targets", experiment.seed)
    drawn: list[int] = torch.randperm(len(images), generator=rng).tolist()
    if experiment.alike is not None:
        return _alike(drawn, images, experiment.fl.examples, experiment.trials, experiment.alike)
    if experiment.order == "random":
        return drawn
    if experiment.order == "distinct":
        return _distinct(drawn, images, experiment.fl.examples, experiment.trials)
    return _of_class(int(images.labels[drawn[0]]), drawn, images)


def _of_class(wanted: int, positions: list[int], images: Images) -> list[int]:
    return [position for position in positions if images.labels[position] == wanted]


def _distinct(drawn: list[int], images: Images, size: int, trials: int) -> list[int]:
    """The positions in such an order that those of an update have different classes."""
    order: list[int] = []
    while len(order) < size * trials:
        chosen: dict[int, int] = {}
        for position in drawn:
            chosen.setdefault(int(images.labels[position]), position)
            if len(chosen) == size:
                break
        else:
            raise UserError(
                f"order=distinct: the attack split has not {size} different classes for every update"
            )
        order += chosen.values()
        drawn = [position for position in drawn if position not in chosen.values()]
    return order


def _alike(drawn: list[int], images: Images, size: int, trials: int, alike: int) -> list[int]:
    """The positions in such an order that `alike` of an update are of one class, and the others of a class each.

    An update is drawn with as many images of either kind as there could be, so that those of different `alike` differ
    in nothing else. Raises UserError where there are too few.
    """
    order: list[int] = []
    for _ in range(trials):
        classes: dict[int, list[int]] = {}
        for position in drawn:
            classes.setdefault(int(images.labels[position]), []).append(position)
        found = [members for members in classes.values() if len(members) >= size]
        if not found or len(classes) < size:
            raise UserError(
                f"alike={alike}: the attack split has no {size} more images of one class, and of {size} classes"
            )
        same = found[0][:size]
        others = [members[0] for members in classes.values() if members is not found[0]][: size - 1]
        order += same[:alike] + others[: size - alike]
        drawn = [position for position in drawn if position not in {*same, *others}]
    return order


def _named(targets: list[int], images: Images, size: int) -> list[int]:
    positions = {row: position for position, row in enumerate(images.indices)}
    if missing := [row for row in targets if row not in positions]:
        raise UserError(f"targets: row {missing[0]} is not in the attack split")
    if not targets or len(targets) % size:
        raise UserError(f"targets: {len(targets)} rows can't be cut into updates of {size} images")
    return [positions[row] for row in targets]
