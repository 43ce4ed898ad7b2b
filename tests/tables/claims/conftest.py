"""Measurements from plain numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from harness.base.statistics import statistic
from harness.tables.measurement import Measurement, Measurements
from harness.tables.spec import Table

Given = Mapping[tuple[str, str, str], Sequence[Any]]


@pytest.fixture
def of(table: Table) -> Callable[[Given], Measurements]:
    """The measurements of the small table, of which most have no value."""

    def make(given: Given) -> Measurements:
        keys = [
            (row, column, metric)
            for row in table.rows
            for column in table.columns
            for metric in table.metrics
        ]
        return {key: measurement(given.get(key, [])) for key in keys}

    return make


def measurement(values: Sequence[Any]) -> Measurement:
    images = {(0, place, 0): value for place, value in enumerate(values)}
    return Measurement(images, statistic(list(values)), None, ())
