"""What the pictures of a table have in common: numbers as text, the best of each column, in sections."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.tables.layout import MetricColumn, TableLayout
from harness.tables.measurement import Measurement, Measurements

NOTHING = "-"
INSIDE, OUTSIDE = "∈", "∉"
"""What stands by a published number that is in the measured interval, and by one that is not."""


@dataclass(frozen=True)
class Shown:
    """One cell as text: mean, standard deviation and published number; empty where there is none, or words alone."""

    mean: str
    std: str
    published: str
    best: bool
    against: str = ""
    """The published number against the measured interval, inside or outside, and how many times it was measured."""

    @property
    def paper(self) -> str:
        """The published number with what it is beside the measured one."""
        return f"{self.published} {self.against}" if self.against else self.published


@dataclass(frozen=True)
class Section:
    """One metric, by its name in the records: rows of cells."""

    name: str
    metric: MetricColumn
    rows: tuple[tuple[str, tuple[Shown, ...]], ...]


def sections(table: TableLayout, measurements: Measurements) -> list[Section]:
    """One section per metric, in the table's order."""
    return [_section(table, metric, measurements) for metric in table.metrics]


def number(value: float, digits: int) -> str:
    """Fixed point; scientific where fixed point would show nothing but zeros."""
    fixed = f"{value:.{digits}f}"
    return fixed if value == 0 or float(fixed) else f"{value:.1e}"


def _section(table: TableLayout, metric: str, measurements: Measurements) -> Section:
    column_metric = table.metrics[metric]
    best = {
        c: _best([measurements[r, c, metric] for r in table.rows], column_metric)
        if table.comparable
        else None
        for c in table.columns
    }
    rows = tuple(
        (row, tuple(_shown(measurements[row, c, metric], column_metric, best[c]) for c in table.columns))
        for row in table.rows
    )
    return Section(metric, column_metric, rows)


def _best(cells: Sequence[Measurement], metric: MetricColumn) -> float | None:
    """The best mean of a column; none while a row is missing, for that might be the best."""
    means = [cell.mean for cell in cells if cell.mean is not None]
    if len(means) < max(2, len(cells)):
        return None
    return max(means) if metric.higher_is_better else min(means)


def _shown(cell: Measurement, metric: MetricColumn, best: float | None) -> Shown:
    s = cell.statistic
    return Shown(
        mean=NOTHING if s is None else number(s.mean, metric.digits),
        std="" if s is None or s.std is None else number(s.std, metric.digits),
        published="" if cell.published is None else number(cell.published, metric.digits),
        best=s is not None and s.mean == best,
        against=" ".join(filter(None, [_SIGNS[cell.inside], _ratio(cell.ratio)])),
    )


_SIGNS = {True: INSIDE, False: OUTSIDE, None: ""}


def _ratio(value: float | None) -> str:
    """Two digits: what matters is how far it is from one."""
    return "" if value is None else f"{value:.2g}x" if value < 100 else f"{value:.0f}x"
