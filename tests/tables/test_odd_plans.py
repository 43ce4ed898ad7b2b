"""Tables and sweeps that nobody would write: each is described or refused in two lines."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.sweeps import spec as sweeps
from harness.tables import spec as tables
from tests.generated import check_said, nodes, tried


@tried(10)
@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "title", "source", "rows", "columns", "metrics", "claims", "plots", "grid", "base", "seeds",
             "scales", "notes", "reference", "supplements", "block", "independent", "picture", "additions"]
        ),
        nodes,
    ),
    st.booleans(),
)  # fmt: skip
def test_a_table_or_sweep_is_described_or_refused(node: dict[str, Any], named: bool) -> None:
    for parse in (tables.parse, sweeps.parse):
        try:
            parse({**node, "name": "odd"} if named else node)
        except UserError as error:
            check_said(error)
