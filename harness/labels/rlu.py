"""The labels behind local training, from the confidence with which a model errs on public images."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.base.numbers import Count, Steps
from harness.core import LabelInference, Observation, Params, component, generator
from harness.core.counts import whole
from harness.federated.scaling import local_steps, rate, trained_params
from harness.labels.predictions import outputs
from harness.labels.public import public_images
from harness.labels.signal import bias_gradient, weight_gradient
from harness.models.head import head_parameters


@dataclass(frozen=True, eq=False)
class Moments:
    """The logits of each class's images as normal distributions: mean [classes, classes] by row, and a root of the
    covariance [classes, classes, classes]."""

    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> "Moments":
        """From logits [classes, images, classes] of images of each class."""
        mean = logits.mean(1)
        centred = logits - mean[:, None]
        covariance = centred.mT @ centred / logits.shape[1]
        values, vectors = torch.linalg.eigh(covariance)
        return cls(mean, vectors * values.clamp_min(0).sqrt()[:, None])

    def confidence(self, noise: Tensor) -> Tensor:
        """S [classes, classes]: the mean prediction over images of each class (Zhu et al. 2024, eqs. 13 and 16)."""
        return (self.mean[:, None] + noise @ self.root.mT).softmax(2).mean(1)

    def moved(self, by: Tensor) -> "Moments":
        return Moments(self.mean + by, self.root)


@component
class RLU(LabelInference):
    """Chen and Vikalo 2024 (RLU; Zhu et al. 2024, eqs. 13-18): the mix z of classes that explains the bias's gradient.

    Under z the expected step of the bias is H z with H = I - S', where S holds the mean prediction (column) on images
    of each class (row): Zhu et al. 2024 print S where eq. 14 needs the transpose. S comes from public images under the
    weights that were sent; for the last local step, under those that came back; in between the logits move by as much
    as each step moves them (eq. 18), which depends on z, so that the two are found in turns.
    """

    version: ClassVar[int] = 2
    requires_public: ClassVar[bool] = True
    images: Count = 100
    """Public images of each class."""
    samples: Count = 1000
    """Draws from the normal distribution of the logits of each class (eq. 16: M, which the paper does not state)."""
    rounds: Steps = 3
    """How often mix and path are found in turns."""

    def counts(self, observation: Observation) -> Tensor:
        """Raises UserError for a head without bias and for an attacker without public images."""
        step = -bias_gradient(observation, "rlu").double()
        x = torch.stack(public_images(observation, "rlu", self.images))
        rng = generator("labels", "rlu")
        noise = torch.randn(self.samples, observation.classes, generator=rng, dtype=torch.float64).to(
            x.device
        )
        first = self._moments(observation, observation.params, x)
        mix = _mix(first.confidence(noise), step)
        if local_steps(observation) > 1:
            last = self._moments(observation, trained_params(observation), x)
            for _ in range(self.rounds):
                path = _path(observation, first, mix, noise)
                confidence = torch.stack([*path, last.confidence(noise)]).mean(0)
                mix = _mix(confidence, step)
        return whole(mix * observation.examples, observation.examples)

    def _moments(self, observation: Observation, params: Params, x: Tensor) -> Moments:
        logits = torch.stack([outputs(observation, params, each)[0] for each in x])
        return Moments.of(logits.double())


def _mix(confidence: Tensor, step: Tensor) -> Tensor:
    """The shares z >= 0 [classes], which add up to one, of least ||(I - S') z - v||^2 (eq. 15)."""
    from scipy.optimize import nnls

    system = torch.eye(len(step), dtype=step.dtype, device=step.device) - confidence.T
    whole_mix = torch.full_like(step, 1e3)[None]  # so heavy that the shares add up to one
    found, _ = nnls(
        torch.cat([system, whole_mix]).cpu().numpy(), torch.cat([step, step.new_tensor([1e3])]).cpu().numpy()
    )
    return torch.from_numpy(found).to(step)


def _path(observation: Observation, first: Moments, mix: Tensor, noise: Tensor) -> list[Tensor]:
    """S at each local step but the last (eqs. 17-18): a step of the bias moves the logits of every image alike."""
    bias, weight = bias_gradient(observation, "rlu").double(), weight_gradient(observation).double()
    mean = weight.T @ bias / bias.square().sum()  # the representation a, as gradients are b a'
    _, name = head_parameters(observation.model)
    assert name is not None  # or there would be no gradient of it
    lr = rate(observation, name)
    moments, found = first, []
    for _ in range(local_steps(observation) - 1):
        found.append(moments.confidence(noise))
        moved = lr * (mix - found[-1].T @ mix)
        moments = moments.moved(moved * (1 + mean @ mean))
    return found
