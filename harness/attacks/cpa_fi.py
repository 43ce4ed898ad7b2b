"""CPA-FI: embeddings as sources that a linear layer's gradient mixes, then images that have such embeddings."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.cpa import Unmixing, sees_pixels
from harness.attacks.images import boxed, initial_images
from harness.attacks.matching import total_variation
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.evaluator import vectorizable
from harness.attacks.solvers.variables import Variables
from harness.base.numbers import NonNegative
from harness.core import Batch, Observation, Params, Unreadable, UserError, component, generator
from harness.models.embeddings import embeddings


@component
class EmbeddingUnmixing(Unmixing):
    """Kariyappa et al. 2023 (CPA), section 5: unmix what the first linear layer sees, which is sparse and of one sign.

    Half of an attack: what it decodes are embeddings |S| [n, d] in the place of images.
    """

    nonnegativity: NonNegative
    """Weight of mean_i min(||relu(s_i)||, ||relu(-s_i)||): embeddings have no entries below zero, up to their sign."""
    sparsity: NonNegative
    """Weight of mean |S_ij|."""

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        sources, there = self.sources(variables, known), known["there"]
        parts = torch.stack([(sign * sources).relu().norm(dim=-1) for sign in (1, -1)])
        two_signed = (there * parts.amin(dim=0)).sum() / there.sum()
        dense = (there * sources.abs().mean(dim=-1)).sum() / there.sum()
        apart = self.independence(variables, known)
        return apart + self.nonnegativity * two_signed + self.sparsity * dense

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        found = self.sources(variables, known).abs()
        return Batch(found, torch.full((len(found),), -1, device=found.device))


@component
class CPAFI(OptimizationAttack):
    """Kariyappa et al. 2023 (CPA-FI), section 5: search for images whose embeddings are those that unmixing finds.

    Minimises 1 - cos of each image's embedding to the one found, plus TV; an embedding's scale is not known. Images
    begin at N(0, 1) in the network's units and are boxed after every step. Reports no labels. Given the true embeddings
    (`knowledge.embeddings`) it shows what inversion can reach at best: no attack, but the ceiling of one.
    """

    accepts_embeddings: ClassVar[bool] = True
    unmixing: EmbeddingUnmixing
    """How embeddings are found, before the images are searched for; its steps are not in `steps`."""
    total_variation: NonNegative = 0.1
    """Weight of the total variation, in the network's units."""

    def prepare(self, observation: Observation) -> Params:
        """Raises UserError for a network whose first linear layer sees the pixels: there attack=cpa applies."""
        if sees_pixels(observation):
            raise UserError(
                "attack=cpa_fi: the first linear layer sees the images themselves: say attack=cpa"
            )
        known, given = super().prepare(observation), observation.knowledge.embeddings
        return {**known, "embeddings": self._unmixed(observation) if given is None else given}

    def _unmixed(self, observation: Observation) -> Tensor:
        """What unmixing takes for embeddings [n, d], of any scale. Raises Unreadable where it finds none."""
        found = self.unmixing.reconstruct(observation, generator("unmixing"))
        if found.status in ("failed", "diverged"):
            raise Unreadable("no embeddings can be unmixed from the gradient of the first linear layer")
        return found.x

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        return {"images": initial_images(observation, rng)}

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images, wanted = variables["images"], known["embeddings"]
        found = embeddings(observation.model, observation.params, observation.model.normalize.invert(images))
        apart = 1 - F.cosine_similarity(found, wanted, dim=-1)
        return apart.mean() + self.total_variation * total_variation(images)

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        return {"total_variation": self.total_variation * total_variation(variables["images"])}

    def project(self, variables: Variables, observation: Observation) -> Variables:
        return {"images": boxed(variables["images"], observation)}

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        """Images in [0, 1]; grey for each embedding that there is not."""
        images = observation.model.normalize.invert(variables["images"])
        there = known["embeddings"].any(dim=-1)[:, None, None, None]
        found = torch.where(there, images, torch.full_like(images, 0.5))
        return Batch(found, torch.full((len(found),), -1, device=found.device))
