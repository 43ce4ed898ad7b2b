"""The federated training of one model: a LightningModule in which one batch is one round."""

# Before pytorch_lightning:
from harness.machine.lightning import quiet, trainer  # isort: skip

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from harness.base.errors import warn
from harness.base.progress import Bar, task
from harness.core import (
    Adversary,
    Batch,
    Classifier,
    Defense,
    Gradient,
    Params,
    derive_seed,
    generator,
    normalized,
)
from harness.core.gradient import gradient
from harness.federated.client import Sent, computed
from harness.federated.fedavg import FedAvg
from harness.machine.memory import reuse_freed_memory
from harness.simulation.checkpoint import finished_rounds
from harness.simulation.cohort import Cohort, cohort_width
from harness.simulation.population import Population
from harness.simulation.schedule import Schedule
from harness.simulation.training import LocalTraining

MOMENTUM = "momentum of clients"
"""What a checkpoint calls it."""


@dataclass(frozen=True, eq=False)
class Report(Sent):
    """What a client did in a round."""

    protocol: FedAvg
    """As it was in force."""
    divisor: float
    """What the difference of the weights was divided by."""
    drift: Params
    """How far the buffers (statistics of batch normalisation) have moved: averaged, but no part of the update."""
    momentum: Params
    """That the client ends with; empty where it is not kept."""

    @property
    def finite(self) -> bool:
        parts = (*self.defended.values(), *self.drift.values())
        return all(bool(torch.isfinite(value.sum())) for value in parts)


@dataclass(frozen=True, eq=False)
class _Task:
    """What a client is about to do in a round."""

    truth: Batch
    batch: Batch
    """The images as its defence has them."""
    order: Sequence[Tensor]
    protocol: FedAvg
    gradient: Gradient
    """How its defence has it compute that of a local step."""
    rng: torch.Generator


class Simulation(pl.LightningModule):
    """Federated averaging (McMahan et al. 2017, algorithm 1), each round a function of the seed and the model.

    Nothing is drawn from a global generator, so that a simulation that was killed goes on to the same weights.
    """

    finished: Tensor
    """How many rounds are done."""

    def __init__(
        self,
        model: Classifier,
        population: Population,
        schedule: Schedule,
        defense: Defense,
        seed: int,
        adversary: Adversary | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.population, self.schedule = model, population, schedule
        self.defense, self.seed, self.adversary = defense, seed, adversary
        self.adversary_state = (
            None if adversary is None else adversary.begin(population.shape, derive_seed("adversary", seed))
        )
        """A module, so that it is in the checkpoint."""
        self.momentum: dict[int, Params] = {}
        """Of each client, where the protocol has it last from round to round."""
        self.register_buffer("finished", torch.zeros((), dtype=torch.int64))
        self.last = 0
        """The round to stop after."""
        self.over = False
        """Set by a callback at the beginning of a round that need not be carried out, nor those after it."""

    @functools.cached_property
    def training_of_clients(self) -> LocalTraining:
        reuse_freed_memory()
        return LocalTraining(self.model)

    @property
    def weights(self) -> Params:
        """The parameters of the global model."""
        return {name: value.detach() for name, value in self.model.named_parameters()}

    @property
    def buffers_of_model(self) -> Params:
        return dict(self.model.named_buffers())

    def configure_optimizers(self) -> None:
        """Averaging needs none."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """How far Lightning's loops had come is of no use: the module itself knows which rounds are to come."""
        checkpoint.pop("loops", None)
        self.momentum = checkpoint.pop(MOMENTUM, {})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Clients go on with the very momentum that they had."""
        if self.momentum:
            checkpoint[MOMENTUM] = self.momentum

    def train_dataloader(self) -> "DataLoader[int]":
        return DataLoader(_Coming(self), batch_size=None)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> int | None:
        """-1 has Lightning stop."""
        return -1 if self.over else None

    def training_step(self, batch: int, batch_index: int) -> None:
        """One round: the clients that answer train, and their updates are averaged by how many images they have."""
        total, count = _Sum(self.weights), 0
        drift = _Sum(self.buffers_of_model)
        for client, report in self.reports(batch, self.schedule.answering(batch)):
            if not report.finite:
                warn(f"round {batch}: client {client} sent numbers that are not finite; it is left out")
                continue
            examples = self.population.examples(client)
            total.add(report.defended, examples * report.divisor)
            drift.add(report.drift, examples)
            count += examples
            if report.momentum:
                self.momentum[client] = report.momentum
        if count:
            total.move(self.weights, -1 / count)
            drift.move(self.buffers_of_model, 1 / count)
        self.finished.fill_(batch)

    def reports(self, number: int, clients: Sequence[int]) -> Iterator[tuple[int, Report]]:
        """What clients send in the round that comes next: those with equally many images train side by side."""
        alike: dict[int, list[int]] = {}
        for client in clients:
            alike.setdefault(self.population.examples(client), []).append(client)
        for examples, group in alike.items():
            rank = examples * self.schedule.protocol.local_epochs
            wide = 1 if self.schedule.protocol.keep_momentum else cohort_width(self.model, rank)
            for first in range(0, len(group), wide):
                yield from self._side_by_side(number, group[first : first + wide])

    def _side_by_side(self, number: int, clients: Sequence[int]) -> Iterator[tuple[int, Report]]:
        adversary = self.adversary and self.adversary.client
        if len(clients) == 1 or adversary in clients:
            for client in clients:
                attacks = client == adversary
                yield client, self._attacking(number, client) if attacks else self.report(number, client)
            return
        given = [self._task(number, client) for client in clients]
        batches, orders = [each.batch for each in given], [each.order for each in given]
        trained = Cohort(self.model)(self.weights, batches, orders, given[0].protocol)
        for client, each, after in zip(clients, given, trained, strict=True):
            yield client, self._answer(each, after, self.buffers_of_model, {})

    def report(self, number: int, client: int) -> Report:
        """What a client sends in the round that comes next: the same whenever it is asked."""
        given = self._task(number, client)
        begun = {name: value.to(self.device) for name, value in self.momentum.get(client, {}).items()}
        trained = self.training_of_clients(
            self.weights, self.buffers_of_model, given.batch, given.order, given.protocol, begun
        )
        return self._answer(given, *trained)

    def _attacking(self, number: int, client: int) -> Report:
        """What the adversary sends; its state has moved on afterwards."""
        assert self.adversary is not None
        assert self.adversary_state is not None
        given, rng = self._task(number, client), generator("adversary", self.seed, number)
        begun, batch = self.adversary.act(self.adversary_state, self.model, given.batch, number, rng)
        if len(batch) != len(given.batch):
            protocol = self.schedule.in_force(number, len(batch))
            given = replace(given, protocol=protocol, order=protocol.order(rng))
        given = replace(given, batch=batch, gradient=gradient)  # nothing has an adversary train privately
        momentum = {name: value.to(self.device) for name, value in self.momentum.get(client, {}).items()}
        trained = self.training_of_clients(
            begun, self.buffers_of_model, batch, given.order, given.protocol, momentum
        )
        return self._answer(given, *trained)

    def _task(self, number: int, client: int) -> _Task:
        rng = generator("client", self.seed, number, client)
        truth = self.population.batch(self.population.train[client], self.device)
        protocol = self.schedule.in_force(number, len(truth))
        batch = self.defense.on_batch(truth, rng)
        order = protocol.order(rng)
        return _Task(truth, batch, order, protocol, self.defense.on_gradient(gradient, rng), rng)

    def _answer(self, given: _Task, after: Params, buffers: Params, momentum: Params) -> Report:
        before, kept, protocol = self.weights, self.buffers_of_model, given.protocol
        divisor = protocol.divisor(len(given.order))
        update = {name: (value - after[name].detach()) / divisor for name, value in before.items()}
        found = computed(protocol, self.model, before, given.batch, given.order, update, given.gradient)
        with normalized(self.model, protocol.normalization):
            sent = self.defense.on_update(found, self.model, before, given.batch, given.rng)
        drift = {name: buffers[name] - value for name, value in kept.items() if value.is_floating_point()}
        kept_on = momentum if protocol.keep_momentum else {}
        return Report(given.truth, given.batch, given.order, update, sent, protocol, divisor, drift, kept_on)

    @torch.no_grad()
    def evaluate(self, limit: int | None = None) -> tuple[float, float] | None:
        """Accuracy and mean loss of the global model on the clients' test images, or on so many of them.

        None: there are no test images.
        """
        right, loss, count = 0, 0.0, 0
        for batch in self.population.held_out(self.device, limit):
            logits = self.model(batch.x)
            right += int((logits.argmax(1) == batch.y).sum())
            loss += float(F.cross_entropy(logits, batch.y, reduction="sum"))
            count += len(batch)
        return (right / count, loss / count) if count else None

    def simulate(
        self, last: int, callbacks: Sequence[pl.Callback], checkpoint: Path, device: torch.device
    ) -> None:
        """Carry out rounds up to one, from the checkpoint where there is one. Raises UserError for a damaged one."""
        self.last, self.model = last, self.model.eval()
        done = finished_rounds(checkpoint)
        with quiet(), task("rounds", last, done) as bar:
            run = trainer(device, [*callbacks, _Progress(bar)], 1, checkpoint.parent)
            try:
                run.fit(self, ckpt_path=checkpoint if done else None, weights_only=True)
            except SystemExit as error:  # what Lightning makes of a KeyboardInterrupt
                raise KeyboardInterrupt from error


class _Coming(IterableDataset[int]):
    """The rounds that are still to come."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def __iter__(self) -> Iterator[int]:
        yield from range(int(self.simulation.finished) + 1, self.simulation.last + 1)


class _Sum:
    """A weighted sum of tensors by name."""

    def __init__(self, like: Params) -> None:
        self.total = {name: torch.zeros_like(v) for name, v in like.items() if v.is_floating_point()}

    def add(self, values: Params, weight: float) -> None:
        for name, total in self.total.items():
            total.add_(values[name], alpha=weight)

    @torch.no_grad()
    def move(self, values: Params, factor: float) -> None:
        """Move `values` by the sum, in place."""
        for name, total in self.total.items():
            values[name].add_(total, alpha=factor)


class _Progress(pl.Callback):
    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.bar.advance()
