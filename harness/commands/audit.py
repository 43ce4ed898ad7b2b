"""What leaks from your model and your update: `harness audit update.npz --recipe client.yaml`."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.base.command import answered, expanded
from harness.base.errors import UserError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """A time such as 90s, 10m or 1h, in seconds. Raises UserError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if found is None or float(found[1]) == 0:
        raise UserError(f"--budget {text}: a time is wanted, as 90s, 10m or 1h")
    return float(found[1]) * UNITS[found[2]]


def run(options: argparse.Namespace) -> None:
    """Audit, write the report, and say where it is. Raises UserError."""
    budget = seconds(options.budget)
    if options.update is None and options.before is None:
        raise UserError("name an update: harness audit update.npz, or --before FILE --after FILE")
    if options.threads < 1:
        raise UserError(f"--threads {options.threads}: at least 1 is wanted")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {options.out}: no folder can be there ({error.strerror})") from error

    import torch

    from harness.audit.audit import audit
    from harness.audit.inputs import read_files
    from harness.audit.report import write

    torch.set_num_threads(options.threads)
    files = read_files(
        options.update,
        before=options.before,
        after=options.after,
        gradient=options.gradient,
        difference=options.difference,
    )
    found = audit(files, options.recipe, budget, options.truth, options.own_data, options.public)
    page = write(found, options.out, not options.no_images)
    alarms = [each.name for each in found.checks if each.verdict == "alarm"]
    if alarms:
        print(f"alarm: {', '.join(alarms)}")
    print(f"{found.verdict}\n{page}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness audit", description=(__doc__ or "").split(":")[0])
    parser.add_argument(
        "update", nargs="?", type=expanded, help="npz with before/NAME and after/NAME or gradient/NAME"
    )
    for part in ("before", "after", "gradient", "difference"):
        parser.add_argument(f"--{part}", type=expanded, metavar="FILE", help=f"{part}, in a file of its own")
    parser.add_argument("--recipe", type=expanded, metavar="FILE", help="how the client trained, in YAML")
    parser.add_argument(
        "--truth", type=expanded, metavar="FOLDER", help="the client's images, for scoring alone"
    )
    parser.add_argument(
        "--own-data", type=expanded, metavar="FOLDER", help="the client's images, to check the recipe by"
    )
    parser.add_argument(
        "--public",
        type=expanded,
        metavar="FOLDER",
        help="images that the attacker has: a prior for GGL is learnt",
    )
    parser.add_argument("--budget", default="10m", help="how long to search: 90s, 10m, 1h (default 10m)")
    parser.add_argument(
        "--out", type=expanded, default=Path("audit"), metavar="FOLDER", help="default: audit"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument("--no-images", action="store_true", help="leave pictures out of the report")
    options = parser.parse_args(arguments)
    return answered(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
