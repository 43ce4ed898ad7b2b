"""A gate before sending: the client attacks its own update, and holds it back where its images come out."""

from time import perf_counter

import torch

from harness.base.numbers import Real
from harness.base.rows import Row
from harness.checks.client import ClientChecks, Outgoing, reported
from harness.core import Attack, Batch, Classifier, Metric, Observation, Problem, UserError, component
from harness.metrics.matching import match

GREY = 0.5
"""What is known of an image without an update."""


@component
class Gate(ClientChecks):
    """The relative data leakage value of NVIDIA FLARE (Hatamizadeh et al. 2023): by how much the reconstruction is more
    like an image than what was known before, (s(found, x) - s(prior, x)) / s(prior, x), the most of all images.

    The attack is the client's own, with the true labels; the prior is a grey image (there: where the search began). An
    update above the threshold is held back: `detected`, by `gate`. What it takes is in `gate_seconds`.
    """

    attack: Attack
    similarity: Metric
    """s, which must be the higher the more alike."""
    threshold: Real = 0.5

    def check(self) -> None:
        """Raises UserError for an attack that a client can't make on its own update."""
        own = self.attack
        if own.requires_prior or own.learns or own.insider is not None or not own.reconstructs_images:
            raise UserError(
                f"checks.attack: {type(own).__name__} needs more than an update, or finds no images: say ig"
            )
        if not self.similarity.higher_is_better:
            raise UserError(f"checks.similarity: {type(self.similarity).__name__} is less the more alike")

    def alarms(self, model: Classifier, batch: Batch) -> list[str] | None:
        """Nothing by itself: a gate looks at updates."""
        return []

    def columns(self, outgoing: Outgoing) -> Row:
        begun = perf_counter()
        leakage = self.leakage(outgoing)
        found = ["gate"] if leakage > self.threshold else []
        return reported(found) | {"gate_leakage": leakage, "gate_seconds": perf_counter() - begun}

    def leakage(self, outgoing: Outgoing) -> float:
        """The RDLV of what the attack makes of the update; 0 where it makes nothing of it."""
        observation = outgoing.observe()
        (found,) = self.attack([Problem(0, observation, outgoing.seed)])
        if found.status == "failed":
            return 0.0
        truth = outgoing.batch
        ours, theirs = match(found.x.to(truth.x), truth.x)
        prior = torch.full_like(truth.x[ours], GREY)
        own = Batch(truth.x[ours], truth.y[ours])
        known, reached = (self._alike(x, own, observation) for x in (prior, found.x.to(truth.x)[theirs]))
        return float(((reached - known) / known).max())

    def _alike(self, x: torch.Tensor, own: Batch, observation: Observation) -> torch.Tensor:
        """How like its own images [n, c, h, w] others are, [n]."""
        scores = self.similarity(Batch(x, own.y), own, observation.model, observation.params)
        assert scores is not None
        return scores
