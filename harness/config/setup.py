"""What a run is of: all that its reconstructions depend on, and so all that is hashed."""

import dataclasses
from typing import Literal, get_args

from harness.base.numbers import Count, Natural, Seed
from harness.checks.client import ClientChecks, NoChecks
from harness.core import Attack, Dataset, Defense, Model, Prior, Protocol, Split, component
from harness.identity.identity import components, is_native
from harness.models.adapter import Adapter, NoAdapter
from harness.models.training import Training
from harness.servers.server import Honest, ServerPolicy
from harness.starts.policy import StartPolicy
from harness.starts.random import Random

Control = Literal["none", "negative", "other", "noise"]


@component
class KnowledgeSettings:
    """What the attacker is given beside the update."""

    labels: bool = False
    defense: bool = False
    order: bool = False
    """The order in which the client goes through its images."""
    embeddings: bool = False
    """What the first linear layer sees of each image."""
    public: bool = False
    """Labelled images like the clients'."""
    protocol: Protocol | None = None
    """How the attacker takes clients to train, which may be wrong; null: as they do."""


@component
class Setup:
    """Who attacks what, and how the clients train."""

    dataset: Dataset
    model: Model
    fl: Protocol
    attack: Attack
    defense: Defense
    prior: Prior
    training: Training = dataclasses.field(default_factory=Training)
    """Of the model, before its clients send anything."""
    adapter: Adapter = dataclasses.field(default_factory=NoAdapter)
    """Which parameters clients train."""
    server: ServerPolicy = dataclasses.field(default_factory=Honest)
    """What is done to the model before clients receive it."""
    checks: ClientChecks = dataclasses.field(default_factory=NoChecks)
    """What clients look at before they train and send."""
    start: StartPolicy = dataclasses.field(default_factory=Random)
    knowledge: KnowledgeSettings
    targets: list[Natural] | None
    order: Literal["random", "same_class", "distinct", "sequential"] = "random"
    """Of the targets: drawn by the seed; drawn from one class that the seed draws; drawn so that the images behind an
    update are of different classes; or as the data set has them."""
    of_class: Natural | None = None
    """The only class whose images are attacked, by its number; null: of all."""
    alike: Count | None = None
    """Of the images behind an update so many are of one class, and the others of a class each: whatever their number,
    the first is the same. Null: as `order` has it."""
    control: Control = "none"
    """What the attacker is handed in place of the client's update: nothing else; its negative, as Guo et al. 2025 hand
    it on where they simulate nothing (code); that of other images; or Gaussian noise of the same length."""
    seed: Seed

    @property
    def victim(self) -> Model:
        """The architecture that clients receive."""
        return self.server.architecture(self.model)

    @property
    def splits(self) -> list[Split]:
        """The splits of the data set that the run reads. Components from elsewhere may read any."""
        parts = [part for f in dataclasses.fields(Setup) for part in components(getattr(self, f.name))]
        read = {"attack", *(split for part in parts for split in part.reads)}
        read |= {"public"} if self.knowledge.public else set()
        foreign = any(not is_native(type(part)) for part in parts)
        return [split for split in get_args(Split) if foreign or split in read]
