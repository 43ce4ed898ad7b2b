"""Values, texts and trees that nobody would write, and how many of them a test tries: `make hostile` tries 1,000."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from harness.base.errors import UserError

EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "12"))


def tried(share: float = 1) -> settings:
    """So many examples, the same ones each time."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(
        max_examples=max(1, int(share * EXAMPLES)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=slow,
    )


NUMBERS = [
    "nan",
    "inf",
    "-inf",
    ".nan",
    ".inf",
    "-.inf",
    "1e400",
    "-1",
    "0",
    "-0.0",
    "1e-400",
    "0.5",
    "1",
    "3",
    "1e38",
]
NUMBERS += [
    "1e39",
    str(2**31),
    str(2**63),
    str(-(2**63)),
    "9" * 400,
    "1_0",
    "0x10",
    "1e3",
    "3.0",
    "'3'",
    "true",
    "no",
]
ODD = [
    "",
    "null",
    "???",
    "${",
    "${seed}",
    "${nothing}",
    "${oc.env:HOME}",
    "[]",
    "{}",
    "[1,2]",
    "{a:1}",
    "{_target_:os.mkdir}",
]
ODD += [
    "[[[[[[]]]]]]",
    "a=b",
    '"',
    "'",
    "\\",
    "é",
    "\t",
    " ",
    "(",
    "choice()",
    "range(1)",
    "1,2",
    "glob(*)",
    "x" * 300,
]
ODD += [
    "int(x)",
    "shuffle(1)",
    "..",
    "/",
    "~",
    "-",
    "$HOME",
    "%s",
    "{0}",
    "<b>",
    "[${attack}]",
    "@",
    "None",
    "\u202e",
]


values = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(ODD), st.text(max_size=12), st.floats().map(str))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(NUMBERS + ODD)
)
nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


def check_said(error: UserError) -> None:
    """What the command line says of a mistake."""
    assert 1 <= len(str(error).splitlines()) <= 2
    assert len(str(error)) < 1000
