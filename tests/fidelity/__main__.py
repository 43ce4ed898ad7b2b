"""`make fidelity`: run the checks, print the table, and write it to docs/fidelity.md."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.fidelity.ledger import PAGE, Check, Ledger, named, page

WIDTH = 100


def main() -> int:
    """1: a check failed, or the page named other checks than there are (it is written anew)."""
    ledger = Ledger()
    failed = pytest.main([str(Path(__file__).parent), "-q", "--no-header", "--tb=short"], plugins=[ledger])
    checks = ledger.sorted()
    Console(width=WIDTH).print(table(checks))
    if failed:
        return 1
    stale = not PAGE.exists() or named(PAGE.read_text()) != {(c.kind, c.name, c.compared) for c in checks}
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(checks))
    if stale:
        print(
            f"{PAGE.name} named other checks than there are: written anew, to be committed", file=sys.stderr
        )
    return int(stale)


def table(checks: Iterable[Check]) -> Table:
    """Method x check x largest difference."""
    found = Table(box=None, pad_edge=False)
    for title in ("kind", "method", "what is compared", "apart", "allowed"):
        found.add_column(title, overflow="fold", no_wrap=title != "what is compared")
    for check in checks:
        found.add_row(*check.cells)
    return found


if __name__ == "__main__":
    sys.exit(main())
