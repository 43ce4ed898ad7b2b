"""Who does what in which round: all of it drawn from the seed, so that a round can be looked up before it comes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from harness.core import UserError, generator
from harness.federated.fedavg import FedAvg

PATIENCE = 1000
"""Attacked rounds in a row in which no victim answers, before the search for one is given up."""


@dataclass(frozen=True)
class Schedule:
    """The rounds of a simulation, counted from 1."""

    protocol: FedAvg
    holders: list[int]
    """The clients that hold data."""
    seed: int

    def cohort(self, number: int) -> list[int]:
        """The clients that are asked in a round, at least one."""
        asked = max(1, round(self.protocol.participation * len(self.holders)))
        drawn = torch.randperm(len(self.holders), generator=generator("cohort", self.seed, number))[:asked]
        return [self.holders[place] for place in drawn.sort().values.tolist()]

    def answering(self, number: int) -> list[int]:
        """The clients whose update arrives: perhaps none."""
        cohort = self.cohort(number)
        chance = torch.rand(len(cohort), generator=generator("dropout", self.seed, number))
        return [c for c, p in zip(cohort, chance.tolist(), strict=True) if p >= self.protocol.dropout]

    def in_force(self, number: int, examples: int) -> FedAvg:
        """The protocol of a client with so many images in a round."""
        lr = self.protocol.lr * self.protocol.lr_decay ** (number - 1)
        return replace(self.protocol, lr=lr, examples_per_client=examples)

    def victims(self, trials: int) -> list[tuple[int, int]]:
        """The first so many attacks, as (round, client). Raises UserError where there can be none."""
        chosen = self.protocol.victims
        if isinstance(chosen, list) and (missing := sorted(set(chosen) - set(self.holders))):
            raise UserError(f"fl.victims: there is no client {missing[0]} that holds data")
        if isinstance(chosen, list) and not chosen:
            raise UserError("fl.victims: name a client, or say how many are drawn")
        found: list[tuple[int, int]] = []
        number, vain = self.protocol.first_attack, 0
        while len(found) < trials:
            drawn = self._drawn(number)
            found += [(number, client) for client in drawn]
            number, vain = number + self.protocol.attack_every, 0 if drawn else vain + 1
            if vain == PATIENCE:
                raise UserError(f"fl.dropout: in {PATIENCE} attacked rounds none of the victims answers")
        return found[:trials]

    def _drawn(self, number: int) -> list[int]:
        answering, chosen = self.answering(number), self.protocol.victims
        if isinstance(chosen, list):
            return [client for client in chosen if client in answering]
        order = torch.randperm(len(answering), generator=generator("victims", self.seed, number))[:chosen]
        return [answering[place] for place in order.tolist()]

    def rounds(self, last: int, after: int = 0) -> Iterator[int]:
        """The numbers of the rounds after one up to another."""
        yield from range(after + 1, last + 1)
