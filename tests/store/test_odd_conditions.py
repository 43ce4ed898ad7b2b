"""Conditions that nobody would write: each is met by some lines or refused in two."""

import pandas
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.store.filters import select
from tests.generated import check_said, texts, tried

TABLE = pandas.DataFrame(
    {"attack": ["ig", "dlg"], "psnr_unit": [20.0, None], "fl.batch_size": [1, 8], "success": [True, None]}
)
atoms = st.one_of(
    st.sampled_from([*TABLE.columns, "psnr", "1", "0", "-1", "1e400", "9" * 400, "'ig'", "None", "True", "[1]", "()"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    texts,
)  # fmt: skip
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(
            "{} {} {}".format,
            inner,
            st.sampled_from(["<", "==", "in", "and", "or", "/", "*", "**", "%", "is"]),
            inner,
        ),
        st.builds("({})".format, inner),
        st.builds("not {}".format, inner),
        st.builds("{}({})".format, inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from(["__class__", "x"])),
    ),
    max_leaves=6,
)


@tried(10)
@given(conditions)
def test_a_condition_is_met_or_refused(condition: str) -> None:
    try:
        found = select(TABLE, condition)
    except UserError as error:
        check_said(error)
    else:
        assert len(found) <= 2
