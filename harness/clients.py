"""Clients that each send their first update of an untrained model."""

import torch
from torch import Tensor

from harness.config import Experiment
from harness.core import Batch, Classifier, UserError, derive_seed, generator
from harness.targets import Client as Client
from harness.targets import Sent, Targets, length


def open_targets(experiment: Experiment, like: Targets | None = None) -> Targets:
    """The targets of a run; `like`: those of a run with the same prior. Raises UserError when there are too few."""
    if experiment.fl.in_rounds:
        from harness.federated.rounds import Rounds

        return Rounds(experiment, like)
    return Clients(experiment, like)


class Clients(Targets):
    """Images of the attack split, each of its own client."""

    def __init__(self, experiment: Experiment, like: Targets | None = None) -> None:
        super().__init__(experiment, like)
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
        if self.experiment.order == "distinct":
            return self._distinct(drawn)
        label = self.images.labels[drawn[0]]
        return [position for position in drawn if self.images.labels[position] == label]

    def _distinct(self, drawn: list[int]) -> list[int]:
        """The positions in such an order that those of an update have different classes."""
        order: list[int] = []
        while len(order) < self.size * self.trials:
            chosen: dict[int, int] = {}
            for position in drawn:
                chosen.setdefault(int(self.images.labels[position]), position)
                if len(chosen) == self.size:
                    break
            else:
                raise UserError(
                    f"order=distinct: the attack split has not {self.size} different classes for every update"
                )
            order += chosen.values()
            drawn = [position for position in drawn if position not in chosen.values()]
        return order

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

    def looked_for(self, position: int) -> int:
        return self.experiment.fl.dummies or self.size

    def _model(self, position: int) -> Classifier:
        if not self.experiment.model.fresh:
            return self.fixed_model
        own = self.experiment.model.seed
        return self.build(derive_seed("model", self.experiment.seed if own is None else own, position))

    def client(self, position: int, start: Tensor | None = None) -> Client:
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
        sent = Sent(truth, order, update, experiment.defense.on_update(update, model, params, batch, rng))
        problem = self.observed(position, model, experiment.fl, sent, start)
        return Client([self.images.indices[row] for row in rows], truth, problem, length(update))
