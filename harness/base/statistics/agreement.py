"""How far two judges agree beyond chance."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """How many of n words are the same, and how many would be by chance."""

    n: int
    same: int
    chance: float
    """How many would agree if each judge gave the words as often, but blindly."""

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa (1960): 1 where all agree, 0 where no more do than by chance; None where chance does it all."""
        return (self.same - self.chance) / (self.n - self.chance) if self.n > self.chance else None


def agreement(one: Sequence[Hashable], other: Sequence[Hashable]) -> Agreement:
    """The agreement of two judges on the same things."""
    pairs = list(zip(one, other, strict=True))
    chance = sum(list(one).count(word) * list(other).count(word) for word in set(one)) / max(1, len(pairs))
    return Agreement(len(pairs), sum(a == b for a, b in pairs), chance)
