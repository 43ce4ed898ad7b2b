"""Robbing the Fed: images in closed form, off the rows of an imprint block."""

from typing import ClassVar

import torch
from torch import Tensor

from harness.attacks.closed_form import read_off
from harness.base.numbers import Positive
from harness.base.threat import Need
from harness.core import Attack, Model, Observation, Reconstruction, Unreadable, UserError, component
from harness.models.imprint import Imprint, imprint_block


def expected_alone(images: int, bins: int) -> float:
    """How many of some images are expected to be alone in one of so many equally likely bins: n (1 - 1/K)^(n - 1)."""
    return images * (1 - 1 / bins) ** (images - 1) if images else 0.0


@component
class RTF(Attack):
    """Fowl et al. 2022, eq. 4: neighbouring rows differ by the images between their edges, so that one that is alone
    there is the quotient of the rows' weights and biases. Exact for one step; needs neither labels nor a search.

    At most n of the quotients are returned, those nearest to the range of images first; the places that are left are
    mid-grey.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.ARCHITECTURE, Need.PARAMETERS})
    threshold: Positive = 1e-6
    """A bin whose share of the bias is below this part of the largest one is empty."""
    tolerance: Positive = 0.05
    """A quotient that leaves [0, 1] by more than this, on average over pixels, is no image: its bin holds several."""

    def check(self, model: Model) -> None:
        if not isinstance(model, Imprint):
            raise UserError(
                "attack=rtf reads the rows of an imprint block: say server=imprint, or model=imprint_resnet18"
            )

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        """Raises Unreadable for an update that is not finite."""
        candidates = self.candidates(observation)
        beyond = (candidates - candidates.clamp(0, 1)).flatten(1).abs().mean(1)
        plausible = int((beyond <= self.tolerance).sum())
        chosen = candidates[beyond.argsort(stable=True)[: min(plausible, observation.n)]]
        return read_off(chosen, len(candidates), observation)

    def candidates(self, observation: Observation) -> Tensor:
        """One image [k, c, h, w], not clamped, for each bin that is not empty."""
        name, block = imprint_block(observation.model)
        weight, bias = (observation.update[f"{name}.measure.{part}"].double() for part in ("weight", "bias"))
        if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise Unreadable("the update of the imprint block is not finite")
        if not block.sparse:  # the last row has no neighbour: what it holds lies above its edge
            weight = -weight.diff(dim=0, append=torch.zeros_like(weight[:1]))
            bias = -bias.diff(append=torch.zeros_like(bias[:1]))
        held = bias.abs() > self.threshold * bias.abs().max()
        images = (weight[held] / bias[held, None]).unflatten(1, observation.shape)
        return observation.model.normalize.invert(images.to(observation.model.normalize.mean.dtype))
