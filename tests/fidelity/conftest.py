"""The fixture by which a test holds a method against its authors' formula."""

from collections.abc import Callable
from typing import Protocol

import pytest

from tests.fidelity.ledger import PROPERTY, Values, compare, recorded


class Fidelity(Protocol):
    """Records and asserts that `actual` is what the authors' formula gives."""

    def __call__(
        self,
        kind: str,
        name: str,
        compared: str,
        actual: Values,
        expected: Values,
        *,
        tolerance: float = 1e-9,
    ) -> None:
        """`kind` and `name` as in conf/, `compared` with its source; how far apart, `largest_difference` says."""


@pytest.fixture
def fidelity(record_property: Callable[[str, object], None]) -> Fidelity:
    def check(
        kind: str, name: str, compared: str, actual: Values, expected: Values, *, tolerance: float = 1e-9
    ) -> None:
        found = compare(kind, name, compared, actual, expected, tolerance)
        record_property(PROPERTY, recorded(found))
        assert found.difference <= tolerance, (
            f"{kind}={name} is not {compared}: {found.difference:.3g} apart, {tolerance:g} allowed"
        )

    return check
