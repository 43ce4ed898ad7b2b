"""Surrogate model extension: match a client's whole training by one gradient, at weights between its first and last."""

from dataclasses import replace

import torch
from torch import Tensor

from harness.attacks.images import ImageSearch
from harness.attacks.matching import cosine_distance, total_variation, trial_update
from harness.attacks.solvers.evaluator import vectorizable
from harness.attacks.solvers.variables import Variables
from harness.base.numbers import Fraction, NonNegative, Positive
from harness.core import Batch, Observation, Params, component
from harness.federated.fedsgd import FedSGD
from harness.federated.scaling import trained_params

TRAINED = "trained."
"""What the names of the client's last weights begin with."""
PLACE = "place"


@component
class SurrogateModelExtension(ImageSearch):
    """Zhu, Yao and Blaschko 2023 (SME): 1 - cos of w_0 - w_T and the gradient at w_0 + alpha (w_T - w_0), plus TV.

    alpha is searched for beside the images, from `alpha` on and within [0, 1]. An evaluation is one gradient of all
    images, however many steps the client made. Settings are those of the authors' code for CIFAR-100; the images are
    boxed from the start. Restarts are chosen by the distance alone. Of a gradient alpha is of no consequence.
    """

    boxed: bool = True
    total_variation: NonNegative = 0.01
    """Weight of the total variation, in the network's units."""
    alpha: Fraction = 0.5
    pace: Positive = 1e-3
    """The learning rate of alpha as a multiple of that of the images: the authors' .001 beside 1."""

    def prepare(self, observation: Observation) -> Params:
        last = {TRAINED + name: value for name, value in trained_params(observation).items()}
        return super().prepare(observation) | last

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        # In units of `pace`: Adam's steps do not see the scale of what it moves, so that alpha moves so much slower.
        place = torch.full((1,), self.alpha / self.pace)
        return self.project({**super().initial(observation, rng), PLACE: place}, observation)

    def project(self, variables: Variables, observation: Observation) -> Variables:
        place = variables[PLACE].clamp(0, 1 / self.pace)
        return variables | super().project(variables, observation) | {PLACE: place}

    def mismatch(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """Distance between the gradient at the surrogate and the update, in direction."""
        alpha = self.pace * variables[PLACE]
        between = {
            name: (1 - alpha) * w + alpha * known[TRAINED + name] for name, w in observation.params.items()
        }
        gradient = FedSGD(batch_size=observation.n, normalization=observation.protocol.normalization)
        surrogate = replace(observation, params=between, protocol=gradient)
        images = observation.model.normalize.invert(variables["images"])
        return cosine_distance(
            trial_update(Batch(images, known["labels"]), surrogate, known), observation.update
        )

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        smooth = self.regularizers(variables, observation, known)["total_variation"]
        return self.mismatch(variables, observation, known) + smooth

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        return {"total_variation": self.total_variation * total_variation(variables["images"])}

    def score(self, variables: Variables, observation: Observation, known: Params, loss: float) -> float:
        with torch.no_grad():
            return float(self.mismatch(variables, observation, known))
