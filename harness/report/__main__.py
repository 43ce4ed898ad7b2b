"""Build the site of all results: `make report`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.base.command import answered, expanded


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness report", description=__doc__)
    parser.add_argument("--results", type=expanded, default=Path("results"), help="what was made here")
    parser.add_argument("--published", type=expanded, default=Path("experiments/results"))
    parser.add_argument("--runs", type=expanded, default=Path("runs"))
    parser.add_argument("--to", type=expanded, help="default: site in the results")
    options = parser.parse_args(arguments)
    return answered(lambda: _build(options))


def _build(options: argparse.Namespace) -> None:
    from harness.report.site import build

    begun = time.perf_counter()
    built = build(options.to or options.results / "site", options.results, options.published, options.runs)
    spent = time.perf_counter() - begun
    print(f"{built.results} results and {built.runs} runs in {spent:.1f} s", file=sys.stderr)
    print(built.index)


if __name__ == "__main__":
    sys.exit(main())
