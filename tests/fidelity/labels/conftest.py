"""What a counting rule estimates before its counts are made whole."""

import sys
from collections.abc import Callable

import pytest
from torch import Tensor

from harness.core import LabelInference, Observation
from harness.core.counts import whole

Estimate = Callable[[LabelInference, Observation], Tensor]


@pytest.fixture
def estimate(monkeypatch: pytest.MonkeyPatch) -> Estimate:
    """The counts [classes] of a rule as it hands them to be rounded."""

    def read(rule: LabelInference, seen: Observation) -> Tensor:
        found: list[Tensor] = []

        def keep(counts: Tensor, total: int) -> Tensor:
            found.append(counts)
            return whole(counts, total)

        monkeypatch.setattr(sys.modules[type(rule).__module__], "whole", keep)
        rule.counts(seen)
        return found[0]

    return read
