"""What W&B shows beside curves: pictures, the table of the rows, and the reconstructions as an artifact."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from harness.base.rows import Row

if TYPE_CHECKING:
    import wandb

STAGING = "WANDB_DATA_DIR"


def picture_of(picture: Image | Path) -> "wandb.Image":
    import wandb

    return wandb.Image(str(picture) if isinstance(picture, Path) else picture)


def table_of(rows: Sequence[Row], pictures: Mapping[int, "wandb.Image"]) -> "wandb.Table":
    """The rows as they are, each behind the picture of its problem: of the whole update, truth above reconstruction.

    Without any picture there is no column of them.
    """
    import wandb

    names = [*{name: None for row in rows for name in row}]
    data: list[Iterable[Any]] = [[row.get(name) for name in names] for row in rows]
    if pictures:
        names = ["picture", *names]
        data = [[pictures.get(row["problem"]), *values] for row, values in zip(rows, data, strict=True)]
    return wandb.Table(columns=[*names], data=data, allow_mixed_types=True)


def artifact_of(identity: str, images: Path) -> "wandb.Artifact":
    """A copy of a run's reconstructions: what W&B has sent, and what it failed to send, it deletes."""
    import wandb

    artifact = wandb.Artifact(
        f"reconstructions-{identity}", type="reconstructions", metadata={"run": identity}
    )
    artifact.add_file(str(images), skip_cache=True)
    return artifact


@contextmanager
def staged(folder: Path) -> Iterator[None]:
    """What artifacts hold, the pictures in tables too, waits in a folder beside the logs until it is sent, and not
    in the user's home, where a log that is moved leaves it; unless $WANDB_DATA_DIR says where."""
    if STAGING in os.environ:
        yield
        return
    os.environ[STAGING] = str(folder)
    try:
        yield
    finally:
        del os.environ[STAGING]
