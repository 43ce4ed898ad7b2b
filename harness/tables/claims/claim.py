"""What every kind of claim has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from harness.base.component import Component, component
from harness.base.statistics import FEWEST
from harness.tables.layout import TableLayout
from harness.tables.measurement import Measurements

Name = tuple[str, str, list[str]]
"""What a name stands for, the name, and which names there are."""


@dataclass(frozen=True)
class Comparison:
    """One of the comparisons that make a claim, in the direction of the claim."""

    where: str
    """The metric and the column."""
    figure: str
    n: int = 0
    """Independent units (images, unless the table says otherwise); 0: something was not measured."""
    supports: float = 1.0
    """One-sided p of what is claimed."""
    contradicts: float = 1.0
    """One-sided p of its opposite."""
    effect: float = 0.0
    """In standard deviations of the units; negative where the mean is on the other side."""

    @property
    def enough(self) -> bool:
        return self.n >= FEWEST


@component
class Claim(Component, ABC):
    """A sentence of the paper as comparisons over the images, all of which must hold. A new kind is one file."""

    text: str
    metrics: list[str]
    published: str | None = None
    """If given, the claim is about this dataset of the paper: it is judged only beside its numbers."""

    @abstractmethod
    def compare(self, table: TableLayout, measurements: Measurements) -> list[Comparison]:
        """Every comparison. What was not measured is one with n = 0, and says so."""

    @abstractmethod
    def names(self, rows: Sequence[str], columns: Sequence[str]) -> list[Name]:
        """The rows and columns of the table that the claim names, each with those that there are."""

    @abstractmethod
    def rows(self, table: TableLayout) -> list[str]:
        """The rows on which the verdict hangs."""

    def mistake(self, rows: Sequence[str]) -> str | None:
        """Why it can't be asked of a table with such rows; None where it can."""
        return None
