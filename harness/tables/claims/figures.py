"""The values that a comparison is of, and the comparison in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.statistics import FEWEST
from harness.base.statistics.comparison import MeanDifference
from harness.tables.claims.claim import Comparison
from harness.tables.layout import MetricColumn, TableLayout
from harness.tables.measurement import Image, Measurement
from harness.tables.view import number


@dataclass(frozen=True)
class Values:
    """A row's values of a metric for some images, and the independent unit that each image belongs to."""

    row: str
    numbers: list[Any]
    """Numbers, or all true and false."""
    units: list[Any]

    @property
    def mean(self) -> float:
        return sum(map(float, self.numbers)) / len(self.numbers)

    def less(self, other: "Values") -> list[float]:
        """By how much it is more than another, image by image."""
        return [float(a) - float(b) for a, b in zip(self.numbers, other.numbers, strict=True)]


def values(row: str, found: Measurement, images: Sequence[Image] | None = None) -> Values:
    """The values for some images; by default for all that have one."""
    chosen = (
        [image for image, value in found.values.items() if value is not None] if images is None else images
    )
    return Values(row, [found.values[image] for image in chosen], [found.unit(image) for image in chosen])


def common(one: Measurement, other: Measurement) -> list[Image]:
    """The images for which both have a value."""
    return [
        image
        for image, value in one.values.items()
        if value is not None and other.values.get(image) is not None and one.unit(image) == other.unit(image)
    ]


def missing(where: str, found: Mapping[str, Measurement]) -> Iterator[Comparison]:
    """That some of the rows or columns have no value."""
    absent = [
        name
        for name, measurement in found.items()
        if not any(v is not None for v in measurement.values.values())
    ]
    if absent:
        yield Comparison(where, f"no value for {', '.join(absent)}")


def p(value: float, units: int) -> str:
    """A p value as text; none of too few units."""
    if units < FEWEST:
        return "too few for a test"
    return f"p {value:.3f}" if value >= 5e-4 else "p < 0.001"


def spread(found: MeanDifference, metric: MetricColumn) -> str:
    """A mean with its interval in brackets; where there is none, with the numbers themselves."""
    ends = (number(value, metric.digits) for value in found.interval or found.values)
    between = " to " if found.interval else ", "
    return f"{number(found.mean, metric.digits)} ({between.join(ends)})"


def share(hits: int, images: int, units: int, table: TableLayout) -> str:
    """In how many images; and in how many independent units these are, where they are fewer."""
    return f"{hits} of {images}" + (f" ({units} {table.independent}s)" if units != images else "")
