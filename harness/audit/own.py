"""The client's own images against its update: whether the recipe gives just that."""

import torch
from torch import Tensor

from harness.audit.case import Case
from harness.audit.checks import Check, Verdict
from harness.base.errors import UserError
from harness.core import Batch

NAME = "the recipe on your own images"
HEALTHY = 1e-3
"""Beyond what rounding leaves: a right recipe has 1e-6 to 1e-5, a wrong weight decay 2e-2, other normalisation .5."""
SAME = 1e-3
"""How near an update of the same direction is, whose length alone differs."""


def own_data(case: Case, batch: Batch) -> Check:
    """How far the simulated update is from the one that was sent, relative to it.

    `batch` holds the examples in the client's own numbering, in [0, 1]. Where there were several local steps of which
    the order was not recorded nothing can be told, and it says so. Raises UserError for another number of images, and
    for labels that the network has not.
    """
    expected = case.recipe.examples
    if expected is not None and len(batch) != expected:
        raise UserError(f"--own-data: {len(batch)} images are there, and the client trained on {expected}")
    if not bool(((batch.y >= 0) & (batch.y < case.classes)).all()):
        raise UserError(
            f"--own-data: the images of each class are wanted in a folder 0 to {case.classes - 1}, by its number"
        )
    if case.observation is None:
        return _undecided(case.lacking)
    if case.recipe.augmentation:
        return _undecided("what the augmentation drew is in no record")
    if case.steps != 1 and case.recipe.order is None:
        return _undecided(f"the order of the {case.steps} local steps was not recorded (order in the recipe)")
    sent = torch.cat([value.flatten() for value in case.update.change.values()])
    simulated = _simulated(case, batch)
    residual = float((simulated - sent).norm() / sent.norm())
    verdict: Verdict = "ok" if residual <= HEALTHY + 3 * _rounding(case, sent) else "alarm"
    return Check(NAME, residual, f"<= {HEALTHY:g}", verdict, _meaning(simulated, sent))


def _simulated(case: Case, batch: Batch) -> Tensor:
    observation = case.observation
    assert observation is not None
    order = None if case.recipe.order is None else [torch.tensor(step) for step in case.recipe.order]
    single = Batch(batch.x.float(), batch.y)
    found = observation.protocol.update(case.model, observation.params, single, order)
    return torch.cat([found[name].detach().double().flatten() for name in observation.update])


def _rounding(case: Case, sent: Tensor) -> float:
    """The length of the noise of a difference of weights, relative to the update."""
    if case.update.is_gradient:
        return 0.0
    noise = (case.rounding_of(name) ** 2 * value.numel() for name, value in case.update.change.items())
    return float(sum(noise) ** 0.5 / sent.norm())


def _meaning(simulated: Tensor, sent: Tensor) -> str:
    factor = float((simulated @ sent) / (simulated @ simulated))
    apart = float((factor * simulated - sent).norm() / sent.norm())
    if apart <= SAME and abs(factor - 1) > SAME:
        return f"the update is {factor:.4g} times that of the recipe: so is its lr, or it was scaled"
    return "another normalisation, order, mode, momentum, weight decay, augmentation, or other images"


def _undecided(reason: str) -> Check:
    return Check(NAME, None, f"<= {HEALTHY:g}", "not applicable", f"it can't be decided: {reason}")
