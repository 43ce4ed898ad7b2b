"""Every method of conf/ has a check, or a reason why it has none."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.fidelity.ledger import KINDS, PAGE, Check, components, largest_difference, named, not_checked, page

CHECKED = {(kind, name) for kind, name, _ in named(PAGE.read_text())}


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_is_checked_or_says_why_not(kind: str) -> None:
    excused = {name for group, name in not_checked() if group == kind}
    checked = {name for group, name in CHECKED if group == kind}
    assert components(kind) - checked - excused == set(), (
        "write a check in tests/fidelity and run `make fidelity`, or give the reason in not_checked.yaml"
    )
    assert checked & excused == set()
    assert (checked | excused) - components(kind) == set()


def test_the_page_gives_the_reasons() -> None:
    tail = page([]).partition("## Not checked")[2]
    assert PAGE.read_text().endswith(tail), "run `make fidelity`: not_checked.yaml has changed"


def test_every_reason_says_something() -> None:
    assert all(kind in KINDS and len(reason) > 20 for (kind, _), reason in not_checked().items())


def test_a_page_names_its_checks() -> None:
    checks = [
        Check("defense", "noise", "||g|| of A 2016", 2e-16, 1e-9),
        Check("defense", "noise", "after some steps", 8e-13, 1e-9),
        Check("start", "uniform", "of the mean", 2e-3, 1e-2),
        Check("labels", "idlg", "sign", 0.0, 0.0),
    ]
    text = page(checks)
    assert named(text) == {(check.kind, check.name, check.compared) for check in checks}
    assert text.count("| < 1e-11 | 1e-09 |") == 2, "rounding is told as such, however large today"
    assert "| < 1e-02 | 1e-02 |" in text
    assert "| equal | 0 |" in text


@given(st.floats(1e-6, 1e6), st.floats(-1e-3, 1e-3))
def test_a_difference_is_relative_to_the_largest_value(scale: float, error: float) -> None:
    expected = {"a": scale * torch.tensor([1.0, -0.5]).double(), "b": torch.zeros(2, 2).double()}
    actual = {"a": expected["a"], "b": expected["b"] + scale * error}
    assert largest_difference(actual, expected) == pytest.approx(abs(error), rel=1e-9)


def test_what_has_another_shape_or_no_value_is_no_match() -> None:
    for actual in (torch.zeros(2, 1), torch.tensor([0.0, float("nan")]), {"a": torch.zeros(2)}):
        with pytest.raises(AssertionError):
            largest_difference(actual, torch.zeros(2))
    assert largest_difference([1, 2], torch.tensor([1, 3])) == pytest.approx(1 / 3)
    assert largest_difference(0.5, 0.0) == 0.5
