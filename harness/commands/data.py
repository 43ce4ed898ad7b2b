"""Download a data set: `harness data cifar10 --root FOLDER`, or `make data DATASET=cifar10`."""

import argparse
import os
from collections.abc import Sequence

from harness.base.command import answered
from harness.base.schema import CONF
from harness.core import Dataset, UserError
from harness.datasets.files import Downloadable

CONFIGURATIONS = CONF / "dataset"


def build(name: str) -> Dataset:
    """The data set of conf/dataset/NAME.yaml. Raises UserError when there is none of that name."""
    from harness.base.components import build as made
    from harness.base.errors import nearest
    from harness.config.composition import part

    path = CONFIGURATIONS / f"{name}.yaml"
    if not path.exists():
        known = [file.stem for file in CONFIGURATIONS.glob("*.yaml")]
        raise UserError(f"there is no data set {name!r}{nearest(name, known)}")
    dataset: Dataset = made("dataset", part("dataset", name))
    return dataset


def download(name: str, root: str) -> str:
    """Fetch a data set into root, and say what happened. Raises UserError when it can't be had."""
    dataset = build(name)
    if dataset.embedded:
        return f"{name} comes with the installed packages: nothing to download"
    if not isinstance(dataset, Downloadable):
        return _by_hand(name, dataset, root)
    try:
        dataset.download(root)
    except (OSError, RuntimeError) as error:  # no network, a full disk, or torchvision's checksum error
        raise UserError(
            f"{name} could not be downloaded to {root}: {' '.join(str(error).split())}"
        ) from error
    return f"{name} is in {root}: say data.root={root} (make: DATA={root})"


def _by_hand(name: str, dataset: Dataset, root: str) -> str:
    """What to say of files that no script may fetch. Raises UserError naming them when they are not there."""
    try:
        dataset.load("attack", root)
    except UserError as error:
        raise UserError(
            f"{name} can't be downloaded, its files must be put there by hand: {error}"
        ) from error
    return f"{name} is in {root}: say data.root={root} (make: DATA={root})"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness data", description=(__doc__ or "").split(":")[0])
    parser.add_argument("dataset", help="its name in conf/dataset, like cifar10")
    parser.add_argument(
        "--root", default=os.environ.get("HARNESS_DATA") or "data", help="default: $HARNESS_DATA or data"
    )
    options = parser.parse_args(arguments)
    return answered(lambda: print(download(options.dataset, options.root)))
