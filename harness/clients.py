"""The clients under attack: which images they hold, and what they send."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.config import Experiment
from harness.core import (
    Batch,
    Classifier,
    Generator,
    Images,
    Knowledge,
    Observation,
    Problem,
    UserError,
    derive_seed,
    generator,
)
from harness.device import device

PRIOR_SEED = 0
"""One generator serves all seeds of a table: training it is the dearest part of an attack that needs one."""


@dataclass(frozen=True, eq=False)
class Client:
    """One target: the client's secret, and what it sent. Only `problem` goes to an attack."""

    indices: list[int]
    """Row numbers of the images in the data set."""
    truth: Batch
    problem: Problem
    norm: float
    """Length of the update before any defence: what a clipping bound is to be compared with."""


class Clients:
    """The targets of a run, made one at a time: all depends on the seed and the position alone.

    Attacks, defences and scales that are compared therefore see the same images, networks and noise.
    """

    def __init__(self, experiment: Experiment, like: "Clients | None" = None) -> None:
        """`like`: clients of the same prior, whose generator is used instead of a second one."""
        self.experiment, self.like = experiment, like
        self.device = device(experiment.device)
        self.images = experiment.dataset.load("attack", experiment.data.root)
        self.size = experiment.fl.examples
        self.order = self._order()
        if len(self.order) < self.size * self.trials:
            raise UserError(
                f"trials={self.trials} of {self.size} images each: the attack split has only {len(self.order)}"
                f"{' of the class' if self.experiment.order == 'same_class' else ''}"
            )

    def _order(self) -> list[int]:
        """Positions in the attack split, in the order in which they are attacked."""
        if self.experiment.targets is not None:
            return self._named(self.experiment.targets)
        if self.experiment.order == "sequential":
            return list(range(len(self.images)))
        rng = generator("targets", self.experiment.seed)
        drawn: list[int] = torch.randperm(len(self.images), generator=rng).tolist()
        if self.experiment.order == "random":
            return drawn
        label = self.images.labels[drawn[0]]
        return [position for position in drawn if self.images.labels[position] == label]

    def _named(self, targets: list[int]) -> list[int]:
        positions = {row: position for position, row in enumerate(self.images.indices)}
        if missing := [row for row in targets if row not in positions]:
            raise UserError(f"targets: row {missing[0]} is not in the attack split")
        if len(targets) % self.size:
            raise UserError(f"targets: {len(targets)} rows can't be cut into updates of {self.size} images")
        return [positions[row] for row in targets]

    @property
    def trials(self) -> int:
        """How many targets there are."""
        if self.experiment.targets is None:
            return self.experiment.trials
        return len(self.order) // self.size

    @functools.cached_property
    def prior(self) -> Generator | None:
        """The attacker's generator, trained on the public split at the first use."""
        if self.like is not None:
            return self.like.prior
        experiment = self.experiment
        cache = str(experiment.paths.runs / "priors")
        found = experiment.prior.generator(experiment.dataset, experiment.data.root, cache, PRIOR_SEED)
        return found if found is None else found.to(self.device)

    @functools.cached_property
    def _fixed_model(self) -> Classifier:
        own = self.experiment.model.seed
        return self._build(derive_seed("model", self.experiment.seed) if own is None else own)

    def _model(self, position: int) -> Classifier:
        if not self.experiment.model.fresh:
            return self._fixed_model
        own = self.experiment.model.seed
        return self._build(derive_seed("model", self.experiment.seed if own is None else own, position))

    def _build(self, seed: int) -> Classifier:
        model = self.experiment.model.build(self.experiment.dataset, seed, self.experiment.data.root)
        return self.experiment.defense.on_model(model.to(self.device))

    def __getitem__(self, position: int) -> Client:
        """The client at a position: it computes its update, defends it and sends it."""
        return self.client(position)

    def public(self) -> Images:
        """Images like the clients' that the attacker may know."""
        return self.experiment.dataset.load("public", self.experiment.data.root)

    def client(self, position: int, start: Tensor | None = None) -> Client:
        """The client at a position, for an attacker who begins the search at `start`."""
        experiment = self.experiment
        rows = self.order[position * self.size : (position + 1) * self.size]
        pairs = [self.images[row] for row in rows]
        images, labels = torch.stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])
        truth = Batch(images.to(self.device), labels.to(self.device))
        model = self._model(position)
        params = {name: value.detach() for name, value in model.named_parameters()}
        rng = generator("client", experiment.seed, position)
        batch = experiment.defense.on_batch(truth, rng)
        order = experiment.fl.order(rng)
        update = experiment.fl.update(model, params, batch, order)
        sent = experiment.defense.on_update(update, model, params, batch, rng)
        observation = Observation(
            model=model,
            params=params,
            update={name: value.detach() for name, value in sent.items()},
            protocol=experiment.fl,
            n=self.size if experiment.fl.dummies is None else experiment.fl.dummies,
            held=self.size,
            shape=experiment.dataset.shape,
            classes=len(experiment.dataset.classes),
            knowledge=self._knowledge(truth, order, start),
        )
        problem = Problem(position, observation, derive_seed("attack", experiment.seed, position))
        norm = torch.linalg.vector_norm(torch.stack([value.norm() for value in update.values()]))
        return Client([self.images.indices[row] for row in rows], truth, problem, float(norm))

    def _knowledge(self, truth: Batch, order: Sequence[Tensor] | None, start: Tensor | None) -> Knowledge:
        granted = self.experiment.knowledge
        # An attack that has no use for a generator must not wait until one is trained.
        return Knowledge(
            labels=truth.y if granted.labels else None,
            adaptations=self.experiment.defense.adaptations() if granted.defense else (),
            prior=self.prior if self.experiment.attack.requires_prior else None,
            order=order if granted.order else None,
            public=self.public() if granted.public else None,
            start=None if start is None else start.to(self.device),
        )
