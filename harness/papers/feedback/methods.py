"""Methods that attacked the same images: how many each recovered, how fast, and how two of them differ."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.statistics import Statistic, statistic
from harness.base.statistics.intervals import wilson
from harness.tables.layout import BLOCK
from harness.tables.measurement import Image, Outcome, images


def block(image: Image) -> tuple[int, int]:
    """The sequence of an image, and its block in it."""
    seed, problem, _ = image
    return seed, problem // BLOCK


@dataclass(frozen=True)
class Method:
    """What one method found: the row of each image that it attacked, in the order of the attacks.

    Sequences of several seeds run side by side: the first image of each, then the second of each.
    """

    name: str
    rows: Mapping[Image, Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def curve(self) -> list[int]:
        """How many images were recovered when 1, 2, ... had been attacked."""
        counts, total = [], 0
        for row in self.rows.values():
            total += row["converged"]
            counts.append(total)
        return counts

    @property
    def recovered(self) -> int:
        """Images whose loss fell below the tolerance within the budget: what the attacker can see."""
        return sum(row["converged"] for row in self.rows.values())

    @property
    def orders(self) -> dict[int, tuple[int, int]]:
        """How many were recovered, of how many, in the sequence of each seed."""
        found: dict[int, tuple[int, int]] = {}
        for (seed, *_), row in self.rows.items():
            recovered, attacked = found.get(seed, (0, 0))
            found[seed] = recovered + bool(row["converged"]), attacked + 1
        return found

    @property
    def rate(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the rate of recovery, as if the images were independent."""
        return wilson(self.recovered, len(self)) if self.rows else None

    @property
    def iterations(self) -> Statistic | None:
        """Iterations to success, over the recovered images, by blocks."""
        return statistic(
            [row["iterations_to_converge"] for row in self.rows.values()], [*map(block, self.rows)]
        )

    def on(self, images: Container[Image]) -> "Method":
        """What it found of these images alone."""
        return Method(self.name, {image: row for image, row in self.rows.items() if image in images})

    def below(self, name: str, threshold: float) -> int:
        """Images of which a number (`loss`, `mse`) is below a threshold."""
        values = [row.get(name) for row in self.rows.values()]
        return sum(value is not None and value < threshold for value in values)


@dataclass(frozen=True)
class Pair:
    """Two methods on the images that both attacked."""

    one: Method
    other: Method

    @classmethod
    def of(cls, one: Method, other: Method) -> "Pair":
        """Of two methods, of which one may have attacked more images."""
        return cls(one.on(other.rows), other.on(one.rows))

    @property
    def common(self) -> dict[Image, tuple[Mapping[str, Any], Mapping[str, Any]]]:
        return {image: (row, self.other.rows[image]) for image, row in self.one.rows.items()}

    @property
    def discordant(self) -> tuple[int, int]:
        """Images that only the one recovered, and images that only the other did."""
        marks = [(one["converged"], other["converged"]) for one, other in self.common.values()]
        return marks.count((True, False)), marks.count((False, True))

    @property
    def more(self) -> Statistic | None:
        """By how much the one's rate of recovery is more: a mean of paired differences, over blocks."""
        found = [float(one["converged"]) - float(other["converged"]) for one, other in self.common.values()]
        return statistic(found, [*map(block, self.common)])

    @property
    def gain(self) -> float | None:
        """By what part the one recovered more than the other."""
        return self.one.recovered / self.other.recovered - 1 if self.other.recovered else None

    @property
    def saved(self) -> float | None:
        """By what part the one's mean iterations to success are fewer, each over its own successes, as in the paper."""
        mine, theirs = self.one.iterations, self.other.iterations
        return 1 - mine.mean / theirs.mean if mine and theirs else None

    @property
    def fewer(self) -> Statistic | None:
        """How many iterations fewer the one needed, over the images that both recovered."""
        both = {i: (a, b) for i, (a, b) in self.common.items() if a["converged"] and b["converged"]}
        found = [b["iterations_to_converge"] - a["iterations_to_converge"] for a, b in both.values()]
        return statistic(found, [*map(block, both)])


def gather(outcomes: Sequence[Outcome], names: Sequence[str]) -> dict[str, Method]:
    """The methods of a table, by its rows; one without a finished run has no images."""
    found = {}
    for name in names:
        done = {o.id: o for o in outcomes if o.record and o.cell.row == name}
        rows = images(done)
        order = sorted(rows, key=lambda image: (image[1], image[0], image[2]))
        found[name] = Method(name, {image: rows[image] for image in order})
    return found
