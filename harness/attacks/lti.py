"""Learning to invert: a network trained on the updates of public images reads images off the client's."""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks.images import known_labels
from harness.attacks.inverter import (
    Compression,
    Inverter,
    Pairs,
    batches,
    clients,
    compressor,
    flattened,
    public_pairs,
    squared_error,
)
from harness.base import interruption
from harness.base.numbers import Count, Positive, ProperFraction, Width
from harness.base.progress import task
from harness.base.threat import Need
from harness.core import (
    Attack,
    LabelInference,
    Model,
    Observation,
    Reconstruction,
    UserError,
    component,
    derive_seed,
    generator,
)
from harness.identity.identity import canonical
from harness.store.cache import Entry, digest, finite

SEED = 0
"""One inverter serves all seeds of a table that attack the same network."""


@component
class LTI(Attack):
    """Wu et al. 2023 (LTI), algorithm 1: an inverter learns images from the updates that public images would cause.

    `steps` passes over these, with Adam, times .1 after three quarters; the pass with the least error on public updates
    kept apart counts (the authors choose by the attacked ones). The same network answers for every client.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.PUBLIC})
    learns: ClassVar[bool] = True
    labels: LabelInference
    """The rule that reads the labels off the update; the images need none."""
    updates: Count | None = None
    """Of public images; null: as many as there are images for without using one twice."""
    compression: Compression = "none"
    """none: all numbers of an update; projection: Gaussian; hash: sums over random bins, for large networks."""
    features: Width = 1000
    """Of a compressed update."""
    hidden: Width = 3000
    """Units of each of the two hidden layers."""
    batch_size: Count = 256
    lr: Positive = 1e-4
    validation: Annotated[ProperFraction, Field(gt=0)] = 0.1
    """The part of the public images whose updates are kept apart."""

    def check(self, model: Model) -> None:
        if model.fresh:
            raise UserError("attack=lti learns how one network answers: say model.fresh=false")

    def learn(self, observation: Observation, cache: str, source: Mapping[str, object]) -> Inverter:
        """The inverter of the network that the observation shows. Raises UserError."""
        if observation.knowledge.adaptations:
            raise UserError("attack=lti learns from undefended updates: say knowledge.defense=false")
        flat = flattened(observation.params)
        size = len(flat) if self.compression == "none" else self.features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("inverter", SEED))
            inverter = Inverter(size, self.hidden, observation.n, observation.shape).to(flat)
        identity = {
            "attack": canonical(self),
            "public": dict(source),
            "network": [str(observation.model), digest(flat.cpu())],
            "buffers": {name: digest(value.cpu()) for name, value in observation.model.named_buffers()},
            "protocol": [canonical(observation.protocol), observation.n],
        }
        entry = Entry.of(cache, "LTI", identity, "inverter")
        entry.fill(inverter, lambda: self._train(inverter, observation, entry))
        return inverter.eval().requires_grad_(False)

    def _train(self, inverter: Inverter, observation: Observation, entry: Entry) -> None:
        public = observation.knowledge.public
        assert public is not None, "the configuration was checked"
        apart, rows = self.rows(len(public), observation.n)
        compress = self._compressor(observation)
        self._fit(inverter, *(public_pairs(observation, public, each, compress) for each in (rows, apart)))
        if not finite(inverter):
            raise UserError(f"the inverter's training diverged: lower attack.lr, and delete {entry.folder}")
        entry.save(inverter)

    def rows(self, public: int, images: int) -> tuple[Tensor, Tensor]:
        """The public images behind the updates kept apart [k, n] and behind those that are learnt from [k, n].

        No image is in both. Raises UserError where there are too few.
        """
        pool = torch.randperm(public, generator=generator("public images", SEED))
        kept, share = math.ceil(public * self.validation), self.validation
        return self._clients(pool[:kept], images, share), self._clients(pool[kept:], images, 1 - share)

    def _clients(self, pool: Tensor, images: int, share: float) -> Tensor:
        whole = len(pool) // images
        count = whole if self.updates is None else math.ceil(self.updates * share)
        if not whole or (images == 1 and count > whole):
            raise UserError(f"attack=lti: too few public images, {len(pool)}, for a part of the updates")
        return clients(pool, images, count, SEED)

    def _fit(self, inverter: Inverter, pairs: Pairs, apart: Pairs) -> None:
        """Train in place, and keep the best pass."""
        inverter.mean.copy_(pairs.features.mean(0))
        deviation = pairs.features.std(0, correction=0)
        inverter.std.copy_(torch.where(deviation > 0, deviation, 1))
        optimizer = torch.optim.Adam(inverter.parameters(), lr=self.lr)
        decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, [self.steps * 3 // 4], gamma=0.1)
        least, best = math.inf, inverter.state_dict()
        with torch.enable_grad(), task("inverter", self.steps) as bar:
            for epoch in range(self.steps):
                for rows in batches(len(pairs.features), self.batch_size, epoch, SEED):
                    interruption.check()
                    loss = squared_error(inverter(pairs.features[rows]), pairs.images[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                decay.step()
                error = _error(inverter, apart)
                if error < least:
                    least, best = error, deepcopy(inverter.state_dict())
                bar.advance(f"mse {error:.4f}")
        inverter.load_state_dict(best)

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        """What the inverter makes of the update; its loss is not known to the attacker."""
        inverter = observation.knowledge.learned
        assert inverter is not None
        features = self._compressor(observation)(flattened(observation.update))
        with torch.no_grad():
            images = inverter(features[None])[0]
        labels = known_labels(observation, self.labels)
        return Reconstruction(images, labels, math.nan, 0.0, "budget", iterations=1, evaluations=0)

    def _compressor(self, observation: Observation) -> Callable[[Tensor], Tensor]:
        flat = flattened(observation.params)
        return compressor(self.compression, len(flat), self.features, flat)


@torch.no_grad()
def _error(inverter: Inverter, apart: Pairs) -> float:
    made: Tensor = inverter(apart.features)
    return float(squared_error(made, apart.images))
