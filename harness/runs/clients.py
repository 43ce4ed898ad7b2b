"""Clients that each send their first update of an untrained model."""

from dataclasses import replace

import torch
from torch import Tensor

from harness.config.experiment import Experiment
from harness.core import Batch, Classifier, UserError, derive_seed, generator, normalized
from harness.core.gradient import gradient
from harness.federated.client import Sent, computed
from harness.runs.choice import choose
from harness.runs.controls import without_image
from harness.runs.targets import Client as Client
from harness.runs.targets import Targets, length


def open_targets(experiment: Experiment, like: Targets | None = None) -> Targets:
    """The targets of a run; `like`: those of a run with the same prior. Raises UserError when there are too few."""
    if experiment.fl.in_rounds:
        from harness.runs.rounds import Rounds

        return Rounds(experiment, like)
    return Clients(experiment, like)


class Clients(Targets):
    """Images of the attack split, each of its own client."""

    def __init__(self, experiment: Experiment, like: Targets | None = None) -> None:
        super().__init__(experiment, like)
        self.images = experiment.dataset.load("attack", experiment.data.root)
        self.size = experiment.fl.examples
        self.order = choose(experiment, self.images)

    @property
    def trials(self) -> int:
        """How many targets there are."""
        if self.experiment.targets is None:
            return self.experiment.trials
        return len(self.order) // self.size

    def dummies(self, position: int) -> int:
        return self.experiment.fl.dummies or self.size

    def network(self, position: int) -> Classifier:
        if not self.experiment.model.fresh:
            return self.fixed_model
        own = self.experiment.model.seed
        return self.build(derive_seed("model", self.experiment.seed if own is None else own, position))

    def client(self, position: int, start: Tensor | None = None) -> Client:
        experiment, rows = self.experiment, self._rows(position)

        def ask(model: Classifier) -> Sent:
            return self.sent(model, rows, generator("client", experiment.seed, position))

        network = self.network(position)
        model = experiment.server.approach(network, lambda each: ask(each).defended, self.public)
        sent = ask(model)
        problem = self.observed(
            position, model, experiment.fl, self._controlled(sent, model, position), start
        )
        indices = [self.images.indices[row] for row in rows]
        return Client(
            indices,
            sent.truth,
            problem,
            length(sent.undefended),
            self.seen(position, model, experiment.fl, sent),
        )

    def _rows(self, position: int) -> list[int]:
        return self.order[position * self.size : (position + 1) * self.size]

    def sent(self, model: Classifier, rows: list[int], rng: torch.Generator) -> Sent:
        """What a client with these rows of the attack split computes and sends."""
        experiment = self.experiment
        pairs = [self.images[row] for row in rows]
        images, labels = torch.stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])
        truth = Batch(images.to(self.device), labels.to(self.device))
        params = {name: value.detach() for name, value in model.named_parameters()}
        batch = experiment.defense.on_batch(truth, rng)
        order = experiment.fl.order(rng)
        update = experiment.fl.update(model, params, batch, order)
        step = experiment.defense.on_gradient(gradient, rng)
        found = computed(experiment.fl, model, params, batch, order, update, step)
        with normalized(model, experiment.fl.normalization):
            defended = experiment.defense.on_update(found, model, params, batch, rng)
        return Sent(truth, batch, order, update, defended)

    def _controlled(self, sent: Sent, model: Classifier, position: int) -> Sent:
        """With what the attacker is handed in place of the update, should it be handed something else."""
        control, rng = self.experiment.control, generator("control", self.experiment.seed, position)
        if control == "none":
            return sent
        if control == "other":
            return replace(sent, defended=self.sent(model, self._others(position, rng), rng).defended)
        return replace(sent, defended=without_image(control, sent.defended, rng))

    def _others(self, position: int, rng: torch.Generator) -> list[int]:
        """As many rows as are attacked, of other images. Raises UserError where there are not so many."""
        free = sorted(set(range(len(self.images))) - set(self._rows(position)))
        if len(free) < self.size:
            raise UserError(f"control=other: the attack split has no {self.size} other images")
        return [free[place] for place in torch.randperm(len(free), generator=rng)[: self.size].tolist()]
