"""Data leakage in federated averaging: dummies of their own for every local epoch, and a prior that ties them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.images import ImageSearch, known_labels
from harness.attacks.matching import estimate_defenses, trial_update
from harness.attacks.solvers.evaluator import vectorizable
from harness.attacks.solvers.variables import Variables
from harness.base.numbers import NonNegative, Positive, Steps, Width
from harness.base.threat import Need
from harness.core import Batch, Observation, Params, component, generator, setting
from harness.federated.fedsgd import FedSGD
from harness.federated.scaling import mean_gradient


@component
class DLF(ImageSearch):
    """Dimitrov et al. 2022, algorithm 1: simulate the client's training on dummies, and match its update in L2.

    The client's order within an epoch is secret. So each epoch has dummies of its own, and a prior that does not see
    their order asks that all epochs hold the same images; in the end the epochs are matched to the first and averaged.
    Settings are those of the authors' code for CIFAR-100, whose images are normalised by the data set's statistics
    (`model.normalize=dataset`); the regularisers see images in the network's units.
    """

    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.TRAINING})

    epochs: Literal["separate", "shared", "none"] = "separate"
    """separate: dummies for every epoch; shared: the same ones, in the same order, in all; none: nothing is simulated,
    the update is taken for as many times the gradient as there were steps. The authors' full_many, full and none."""
    weight: tuple[Positive, Positive] = (4.0, 2.0)
    """Of the matching loss, before the first step and from step `fading` on; geometric in between."""
    fading: Steps = 200
    """Steps over which the weight changes."""
    batches: Literal["all", "epoch"] = setting("all", absence="epoch")
    """What the matching loss is divided by: the batches of all dummies (the authors'), or those of one epoch, which
    weighs it as many times more as there are epochs of their own."""
    total_variation: NonNegative = 2e-4
    clip: NonNegative = 10.0
    """Weight of the squared distance of the images from [0, 1]."""
    order_prior: NonNegative = 6.075
    """Weight of the epoch order-invariant prior."""
    pairs: Literal["all", "distinct"] = setting("all", absence="distinct")
    """What the prior is the mean over: all E^2 ordered pairs of epochs, each with itself too (the authors'), or the
    pairs of different ones."""
    channels: Width = 96
    """Of the random convolution through which the prior looks at the images."""

    def prepare(self, observation: Observation) -> Params:
        labels = known_labels(observation, self.labels)
        if observation.knowledge.order is None:  # sorted labels would make batches of one class each
            labels = labels[
                torch.randperm(len(labels), generator=generator("dlf", "labels")).to(labels.device)
            ]
        like = next(iter(observation.params.values()))
        filters = torch.randn(
            self.channels, observation.shape[0], 3, 3, generator=generator("dlf", "prior")
        ) / (3 * observation.shape[0] ** 0.5)
        return {"labels": labels, "filters": filters.to(like), **estimate_defenses(observation)}

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        images = super().initial(observation, rng)["images"]
        further = torch.randn(self._sets(observation) - 1, *images.shape, generator=rng)
        if observation.knowledge.start is not None:
            further = images.expand_as(further)
        return {"images": torch.cat([images, further.flatten(0, 1)]), "step": torch.zeros(1)}

    def project(self, variables: Variables, observation: Observation) -> Variables:
        """Count the steps, which the weight of the loss depends on."""
        return super().project(variables, observation) | {"step": variables["step"] + 1}

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images, (first, last) = variables["images"], self.weight
        done = ((variables["step"].detach().squeeze() + 1) / self.fading).clamp(max=1)
        weight = first * (last / first) ** done
        mismatch = weight * self.mismatch(images, observation, known)
        return sum(self.regularizers(variables, observation, known).values(), start=mismatch)

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        images = variables["images"]
        sets = images.unflatten(0, (-1, observation.n))
        return {
            "total_variation": self.total_variation * squared_variation(images),
            "clip": self.clip * excess(observation.model.normalize.invert(images)),
            "order_prior": self.order_prior
            * order_distance(sets, known["filters"], self.pairs == "distinct"),
        }

    def mismatch(self, images: Tensor, observation: Observation, known: Params) -> Tensor:
        """Between the sums of the gradients over all steps: by layers, the first weighing most, for each batch."""
        batch = Batch(
            observation.model.normalize.invert(images),
            known["labels"].repeat(len(images) // observation.n),
        )
        simulated = observation
        if self.epochs == "none":
            simulated = replace(
                observation,
                protocol=FedSGD(batch_size=len(images), normalization=observation.protocol.normalization),
            )
        trial = trial_update(batch, simulated, known, self._order(observation))
        trial = mean_gradient(replace(simulated, update=trial, trained_on=observation.n))
        epochs = observation.protocol.epochs(observation.n)
        steps, batches = sum(map(len, epochs)), len(epochs[0])
        if self.batches == "all":
            batches *= self._sets(observation)
        return steps**2 / batches * layered_distance(trial, mean_gradient(observation))

    def score(self, variables: Variables, observation: Observation, known: Params, loss: float) -> float:
        with torch.no_grad():
            return float(self.mismatch(variables["images"], observation, known))

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        images = observation.model.normalize.invert(variables["images"])
        first, *others = images.unflatten(0, (-1, observation.n))
        aligned = [first, *(other[alike(other, first)] for other in others)]
        return Batch(torch.stack(aligned).mean(0), known["labels"])

    def _sets(self, observation: Observation) -> int:
        return len(observation.protocol.epochs(observation.n)) if self.epochs == "separate" else 1

    def _order(self, observation: Observation) -> Sequence[Tensor] | None:
        """The dummies in each step: in the client's own order where that is known."""
        given = observation.knowledge.order
        if self.epochs != "separate":
            return given
        epochs = observation.protocol.epochs(observation.n)
        steps = [step for epoch in epochs for step in epoch] if given is None else given
        return [step + place // len(epochs[0]) * observation.n for place, step in enumerate(steps)]


def layered_distance(trial: Params, update: Params) -> Tensor:
    """sum over layers l = 0, 1, ... of exp(-l) ||g' - g||^2, in the order of the network; a layer is a module."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in update))
    terms = [
        math.exp(-layers.index(name.rpartition(".")[0])) * (trial[name] - g).square().sum()
        for name, g in update.items()
    ]
    return torch.stack(terms).sum()


def squared_variation(images: Tensor) -> Tensor:
    """Mean over images of the sum of squared differences of neighbours; the first and the last are neighbours too."""
    differences = [(images - images.roll(1, dims=axis)).square() for axis in (-1, -2)]
    return torch.stack(differences).sum() / len(images)


def excess(images: Tensor) -> Tensor:
    """Sum over pixels of the mean over images of the squared distance from [0, 1]."""
    return (images - images.clamp(0, 1)).square().mean(0).sum()


def order_distance(sets: Tensor, filters: Tensor, distinct: bool = False) -> Tensor:
    """How far sets [sets, n, c, h, w] differ, whatever the order in each (the authors' l2_max_conv).

    Mean over all ordered pairs of sets, or those of distinct ones, of the squared distance of their largest responses
    to the filters; of one set, zero.
    """
    if len(sets) == 1:
        return sets.new_zeros(())
    responses = F.conv2d(sets.flatten(0, 1), filters, padding=1).unflatten(0, sets.shape[:2]).amax(1)
    # Twice the variance is the mean squared difference of pairs: of distinct ones where it is corrected for bias.
    # Written out, for Tensor.var takes six times as long along the first axis.
    variance: Tensor = (responses - responses.mean(0)).square().sum(0) / (len(sets) - distinct)
    return 2 * variance.mean()


def alike(images: Tensor, first: Tensor) -> Tensor:
    """The order of images [n, c, h, w] in which their PSNR to the first ones has the highest mean: [n] int64."""
    from scipy.optimize import linear_sum_assignment

    distance = torch.cdist(
        first.double().flatten(1), images.double().flatten(1), compute_mode="donot_use_mm_for_euclid_dist"
    )
    cost = distance.clamp(min=torch.finfo(torch.float64).tiny).log()  # the PSNR falls with it
    return torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1]).to(images.device)
