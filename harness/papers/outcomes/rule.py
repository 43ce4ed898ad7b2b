"""A stated rule for words that a paper uses without one: success, partial, fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from harness.base.rows import read_csv
from harness.core import UserError

Label = Literal["success", "partial", "fail"]
LABELS: tuple[Label, ...] = ("success", "partial", "fail")
PSNR, CLEAR, VAGUE = 20.0, 0.5, 0.3
"""dB of the mean, and the SSIM from which an image counts as recovered, or as vaguely recognisable."""
MANY, SOME = 0.5, 0.1
"""Shares of the images that must be recovered for a success, or recognisable for a part of one."""
RULE = (
    f"success: a mean PSNR of at least {PSNR:.0f} dB, or at least {MANY:.0%} of the images with an SSIM of at least "
    f"{CLEAR}; partial: at least {SOME:.0%} of them with an SSIM of at least {VAGUE}; else fail"
)


@dataclass(frozen=True)
class Measured:
    """The word for some images, and the numbers that decided it."""

    label: Label
    images: int
    psnr: float | None
    """Mean over the images in dB; None where one has none, because its attack failed."""
    clear: float
    """Share of the images with SSIM >= CLEAR."""
    vague: float


def decide(rows: Sequence[Mapping[str, Any]]) -> Measured:
    """The verdict on the images of a run; one that was not scored counts as not recovered."""
    psnr = [row.get("psnr_unit") for row in rows]
    mean = None if None in psnr or not psnr else sum(cast(list[float], psnr)) / len(psnr)
    clear, vague = _share(rows, CLEAR), _share(rows, VAGUE)
    label: Label = "fail"
    if (mean is not None and mean >= PSNR) or clear >= MANY:
        label = "success"
    elif vague >= SOME:
        label = "partial"
    return Measured(label, len(rows), mean, clear, vague)


def _share(rows: Sequence[Mapping[str, Any]], least: float) -> float:
    values = [row.get("ssim") for row in rows]
    return len([value for value in values if value is not None and value >= least]) / max(1, len(values))


@dataclass(frozen=True)
class Stated:
    """What the paper says of one of its figures."""

    figure: int
    attack: str
    setting: str
    dataset: str
    model: str
    clients: int | None
    batch: int
    epochs: int | None
    outcome: str
    """As printed in the reference: a label, and perhaps more in brackets."""
    text: str

    @property
    def row(self) -> str:
        """The name of the row of a table that repeats it."""
        return f"Fig. {self.figure} {self.attack}"

    @property
    def label(self) -> Label:
        return cast(Label, self.outcome.partition("(")[0])

    @property
    def said(self) -> str:
        """The outcome as it is printed."""
        return self.outcome.replace("(", " (")

    @property
    def described(self) -> str:
        """The setting in words."""
        if self.clients is None:
            return f"{self.setting}, {self.model}"
        epochs = f"{self.epochs} epoch{'s' if self.epochs != 1 else ''}"
        return f"FL: {self.clients} clients, batch {self.batch}, {epochs}, {self.model}"


def read(path: Path) -> dict[str, Stated]:
    """The published outcomes by the names of their rows. Raises UserError where the file is not such a one."""
    if not path.is_file():
        raise UserError(f"no published outcomes at {path}")
    found = [_published(line) for line in read_csv(path)]
    strange = next((each for each in found if each.label not in LABELS), None)
    if strange:
        raise UserError(f"{path}: {strange.row}: {strange.outcome!r} is none of {', '.join(LABELS)}")
    return {each.row: each for each in found}


def _published(line: Mapping[str, str]) -> Stated:
    number = {name: int(line[name]) if line[name] else None for name in ("clients", "local_epochs")}
    return Stated(
        figure=int(line["figure"]),
        attack=line["attack"],
        setting=line["setting"],
        dataset=line["dataset"],
        model=line["model"],
        clients=number["clients"],
        batch=int(line["batch"]),
        epochs=number["local_epochs"],
        outcome=line["outcome"],
        text=line["text"],
    )
