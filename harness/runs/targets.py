"""What a run attacks, one target after the other: clients, and what each of them sent."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.checks.client import Outgoing
from harness.config.experiment import Experiment
from harness.core import (
    Batch,
    Classifier,
    Generator,
    Images,
    Knowledge,
    Observation,
    Params,
    Problem,
    Protocol,
    derive_seed,
)
from harness.federated.client import Sent
from harness.identity.identity import canonical
from harness.machine.device import device
from harness.models.embeddings import embeddings

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
    circumstances: dict[str, Any] = field(default_factory=dict)
    """What else the rows of its images say: in federated rounds, which round it was, and how good the model."""


class Targets(ABC):
    """The targets of a run, made one at a time: all depends on the seed and the position alone.

    Attacks, defences and scales that are compared therefore see the same images, networks and noise.
    """

    def __init__(self, experiment: Experiment, like: "Targets | None" = None) -> None:
        """`like`: targets with the same prior, whose generator is used instead of a second one."""
        self.experiment, self.like = experiment, like
        self.device = device(experiment.device)

    @property
    @abstractmethod
    def trials(self) -> int:
        """How many targets there are."""

    @property
    def available(self) -> int:
        """How many of them, from the first on, can be attacked by now."""
        return self.trials

    @abstractmethod
    def dummies(self, position: int) -> int:
        """How many images the attack is to look for at a position."""

    def network(self, position: int) -> Classifier | None:
        """The network that is attacked at a position; None where it can't be had without what came before."""
        return None

    @abstractmethod
    def client(self, position: int, start: Tensor | None = None) -> Client:
        """The client at a position, for an attacker who begins the search at `start`."""

    def __getitem__(self, position: int) -> Client:
        """The client at a position: it computes its update, defends it and sends it."""
        return self.client(position)

    def serve(self, attack: Callable[[], None], done: frozenset[int], directory: Path) -> None:
        """Call `attack` whenever there are targets to attack that are not done; `directory` is the run's own."""
        attack()

    @functools.cached_property
    def prior(self) -> Generator | None:
        """The attacker's generator, trained on the public split at the first use."""
        if self.like is not None:
            return self.like.prior
        experiment = self.experiment
        cache = str(experiment.paths.runs / "priors")
        found = experiment.prior.generator(experiment.dataset, experiment.data.root, cache, PRIOR_SEED)
        return found if found is None else found.to(self.device)

    def public(self) -> Images:
        """Images like the clients' that the attacker may know."""
        return self.experiment.dataset.load("public", self.experiment.data.root)

    @functools.cached_property
    def fixed_model(self) -> Classifier:
        """The network of all targets, as it begins."""
        own = self.experiment.model.seed
        return self.build(derive_seed("model", self.experiment.seed) if own is None else own)

    def build(self, seed: int) -> Classifier:
        """A network as the client's defence has it."""
        experiment = self.experiment
        cache = str(experiment.paths.runs / "models")
        model = experiment.training.model(
            experiment.victim, experiment.dataset, experiment.data.root, cache, seed, self.device
        )
        experiment.server.plant(model, seed)
        return experiment.defense.on_model(experiment.adapter.adapt(model, seed))

    def observed(
        self,
        position: int,
        model: Classifier,
        protocol: Protocol,
        sent: Sent,
        start: Tensor | None,
    ) -> Problem:
        """What the attacker is handed: the update, and what else it is granted."""
        observation = replace(
            self._observation(model, protocol, sent, self._knowledge(model, sent, start)),
            protocol=self.experiment.knowledge.protocol or protocol,
            n=self.dummies(position),
            trained_on=len(sent.truth),
        )
        seed = derive_seed("attack", self.experiment.seed, position)
        received = self._taught(self.experiment.server.received(observation))
        one = not self.experiment.model.fresh and model is self.fixed_model
        return Problem(position, received, seed, one_network=one)

    def seen(self, position: int, model: Classifier, protocol: Protocol, sent: Sent) -> dict[str, Any]:
        """The columns of what the client's checks have found; none where it makes none."""

        def observe() -> Observation:
            return self._observation(model, protocol, sent, Knowledge(labels=sent.truth.y))

        seed = derive_seed("gate", self.experiment.seed, position)
        return self.experiment.checks.columns(Outgoing(model, sent.batch, observe, seed))

    def _observation(
        self, model: Classifier, protocol: Protocol, sent: Sent, knowledge: Knowledge
    ) -> Observation:
        """An update as it is sent, beside the model that it belongs to."""
        params = {name: value.detach() for name, value in model.named_parameters()}
        return Observation(
            model=model,
            params=params,
            update={name: value.detach() for name, value in sent.defended.items()},
            protocol=protocol,
            n=len(sent.truth),
            statistics=protocol.statistics(model, params, sent.batch, sent.order),
            shape=self.experiment.dataset.shape,
            classes=len(self.experiment.dataset.classes),
            knowledge=knowledge,
        )

    def _taught(self, observation: Observation) -> Observation:
        """With what the attack has learnt from public images, should it learn."""
        if not self.experiment.attack.learns:
            return observation
        cache = str(self.experiment.paths.runs / "learned")
        learned = self.experiment.attack.learn(observation, cache, self._public_source)
        return replace(observation, knowledge=replace(observation.knowledge, learned=learned))

    @functools.cached_property
    def _public_source(self) -> dict[str, object]:
        """What identifies the public images."""
        dataset, root = self.experiment.dataset, self.experiment.data.root
        return {"dataset": canonical(dataset), "files": dataset.fingerprint(root, ["public"])}

    def _knowledge(self, model: Classifier, sent: Sent, start: Tensor | None) -> Knowledge:
        granted = self.experiment.knowledge
        # An attack that has no use for a generator must not wait until one is trained.
        return Knowledge(
            labels=sent.truth.y if granted.labels else None,
            adaptations=self.experiment.defense.adaptations() if granted.defense else (),
            prior=self.prior if self.experiment.attack.requires_prior else None,
            order=sent.order if granted.order else None,
            embeddings=embeddings(model, dict(model.named_parameters()), sent.truth.x).detach()
            if granted.embeddings
            else None,
            public=self.public() if granted.public else None,
            start=None if start is None else start.to(self.device),
        )


def length(update: Params) -> float:
    """The norm of all tensors of an update together."""
    return float(torch.linalg.vector_norm(torch.stack([value.norm() for value in update.values()])))
