"""Build the site of all results: `make report`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.base.command import answered, expanded
from harness.base.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness report", description=__doc__)
    parser.add_argument("--results", type=expanded, help="what was made here; default: results")
    parser.add_argument("--published", type=expanded, help="default: experiments/results")
    parser.add_argument("--runs", type=expanded, help="default: runs")
    parser.add_argument("--to", type=expanded, help="default: site in the results")
    options = parser.parse_args(arguments)
    return answered(lambda: _build(options))


def _build(options: argparse.Namespace) -> None:
    from harness.report.site import build

    begun = time.perf_counter()
    results = _folder(options.results, "results")
    published, runs = _folder(options.published, "experiments/results"), _folder(options.runs, "runs")
    built = build(options.to or results / "site", results, published, runs)
    spent = time.perf_counter() - begun
    print(f"{built.results} results and {built.runs} runs in {spent:.1f} s", file=sys.stderr)
    print(built.index)


def _folder(named: Path | None, default: str) -> Path:
    """A folder to read. Raises UserError for one that is named and not there; in a fresh clone there are no results."""
    if named is not None and not named.is_dir():
        raise UserError(f"{named}: there is no such folder")
    return named or Path(default)


if __name__ == "__main__":
    sys.exit(main())
