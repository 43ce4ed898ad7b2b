"""The latent vectors that an attack has found: those that its run keeps, else those of the same search once more."""

from collections.abc import Sequence

from torch import Tensor

from harness.attacks.solvers.variables import LATENT
from harness.config.experiment import Experiment
from harness.runs.targets import Client
from harness.store.records import Store
from harness.tables.measurement import Outcome


def latents(outcome: Outcome, store: Store, clients: Sequence[Client]) -> list[Tensor]:
    """Of each client of a run, who has one image, [1, k]: those of the iterate that the run reports."""
    assert outcome.experiment is not None
    kept = outcome.images(store).get(LATENT)
    if kept is not None:
        found = [kept[client.problem.id][None] for client in clients]
        if not any(z.isnan().any() for z in found):
            return found
    return searched(outcome.experiment, clients)


def searched(experiment: Experiment, clients: Sequence[Client]) -> list[Tensor]:
    """What a search finds once more, which depends on its seed alone."""
    found = {one.problem: one for one in experiment.attack(client.problem for client in clients)}
    shown = [found[client.problem.id] for client in clients]
    vectors = [one.end.latent if experiment.report == "last" else one.latent for one in shown]
    assert all(z is not None for z in vectors)
    return [z for z in vectors if z is not None]
