"""Clients under attack in federated rounds: the same as others, but that their model has been trained by then."""

from harness.simulation.checkpoint import SimulationCheckpoint  # before pytorch_lightning  # isort: skip

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor

from harness.base import interruption
from harness.config.experiment import Experiment
from harness.core import Adversary, Batch, Knowledge, Observation, Problem, UserError, derive_seed, generator
from harness.federated.fedavg import FedAvg
from harness.runs.controls import without_image
from harness.runs.targets import Client, Targets, length
from harness.simulation.population import Population
from harness.simulation.schedule import Schedule
from harness.simulation.simulation import Report, Simulation

CHECKPOINT = "simulation.ckpt"
TESTED = 2000
"""Held-out images behind the accuracy that stands beside an attack."""


class Rounds(Targets):
    """The victims of a federated simulation, round by round.

    The clients hold the `train` split: it has neither images that are public nor any of the attack split. The
    attacker is handed the update before it is averaged, with the model that was sent to the client.
    """

    def __init__(self, experiment: Experiment, like: Targets | None = None) -> None:
        super().__init__(experiment, like)
        protocol = experiment.fl
        assert isinstance(protocol, FedAvg)
        assert protocol.clients is not None
        held = experiment.dataset.load("train", experiment.data.root)
        self.population = Population(held, protocol.partition, protocol.clients, experiment.seed)
        self.schedule = Schedule(protocol, self.population.holders, experiment.seed)
        self.victims = self.schedule.victims(experiment.trials)
        """Round and client of each attack."""
        self.simulation = Simulation(
            self.fixed_model,
            self.population,
            self.schedule,
            experiment.defense,
            experiment.seed,
            experiment.attack.insider,
        )
        self.senders = self._others() if experiment.control == "other" else {}
        """Of each attack, whose update the attacker is handed in place of the victim's."""
        self.insider = experiment.attack.insider
        if self.insider and self.insider.client not in self.population.holders:
            raise UserError(
                f"attack.adversary.client: there is no client {self.insider.client} that holds data"
            )
        if self.insider:
            self._wanted  # noqa: B018 - so that a class that nobody holds is told at once
        self.reached = 0
        self.tested: tuple[float, float] | None = None
        """Accuracy and loss of the model that the clients have received."""

    @property
    def trials(self) -> int:
        return len(self.victims)

    @property
    def available(self) -> int:
        return self.reached

    def dummies(self, position: int) -> int:
        if self.insider:
            return min(self.insider.pictures, len(self._wanted))
        _, client = self.victims[position]
        held = min(self.population.examples(each) for each in (client, self.senders.get(position, client)))
        return min(self.experiment.fl.dummies or held, held)

    def serve(self, attack: Callable[[], None], done: frozenset[int], directory: Path) -> None:
        """Simulate as far as there are victims that are not stored yet, and attack each in its round."""
        left = [position for position in range(self.trials) if position not in done]
        if left:
            if self.experiment.attack.requires_prior:
                self.prior  # noqa: B018 - trained before, for it has a Trainer of its own
            checkpoint = directory / CHECKPOINT
            callbacks = [Attacks(self, attack, done), SimulationCheckpoint(checkpoint)]
            self.simulation.simulate(self.victims[left[-1]][0], callbacks, checkpoint, self.device)
            if not interruption.requested():
                checkpoint.unlink(missing_ok=True)

    def client(self, position: int, start: Tensor | None = None) -> Client:
        """The client at a position; its round must be the one that comes next."""
        number, client = self.victims[position]
        if not self.experiment.attack.attacks:
            return self._nobody(position, number)
        if self.insider:
            return self._inside(self.insider, position, number - 1)
        report = self.simulation.report(number, client)
        model = copy.deepcopy(self.simulation.model)  # which is trained on before all have looked at it
        handed = self._handed(position, report)
        problem = self.observed(position, model, handed.protocol, handed, start)
        circumstances = {
            "round": number,
            "client": client,
            "examples": len(report.truth),
            "test_accuracy": self.tested and self.tested[0],
        } | self.seen(position, model, report.protocol, report)
        if position in self.senders:
            circumstances["sender"] = self.senders[position]
        return Client(
            self.population.indices(client), report.truth, problem, length(report.undefended), circumstances
        )

    def _handed(self, position: int, report: Report) -> Report:
        """What the attacker is handed: the victim's report, unless a control has something else."""
        control, rng = self.experiment.control, generator("control", self.experiment.seed, position)
        if control == "none":
            return report
        if control == "other":
            return self.simulation.report(self.victims[position][0], self.senders[position])
        return replace(report, defended=without_image(control, report.defended, rng))

    def _others(self) -> dict[int, int]:
        """For each attack another client whose update arrives in that round. Raises UserError where there is none."""
        found = {}
        for position, (number, client) in enumerate(self.victims):
            free = [each for each in self.schedule.answering(number) if each != client]
            if not free:
                raise UserError(f"control=other: in round {number} no other client's update arrives")
            rng = generator("control", self.experiment.seed, position)
            found[position] = free[int(torch.randint(len(free), (1,), generator=rng))]
        return found

    @functools.cached_property
    def _wanted(self) -> Tensor:
        """The rows of the images that an adversary among the clients is after: others' of the class."""
        assert self.insider is not None
        others = [rows for client, rows in enumerate(self.population.train) if client != self.insider.client]
        rows = torch.cat(others)
        found = rows[self.population.images.labels[rows] == self.insider.tracked]
        if not len(found):
            raise UserError(
                f"attack.adversary.tracked: nobody else holds an image of class {self.insider.tracked}"
            )
        return found

    def _inside(self, insider: Adversary, position: int, done: int) -> Client:
        """What the adversary has come to after so many rounds: it is asked about no update, but about its state."""
        experiment, population = self.experiment, self.population
        truth = population.batch(self._wanted, self.device)
        own = insider.own(population.batch(population.train[insider.client], self.device))
        observation = Observation(
            model=copy.deepcopy(self.simulation.model), params=dict(self.simulation.weights), update={},
            protocol=experiment.fl, n=self.dummies(position), trained_on=0, shape=experiment.dataset.shape,
            classes=len(experiment.dataset.classes),
            knowledge=Knowledge(learned=copy.deepcopy(self.simulation.adversary_state)),
        )  # fmt: skip
        told = {
            "round": done,
            "client": insider.client,
            "examples": len(own),
            "own_images": int((own.y == insider.tracked).sum()),
            "test_accuracy": self.tested and self.tested[0],
        }
        indices = [population.images.indices[row] for row in self._wanted.tolist()]
        seed = derive_seed("attack", experiment.seed, position)
        return Client(indices, truth, Problem(position, observation, seed), 0.0, told)

    def _nobody(self, position: int, number: int) -> Client:
        """Of whom nothing is attacked: what is known is how good the model is that the rounds before have made."""
        model, fl = self.simulation.model, self.experiment.fl
        none = Batch(torch.empty(0, *self.experiment.dataset.shape), torch.empty(0, dtype=torch.int64))
        observation = Observation(
            model=model, params={}, update={}, protocol=fl, n=0, trained_on=0, shape=self.experiment.dataset.shape,
            classes=len(self.experiment.dataset.classes), knowledge=Knowledge(),
        )  # fmt: skip
        accuracy, loss = self.tested or (None, None)
        told = {"round": number - 1, "test_accuracy": accuracy, "test_loss": loss}
        return Client([], none, Problem(position, observation, 0), 0.0, told)


class Attacks(pl.Callback):
    """The attack on a round's victims, after they have trained and before the server averages (Zhu et al. 2024)."""

    def __init__(self, rounds: Rounds, attack: Callable[[], None], done: frozenset[int]) -> None:
        self.attack = attack
        self.rounds = rounds
        self.left: dict[int, list[int]] = {}
        """The positions to attack in each round."""
        for position, (number, _) in enumerate(rounds.victims):
            if position not in done:
                self.left.setdefault(number, []).append(position)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: int, batch_idx: int
    ) -> None:
        positions = self.left.pop(batch, [])
        if positions:
            attacked = self.rounds.experiment.attack.attacks
            self.rounds.tested = self.rounds.simulation.evaluate(TESTED if attacked else None)
        for position in positions:  # one by one, for each may hold another number of images
            self.rounds.reached = position + 1
            self.attack()
        # What would be trained after the last attack, nobody looks at.
        self.rounds.simulation.over = not self.left or interruption.requested()
