"""A tuning as data: candidates and the overrides that make them, and what is refused."""

from typing import Any

import pytest

from harness.base.errors import UserError
from harness.tuning.spec import parse

NODE: dict[str, Any] = {
    "name": "toy",
    "title": "A toy tuning",
    "base": ["fl=fedsgd", "trials=4"],
    "rows": {
        "One": {
            "overrides": ["attack=ig", "attack.steps=9"],
            "space": {"attack.total_variation": {"low": 1e-4, "high": 1.0, "log": True}},
        },
        "Two": {"overrides": ["attack=dlg"], "space": {"attack.tolerance": [1e-3, 1e-6]}},
    },
    "scales": {"small": {"base": ["trials=2"], "rows": {"One": ["attack.steps=5"]}, "candidates": 3}},
}


def test_later_overrides_win() -> None:
    made = parse(NODE).candidate(
        "One", 2, (("attack.total_variation", 0.01),), "small", ["scale=small"], ["seed=3"]
    )
    assert made.name == "One 2"
    assert made.overrides == (
        *("scale=small", "fl=fedsgd", "trials=2", "attack=ig", "attack.steps=5"),
        *("attack.total_variation=0.01", "seed=3"),
    )
    assert parse(NODE).at("small").candidates == 3
    assert parse(NODE).at("paper").candidates == 24


def test_what_rows_choose_is_not_the_users() -> None:
    assert parse(NODE).chosen == {"attack", "attack.total_variation", "attack.tolerance"}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"a": {"low": 2, "high": 1}}, r"low \(2\) is to be below high \(1\)"),
        ({"a": {"low": 0, "high": 1, "log": True}}, "begins above 0"),
        ({"a": []}, "there are no values"),
        ({}, "its space has no settings"),
        ({"a": {"low": 0, "hihg": 1}}, "hihg"),
    ],
    ids=["order", "log", "empty", "none", "typo"],
)
def test_a_wrong_space_is_one_line(space: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        parse(NODE | {"rows": {"One": {"overrides": ["attack=ig"], "space": space}}})
    assert "\n" not in str(error.value)
