"""Residual networks by hand in torch (`sweeps`): problems that share a network go through it together.

`Swept` evaluates the loss and gradient of attacks that match an update. Where the optimiser uses no gradient, the
clients' updates alone are computed by hand, and the attack does the rest.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.matching import through_defenses
from harness.attacks.solvers import byhand
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.evaluator import LEAST, Evaluator, Found, Setting, alike
from harness.attacks.solvers.matched import matched, targets
from harness.attacks.solvers.nevergrad import NevergradCMA
from harness.attacks.solvers.sweeps.convolutions import inner, summed
from harness.attacks.solvers.sweeps.network import SharedNetwork
from harness.attacks.solvers.units import sizes, units
from harness.core import Observation, Params

Row = TypeVar("Row")
KEPT = 7
"""How many times the maps of a forward pass an evaluation holds at once: measured on ResNet-18, 1 to 8 images."""


def refusal(setting: Setting) -> str | None:
    """Why this setting is not for this code; None: it is."""
    attack, observation = setting.attack, setting.observation
    if not (attack.optimizer.uses_gradient or getattr(type(attack).loss, "comparing", False)):
        return "needs an attack that compares updates"
    if reason := byhand.refusal(setting):
        return reason
    fewest = min(high * wide for high, wide in sizes(units(observation.model), observation.shape))
    single = observation.protocol.normalization != "eval" and observation.n * fewest == 1
    return "knows no batch normalisation of a single value" if single else None


def at_par(setting: Setting) -> bool:
    """Whether searches by this code were shown to end like the loop's, from which rounding parts them on the way.

    Those by Adam and by nevergrad's CMA-ES were: see experiments/results/engines/psnr.md.
    """
    return isinstance(setting.attack.optimizer, Adam | NevergradCMA) and refusal(setting) is None


def numbers(setting: Setting) -> int:
    """How many numbers an evaluation of one problem holds of the maps of its images, whatever their precision."""
    observation = setting.observation
    found = units(observation.model)
    maps = zip(found, sizes(found, observation.shape), strict=True)
    return KEPT * observation.n * sum(unit.channels_out * high * wide for unit, (high, wide) in maps)


@dataclass(frozen=True, eq=False)
class SharedProblem:
    """What is in a slot."""

    observation: Observation
    known: Params

    @property
    def statistics(self) -> Params:
        """Those that the client sent of its one step."""
        sent = self.observation.statistics
        return sent[0] if sent else {}


class Together(ABC):
    """The problems that have a network in common, by slot.

    If it is `exact`, a problem's numbers are on a CPU the same to the last bit, whichever and however many are beside
    it: so no fewer than `least` are computed at once (`LEAST` says why).
    """

    def __init__(self, setting: Setting, network: SharedNetwork, exact: bool) -> None:
        self.setting, self.network = setting, network
        self.least = LEAST if exact else 1
        self.problems: dict[int, SharedProblem] = {}

    def hold(self, problems: dict[int, SharedProblem]) -> None:
        """From now on these, and no others."""
        self.problems = problems
        self.statistics = _stacked([row.statistics for row in self._rows])

    @property
    def _rows(self) -> list[SharedProblem]:
        return self._filled(list(self.problems.values()))

    def _filled(self, rows: list[Row]) -> list[Row]:
        """As many as are computed: the first one over again."""
        return rows + rows[:1] * (self.least - len(rows))

    def evaluate(self, x: Tensor) -> Found:
        """Losses [k] and gradients [k, size] at x [slots, size]."""
        return self._evaluate(x[torch.tensor(self._filled(list(self.problems)), device=x.device)])

    @abstractmethod
    def _evaluate(self, x: Tensor) -> Found:
        """The same at x of all rows that are computed."""


class Matching(Together):
    """For attacks that match updates: see `matched`."""

    def hold(self, problems: dict[int, SharedProblem]) -> None:
        super().hold(problems)
        self.known = _stacked([row.known for row in self._rows])
        self.received = _stacked([self.network.packed(row.observation.update) for row in self._rows])
        lengths = [inner(value, value) for value in self.received.values()]
        self.length = summed(lengths) if lengths else torch.zeros(0)
        attack = self.setting.attack
        self.parts = [matched(attack, row.observation, row.known) for row in problems.values()]

    def _evaluate(self, x: Tensor) -> Found:
        layout, (first, *_) = self.setting.layout, self.parts
        assert first is not None
        variables = layout.unflatten(x)
        target = targets(variables, self.known, self.network.classes)
        sweep = self.network.sweep(variables["images"], target, self.statistics)
        cosine = first.distance == "cosine"
        found = sweep.cosine(self.received, self.length) if cosine else sweep.squared(self.received)
        loss, images, slope = found
        rows = zip(self.parts, x, loss, images, target, slope, strict=False)
        whole = [part.found(layout, *own) for part, *own in rows if part is not None]
        return torch.stack([own for own, _ in whole]), torch.stack([own for _, own in whole])


class Comparing(Together):
    """For attacks that compare updates: see `comparing`."""

    def _evaluate(self, x: Tensor) -> Found:
        attack, rows = self.setting.attack, self._rows
        variables = [self.setting.layout.unflatten(each) for each in x]
        batches = [
            attack.decode(own, row.observation, row.known) for own, row in zip(variables, rows, strict=True)
        ]
        images = torch.stack([self.network.normalize(batch.x) for batch in batches])
        labels = torch.stack([batch.y for batch in batches])
        sweep = self.network.sweep(
            images, F.one_hot(labels, self.network.classes).to(images), self.statistics
        )
        gradient = self.network.unpacked(sweep.gradient())
        losses = []
        for place, row in enumerate(self.problems.values()):
            trial = {name: value[place] for name, value in gradient.items()}
            trial = through_defenses(trial, row.observation, row.known)
            losses.append(attack.compare(trial, variables[place], row.observation, row.known))  # type: ignore[attr-defined]
        return torch.stack(losses), None


def _stacked(rows: Sequence[Params]) -> Params:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


class Swept(Evaluator):
    """Problems by their networks: those of one network together."""

    def __init__(self, setting: Setting, exact: bool) -> None:
        self.setting, self.exact = setting, exact
        self.groups: list[Together] = []

    def takes(self, observation: Observation) -> bool:
        return alike(self.setting.observation, observation)

    def load(self, slot: int, observation: Observation, known: Params) -> None:
        group = self._group(observation, known)
        group.hold(group.problems | {slot: SharedProblem(observation, known)})

    def _group(self, observation: Observation, known: Params) -> Together:
        for group in self.groups:
            if group.network.serves(observation.params):
                return group
        parts = matched(self.setting.attack, observation, known)
        kind = Comparing if parts is None else Matching
        network = SharedNetwork(observation, explicit=parts is None or parts.distance == "l2")
        self.groups.append(kind(self.setting, network, self.exact))
        return self.groups[-1]

    def release(self, slot: int) -> None:
        for group in self.groups:
            if slot in group.problems:
                group.hold({own: row for own, row in group.problems.items() if own != slot})
        self.groups = [group for group in self.groups if group.problems]

    def renumber(self, slots: list[int]) -> None:
        for group in self.groups:
            group.problems = {slots.index(slot): row for slot, row in group.problems.items()}

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[list[int], Tensor, Tensor | None]:
        found = [group.evaluate(x) for group in self.groups]
        slots = [slot for group in self.groups for slot in group.problems]
        gradients = [gradient for _, gradient in found if gradient is not None]
        return slots, torch.cat([loss for loss, _ in found]), torch.cat(gradients) if gradients else None
