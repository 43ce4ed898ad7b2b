"""The specification of a table: which overrides make a cell, and which mistakes are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cells.plan import key
from harness.core import UserError
from harness.tables.spec import Table, parse


def overrides(table: Table, row: str, column: str, *arguments: object) -> list[str]:
    (found,) = [c for c in table.cells(*arguments) if (c.row, c.column) == (row, column)]  # type: ignore[arg-type]
    return list(found.overrides)


def test_a_table_is_rows_by_columns_by_seeds(table: Table) -> None:
    cells = table.cells("digits", "paper", seeds=[3, 4])
    assert [(c.row, c.column, c.seed) for c in cells[:4]] == [
        ("A", "X", 3),
        ("A", "X", 4),
        ("A", "Y", 3),
        ("A", "Y", 4),
    ]
    assert len(cells) == 3 * 2 * 2
    assert len({cell.overrides for cell in cells}) == 12


def test_later_overrides_win_and_each_key_stands_once(table: Table) -> None:
    assert overrides(table, "A", "Y", "digits", "paper") == [
        "dataset=digits", "scale=paper", "model=lenet", "attack=a", "attack.steps=9", "defense=y", "seed=0",
    ]  # fmt: skip
    assert "attack.steps=5" in overrides(table, "A", "X", "digits", "small")
    assert overrides(table, "A", "Y", "faces", "small", ["trials=1", "data.root=here"]) == [
        "dataset=faces", "scale=small", "model=lenet", "model.width=2", "attack=a", "defense=y", "attack.steps=7",
        "defense.bound=1", "seed=0", "trials=1", "data.root=here",
    ]  # fmt: skip
    assert "attack.steps=1" in overrides(table, "A", "Y", "faces", "small", ["attack.steps=1"])
    assert not any("attack.steps" in override for override in overrides(table, "B", "Y", "faces", "small"))


@given(st.lists(st.sampled_from(["a=1", "a=2", "b.c=1", "+b.c=2", "trials=3"]), max_size=6))
def test_the_last_override_of_a_key_is_the_one_that_stays(table: Table, user: list[str]) -> None:
    found = table.cells("digits", "small", user)[0].overrides
    assert len({key(override) for override in found}) == len(found)
    for override in user:
        last = [one for one in user if key(one) == key(override)][-1]
        assert last in found


def claim(**changes: object) -> dict[str, Any]:
    given = {
        "_target_": "harness.tables.claims.better.Better",
        "text": "Best",
        "row": "A",
        "metrics": ["mse"],
    }
    return {**given, **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": {}}, "rows"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"metrics": {"mse": {"title": "MSE"}}}, "higher_is_better"),
        ({"base": "model=lenet"}, "base"),
        ({"tilte": "A toy"}, "tilte"),
        ({"picture": "ssim"}, "'ssim' is none of mse, psnr"),
        ({"scales": {"small": {"rows": {"Z": []}}}}, "row 'Z' is none of A, B, C"),
        (
            {"scales": {"small": {"datasets": {"faces": {"columns": {"Z": []}}}}}},
            "column 'Z' is none of X, Y",
        ),
        ({"claims": [claim(row="D")]}, "claimed row 'D'"),
        ({"claims": [claim(over=["E"])]}, "claimed row 'E'"),
        ({"claims": [claim(metrics=["lpips"])]}, "claimed metric 'lpips'"),
        ({"claims": [claim(columns=["Q"])]}, "claimed column 'Q'"),
        ({"claims": [claim(over=["A"])]}, "claim 'Best' compares 'A' with no other row"),
        (
            {"rows": {"A": []}, "scales": {}, "claims": [claim()]},
            "claim 'Best' compares 'A' with no other row",
        ),
        ({"claims": [{"text": "Best", "row": "A", "metrics": ["mse"]}]}, "claims: nothing is chosen"),
        ({"claims": [claim(rwo="A")]}, "rwo"),
        ({"independent": "picture"}, "independent"),
    ],
)
def test_a_mistake_in_a_table_is_one_line(node: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(node | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
