"""Conditions on a table: what they choose, and that nothing in them is ever run."""

import operator

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.store.filters import select

TABLE = pandas.DataFrame(
    {
        "attack": ["dlg", "ig", "ig", "ggl"],
        "fl.batch_size": [1, 1, 4, 8],
        "psnr_unit": [30.0, 21.5, None, 12.0],
        "lpips_vgg": [float("nan")] * 4,
        "success": [True, True, False, False],
        "exact": [False, None, True, None],
    }
)

CHOSEN = {
    "attack == 'ig' and psnr_unit > 20": [1],
    "attack == 'dlg' or fl.batch_size >= 4": [0, 2, 3],
    "success": [0, 1],
    "not success": [2, 3],
    "success and not exact": [0, 1],
    "1 < fl.batch_size <= 4": [2],
    "attack in ['dlg', 'ggl']": [0, 3],
    "attack not in ('ig',) and fl.batch_size != 8": [0],
    "psnr_unit == None": [2],
    "psnr_unit != None": [0, 1, 3],
    "psnr_unit - 10 * fl.batch_size > -(60 / 1)": [0, 1],
    "lpips_vgg < 1": [],
    "": [0, 1, 2, 3],
}


@pytest.mark.parametrize("condition", CHOSEN)
def test_a_condition_chooses_lines(condition: str) -> None:
    assert list(select(TABLE, condition).index) == CHOSEN[condition]


REFUSED = [
    "__import__('os').system('touch owned')",
    "().__class__.__bases__[0].__subclasses__()",
    "@pd",
    "@pandas.io",
    "psnr_unit.mean() > 3",
    "psnr_unit.map(print)",
    "attack.__class__ == 'x'",
    "attack.str.len() > 2",
    "attack[0] == 'd'",
    "[x for x in attack]",
    "(lambda: True)()",
    "f'{attack}' == 'dlg'",
    "(attack := 'dlg')",
    "attack == 'a' if success else 'b'",
    "attack in {'dlg'}",
    "attack in {'dlg': 1}",
    "attack in [open('x')]",
    "attack in attack",
    "attack is None",
    "fl.batch_size ** 99 > 1",
    "fl.batch_size << 99 > 1",
    "'a' * 10**9 == attack",
    "'a' * 1000000000 == attack",
    "[1] * 1000000000 == attack",
    "attack == b'dlg'",
    "attack == ...",
    "attack == 1j",
    "True",
    "1 < 2",
    "psnr_unit",
    "attack and success",
    "psnr_unit > 'a'",
    "attack > 1",
    "attack; success",
    "import os",
    "psnr_unit >",
    "(" * 500,
    "not " * 400 + "success",
    "-" * 1900 + "1 > 0",
    "success or " * 500 + "success",
    "\0",
    "`fl.batch_size` > 1",
]


@pytest.mark.parametrize("condition", REFUSED)
def test_all_else_is_refused_in_one_line(condition: str) -> None:
    with pytest.raises(UserError) as refused:
        select(TABLE, condition)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 300


def test_a_wrong_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"fl.batchsize: there is no such column; did you mean 'fl.batch_size'"
    ):
        select(TABLE, "fl.batchsize > 1")


@given(
    sign=st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    bound=st.integers(-3, 12),
    values=st.lists(st.integers(-3, 12), min_size=1, max_size=6),
)
def test_a_comparison_is_pythons(sign: str, bound: int, values: list[int]) -> None:
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
    expected = [compare.get(sign, operator.ne)(value, bound) for value in values]
    found = select(pandas.DataFrame({"x": values}), f"x {sign} {bound}")
    assert list(found.index) == [place for place, holds in enumerate(expected) if holds]


@pytest.mark.parametrize(
    "condition",
    [
        "1 / 0 > 1",
        "seed / 0 > 'x'",
        "seed * 99999999999999999999999999999 > 1",
        "'a' < seed",
        "seed in [seed]",
    ],
)
def test_values_that_do_not_go_together_are_refused_in_one_line(condition: str) -> None:
    with pytest.raises(UserError) as error:
        select(pandas.DataFrame({"seed": pandas.Series([1, 2], dtype="int64")}), condition)
    assert "\n" not in str(error.value)
