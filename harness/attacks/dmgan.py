"""DMGAN: a client makes a generator of another's class, with the global model as its discriminator."""

import copy
import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, Optimizer

from harness.base.numbers import Count, Natural, NonNegative, Positive, Width
from harness.base.threat import Need
from harness.core import (
    Adversary,
    Attack,
    Batch,
    Classifier,
    Model,
    Observation,
    Params,
    Reconstruction,
    Shape,
    UserError,
    component,
)
from harness.priors.networks import ConvolutionalGenerator

BETAS = (0.5, 0.999)
"""Of Adam, as of nearly all GANs."""


class GenerativeState(nn.Module):
    """What lasts from round to round: the generator and its optimiser. The discriminator comes with every round."""

    def __init__(self, generator: ConvolutionalGenerator, optimizer: Optimizer) -> None:
        super().__init__()
        self.generator, self.optimizer = generator, optimizer

    def get_extra_state(self) -> dict[str, object]:
        return self.optimizer.state_dict()

    def set_extra_state(self, state: dict[str, object]) -> None:
        self.optimizer.load_state_dict(state)


@component
class GenerativeAdversary(Adversary):
    """The adversary of Hitaj et al. 2017, section 5, as the code of Zhu et al. 2024 has it.

    Before its local training it trains, in turns on the same noise, a generator that the model it was sent should take
    for the tracked class, and that model to tell its own images from what is generated: a class more than there are,
    the first of `model.extra_outputs`. Its local training goes on from there. The generator is this harness's DCGAN
    (harness/priors/networks.py), and the discriminator the model as it is configured, in eval mode.
    """

    steps: Natural = 80
    """Of generator and discriminator in a round; 0: an honest client. The code: 10 epochs, 80 steps of 400 images."""
    first_round: Count = 1
    """In which it begins."""
    batch_size: Count = 50
    optimizer: Literal["sgd", "adam"] = "sgd"
    """Of both. The generator's lasts, the discriminator's begins anew with every model."""
    generator_lr: Positive = 1e-4
    discriminator_lr: Positive = 1e-3
    weight_decay: NonNegative = 1e-7
    fakes: Natural = 0
    """Generated images, labelled as such, that it also has in its local training (Hitaj et al.; the code: none)."""
    withhold: bool = False
    """Leave its own images of the tracked class out: the control without which a picture shows no theft."""
    latent: Width = 100
    base: Width = 256
    """Channels of the generator's first map."""
    kernel: Literal[2, 4] = 4

    def begin(self, shape: Shape, seed: int) -> GenerativeState:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = ConvolutionalGenerator(shape, self.latent, self.base, self.kernel)
        return GenerativeState(generator.eval(), self._optimizer(generator, self.generator_lr))

    def act(
        self, state: nn.Module, model: Classifier, held: Batch, number: int, rng: torch.Generator
    ) -> tuple[Params, Batch]:
        """Raises UserError where no image is left to train on."""
        assert isinstance(state, GenerativeState)
        own = self.own(held)
        if not len(own):
            raise UserError("attack.adversary.withhold: the adversary holds no image of another class")
        discriminator = copy.deepcopy(model).requires_grad_(True)
        if self.steps and number >= self.first_round:
            self._duel(state, discriminator, own, rng)
            own = self._with_fakes(state.generator, own, model, rng)
        return {name: value.detach() for name, value in discriminator.named_parameters()}, own

    def own(self, held: Batch) -> Batch:
        kept = held.y != self.tracked
        return Batch(held.x[kept], held.y[kept]) if self.withhold else held

    def _duel(
        self, state: GenerativeState, discriminator: Classifier, own: Batch, rng: torch.Generator
    ) -> None:
        generator, fake = state.generator, fake_class(discriminator)
        against = self._optimizer(discriminator, self.discriminator_lr)
        for _ in range(self.steps):
            noise = self._noise(generator, self.batch_size, own, rng)
            taken = discriminator(generator.train()(noise))
            _descend(state.optimizer, F.cross_entropy(taken, own.y.new_full((len(noise),), self.tracked)))
            made = generator.eval()(noise).detach()
            rows = torch.randint(len(own), (self.batch_size,), generator=rng).to(own.y.device)
            honest = F.cross_entropy(discriminator(own.x[rows]), own.y[rows])
            told = F.cross_entropy(discriminator(made), own.y.new_full((len(made),), fake))
            _descend(against, honest + told)

    @torch.no_grad()
    def _with_fakes(
        self, generator: ConvolutionalGenerator, own: Batch, model: Classifier, rng: torch.Generator
    ) -> Batch:
        if not self.fakes:
            return own
        made = generator(self._noise(generator, self.fakes, own, rng))
        return Batch(
            torch.cat([own.x, made]), torch.cat([own.y, own.y.new_full((len(made),), fake_class(model))])
        )

    def _noise(
        self, generator: ConvolutionalGenerator, count: int, like: Batch, rng: torch.Generator
    ) -> Tensor:
        return torch.randn(count, generator.latent, generator=rng).to(like.x)

    def _optimizer(self, network: nn.Module, lr: float) -> Optimizer:
        if self.optimizer == "sgd":
            return SGD(network.parameters(), lr, weight_decay=self.weight_decay)
        return Adam(network.parameters(), lr, betas=BETAS, weight_decay=self.weight_decay)


def fake_class(model: Classifier) -> int:
    """The label of what is generated: the last output."""
    head = model.get_submodule(model.head)
    assert isinstance(head, nn.Linear)
    return head.out_features - 1


def _descend(optimizer: Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@component
class DMGAN(Attack):
    """Deep models under the GAN (Hitaj et al. 2017): pictures of a class that the adversary has seen nothing of.

    A row is one picture beside a real one of the class, of another client: of pairs of least total squared error. Flat
    grey, noise and an untrained generator (adversary.steps=0) are controls, and so is an adversary without an image of
    the class (adversary.withhold=true): a generator of its own images shows no theft.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.TRAINING, Need.CLIENT})
    adversary: GenerativeAdversary
    source: Literal["generator", "grey", "noise"] = "generator"
    """What makes the pictures; all but the first are controls."""

    @property
    def insider(self) -> GenerativeAdversary:
        return self.adversary

    def check(self, model: Model) -> None:
        if model.extra_outputs != 1:
            raise UserError(
                "attack=dmgan labels what is generated by a class more: say model.extra_outputs=1"
            )

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        state = observation.knowledge.learned
        assert isinstance(state, GenerativeState)
        images = self._pictures(state.generator.eval(), observation, rng)
        labels = torch.full((observation.n,), self.adversary.tracked)
        return Reconstruction(images, labels, math.nan, 0.0, "budget", iterations=1, evaluations=0)

    @torch.no_grad()
    def _pictures(
        self, generator: ConvolutionalGenerator, observation: Observation, rng: torch.Generator
    ) -> Tensor:
        if self.source == "grey":
            return torch.full((observation.n, *observation.shape), 0.5)
        if self.source == "noise":
            return torch.rand(observation.n, *observation.shape, generator=rng)
        noise = torch.randn(observation.n, generator.latent, generator=rng)
        pictures: Tensor = generator(noise.to(next(generator.parameters())))
        return pictures
