"""The learning rate and the batch size of a recipe that leaves them out, as the update itself tells them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.func import functional_call

from harness.audit.case import PREFIX, Case, observed
from harness.audit.checks import furthest
from harness.audit.dense import single_input
from harness.audit.exact import Exact
from harness.audit.layers import logits_behind
from harness.core import normalized

FIT = 1e-3
"""Of the head's bias update, the most that a learning rate may leave: a right one leaves 1e-6 to 1e-4."""
SAME = 1e-2
"""How near a learning rate is, relatively, that is the recipe's own."""
SPREAD = 2.0
"""Quotient of the largest and the least learning rate by absent classes, and by their probabilities before and after
training, above which none is believed."""
PHOTOGRAPHS = 32


def estimated(case: Case, solved: Sequence[Exact]) -> Case:
    """The case with what could be told of `lr` and `batch_size`, by the closed forms that are `solved` or by classes
    that no image has; its notes say what is estimated, and `lacking` why something is not."""
    if case.update.is_gradient or case.observation is not None or case.recipe.examples is None:
        return case
    if _bias(case) is None:
        return _untold(case, "the head has no bias that was sent")
    if case.steps in (1, None) and (fit := _one_step(case, solved)) is not None:
        return _with_one_step(case, *fit)
    if case.steps is None:
        return _untold(case, "it is not seen to be one step of images that are known exactly")
    return _with_absent_classes(case)


def _untold(case: Case, reason: str) -> Case:
    return replace(case, lacking=f"{case.lacking}, and the update does not tell: {reason}")


def _bias(case: Case) -> Tensor | None:
    return case.update.change.get(f"{case.model.head.removeprefix(PREFIX)}.bias")


def _one_step(case: Case, solved: Sequence[Exact]) -> tuple[float, float] | None:
    """The learning rate of one step whose inputs are all known, and what it leaves of the head's bias update.

    Cross-entropy moves the bias by lr mean(onehot(y) - p), and p follows from the inputs. None where they are not
    known, or the update is not such a step.
    """
    bias, known = _bias(case), _inputs(case, solved)
    if bias is None or known is None:
        return None
    layer, rows, labels = known
    p = logits_behind(case.model, layer, rows, case.recipe.input).double().softmax(1)
    slope = (p - torch.eye(case.classes, dtype=p.dtype)[labels]).mean(0)
    lr = float(bias @ slope / slope.square().sum())
    left = float((bias - lr * slope).norm() / bias.norm())
    return (lr, left) if lr > 0 and left <= FIT else None


def _inputs(case: Case, solved: Sequence[Exact]) -> tuple[str, Tensor, Tensor] | None:
    """A layer, what each example is there [n, inputs], and its label [n]; a single image is known at the head."""
    if case.recipe.examples == 1:
        head = next((each for each in case.layers if each.name == case.model.head), None)
        dense = None if head is None else case.dense(head)
        if dense is None:
            return None
        return dense.name, single_input(dense)[0][None], dense.slope_bias.argmin()[None]
    for each in solved:
        if each.inputs is not None and each.labels is not None and len(each.inputs) == case.recipe.examples:
            return each.layer, each.inputs, each.labels
    return None


def _with_one_step(case: Case, lr: float, left: float) -> Case:
    recipe = case.recipe
    if recipe.lr is not None and abs(lr / recipe.lr - 1) > SAME:
        return _untold(case, f"it is {lr / recipe.lr:.3g} times what one step of lr {recipe.lr:g} makes")
    if recipe.batch_size is None:
        case.notes.append(
            f"batch_size: taken to be all {recipe.examples}, for the update is that of one step; several that are "
            "so small that they make no difference look the same"
        )
    if recipe.lr is None:
        case.notes.append(f"lr: estimated, {lr:.6g}; of the head's bias update it leaves {left:.0e}")
    return observed(
        replace(
            case,
            recipe=replace(recipe, lr=recipe.lr or lr, batch_size=recipe.batch_size or recipe.examples),
        )
    )


def _with_absent_classes(case: Case) -> Case:
    """A class that no image has moves the head's bias by lr p at each step; p is taken from photographs of nobody's."""
    recipe = case.recipe
    assert recipe.examples is not None
    assert case.steps is not None
    absent = case.classes - recipe.examples
    if absent < 2:
        return _untold(case, f"{recipe.examples} images may have all {case.classes} classes")
    bias = _bias(case)
    assert bias is not None
    p = _likelihoods(case)
    moved = bias / furthest(case.steps, recipe.momentum)
    middle, chosen = (moved / p.mean(0)).topk(absent)
    rates = moved[chosen] / p[:, chosen]
    least, most = float(rates.min()), float(rates.max())
    if least <= 0 or most / least > SPREAD:
        return _untold(
            case, f"by the classes that no image has lr is anything from {least:.2g} to {most:.2g}"
        )
    lr = float(middle.median())
    case.notes.append(
        f"lr: estimated, {lr:.2g}; the {absent} classes that no image has say {least:.2g} to {most:.2g}"
    )
    return observed(replace(case, recipe=replace(recipe, lr=lr)))


@torch.no_grad()
def _likelihoods(case: Case) -> Tensor:
    """The mean probability of each class for photographs [2, classes], before and after training."""
    x = case.others(PHOTOGRAPHS)
    before = {f"{PREFIX}{name}": case.update.before[name].float() for name in case.update.change}
    after = {
        name: value - case.update.change[name.removeprefix(PREFIX)].float() for name, value in before.items()
    }
    with normalized(case.model, "train" if case.coupled else "eval"):
        logits = torch.stack([functional_call(case.model, params, (x,)) for params in (before, after)])
    return logits.double().softmax(2).mean(1)
