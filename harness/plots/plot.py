"""What every kind of plot has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from pydantic import Field

from harness.base.component import Component, component
from harness.base.errors import UserError
from harness.base.files import write_atomically
from harness.plots.style import label, png
from harness.store.filters import select
from harness.store.frames import known, mixed, to_csv

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure, the numbers that it shows, and what a reader must know about them."""

    numbers: "pandas.DataFrame"
    figure: "Figure"
    notes: tuple[str, ...] = ()


@component
class Plot(Component, ABC):
    """A picture of many runs. A new kind is one file: `numbers` says what is shown, `figure` how.

    `numbers` is the CSV beside the picture, and `figure` sees nothing else: whoever has the CSV can draw it again.
    """

    averages: ClassVar[bool] = True
    """Whether it shows means, in which a setting that varies would be hidden."""

    name: str = Field(default="plot", pattern=r"^[\w-]+$", description="of its files, without a suffix")
    title: str = Field(default="", description="what stands above it")
    where: str | None = Field(default=None, description="condition on the images, such as \"attack == 'ig'\"")
    by: list[str] = Field(
        default_factory=list, description="columns: a series, or a panel, for each of their values"
    )

    @abstractmethod
    def numbers(self, table: "pandas.DataFrame") -> "pandas.DataFrame":
        """What is shown. Raises UserError where there is nothing to show."""

    @abstractmethod
    def figure(self, numbers: "pandas.DataFrame") -> "Figure":
        """The picture of those numbers."""

    @property
    @abstractmethod
    def groups(self) -> list[str]:
        """The columns whose values are told apart: images that differ in another setting are shown as one."""

    @final
    def draw(self, table: "pandas.DataFrame") -> Drawing:
        """The plot of a frame. Raises UserError for a wrong column, and where there is nothing to show."""
        chosen = select(table, self.where)
        if chosen.empty:
            raise UserError(
                f"no image fulfils the condition {self.where!r}" if self.where else "there are no runs"
            )
        known(chosen, self.groups)
        numbers = self.numbers(chosen)
        hidden = mixed(chosen, self.groups) if self.averages else []
        notes = [f"{name} differs within what is shown as one" for name in hidden[:3]]
        return Drawing(numbers, self.figure(numbers), tuple(notes))

    @final
    def write(self, table: "pandas.DataFrame", directory: Path) -> tuple[str, ...]:
        """Write <name>.png and <name>.csv; returns what a reader must know. Raises UserError as `draw` does."""
        drawing = self.draw(table)
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / f"{self.name}.csv", to_csv(drawing.numbers))
        write_atomically(directory / f"{self.name}.png", png(drawing.figure))
        return drawing.notes


def write_all(
    plots: Sequence[Plot], table: "pandas.DataFrame", directory: Path
) -> tuple[dict[str, str], list[str]]:
    """Write what can be drawn: the titles by name, and notes on the plots, those that can't be drawn among them."""
    drawn, notes = {}, []
    for plot in plots:
        try:
            told = plot.write(table, directory)
        except UserError as error:
            notes.append(f"{plot.name} is not drawn: {error}.")
            continue
        drawn[plot.name] = plot.title or plot.name
        notes += [f"{plot.name}: {note}." for note in told]
    return drawn, notes


def caption(values: Sequence[object], by: Sequence[str]) -> str:
    """What a group is called: a name as it is, a number with what it counts, as in `dlg, local epochs 2`."""
    return ", ".join(_named(value, name) for value, name in zip(values, by, strict=True))


def _named(value: object, column: str) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return f"no {label(column)}"
    return f"{label(column)} {value:g}" if isinstance(value, int | float) else f"{label(column)} {value}"
