"""Images in closed form, off the units of the first linear layer."""

import torch
from torch import Tensor

from harness.attacks.closed_form import read_off
from harness.attacks.cpa import sees_pixels
from harness.base.numbers import Count, Positive
from harness.core import Attack, Observation, Reconstruction, Unreadable, UserError, component
from harness.models.embeddings import first_linear


@component
class Quotients(Attack):
    """Boenisch et al. 2023, section 4.1: of a unit that one image switched on, dW_k / db_k is that image.

    Exact for one step. A unit that several images switched on reads a mixture, which lies in [0, 1] too; but no two
    units mix alike, so that readings that repeat are images (ours). At most n are returned, those that repeat most
    first.
    """

    repeats: Count = 2
    """How many units must agree; 1: every reading is taken for an image, as the authors do."""
    silent: Positive = 1e-12
    """A unit whose bias has no larger gradient was not switched on."""
    alike: Positive = 1e-8
    """Mean squared error, on the images' scale, below which two readings agree."""

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        """Raises Unreadable for an update that is not finite or of which no unit tells anything, UserError where
        the layer sees no images."""
        readings = self.readings(observation)
        if not len(readings):
            raise Unreadable("no unit of the first linear layer was switched on")
        chosen = self._repeated(readings)[: observation.n]
        return read_off(readings[chosen], len(readings), observation)

    def readings(self, observation: Observation) -> Tensor:
        """One image [k, c, h, w], not clamped, for each unit that was switched on."""
        name = first_linear(observation.model)
        parts = [observation.update.get(f"{name}.{part}") for part in ("weight", "bias")]
        if parts[0] is None or parts[1] is None or not sees_pixels(observation):
            raise UserError(
                f"attack=quotients: {name} is not on the images, or has no bias that is trained: say model=mlp"
            )
        weight, bias = parts[0].double(), parts[1].double()
        if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise Unreadable(f"the update of {name} is not finite")
        on = bias.abs() > self.silent
        return observation.model.normalize.invert(
            (weight[on] / bias[on, None]).unflatten(1, observation.shape)
        )

    def _repeated(self, readings: Tensor) -> Tensor:
        """One of each set of readings that agree, the largest set first."""
        flat = readings.flatten(1)
        agree = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").square() < (
            self.alike * flat.shape[1]
        )
        first = agree.int().argmax(1) == torch.arange(len(flat), device=flat.device)
        count = agree.sum(1) * first
        order = count.argsort(descending=True, stable=True)
        return order[count[order] >= self.repeats]
