"""The columns of a row: what each is called, its unit, and whether it names something or measures it."""

from dataclasses import dataclass
from enum import Enum, auto


class Role(Enum):
    """What a column is there for."""

    NAME = auto()
    """It tells rows apart: a number, but no measurement."""
    COURSE = auto()
    """How an attack went."""
    CIRCUMSTANCE = auto()
    """What the attack met with."""
    LABEL = auto()
    """How well the labels were inferred, and whether an image counts as recovered."""
    METRIC = auto()
    """One of the metrics that conf/metric/ configures; others are called what their configuration calls them."""


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    role: Role
    title: str
    unit: str = ""
    higher_is_better: bool | None = None
    """Null: neither."""

    @property
    def label(self) -> str:
        """What an axis or a heading says."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


LISTED = (
    Column("problem", Role.NAME, "problem"),
    Column("image", Role.NAME, "image"),
    Column("target", Role.NAME, "number in the data set"),
    Column("targets", Role.NAME, "numbers in the data set"),
    Column("round", Role.NAME, "round"),
    Column("client", Role.NAME, "client"),
    Column("sender", Role.NAME, "client whose update a control hands over"),
    Column("label", Role.NAME, "label"),
    Column("label_inferred", Role.NAME, "inferred label"),
    Column("examples", Role.CIRCUMSTANCE, "images of the client"),
    Column("own_images", Role.CIRCUMSTANCE, "own images of the adversary's of the class"),
    Column("test_accuracy", Role.CIRCUMSTANCE, "test accuracy", "rate", True),
    Column("test_loss", Role.CIRCUMSTANCE, "test loss", higher_is_better=False),
    Column("detected", Role.CIRCUMSTANCE, "detected by the client", "rate"),
    Column("detected_by", Role.CIRCUMSTANCE, "detected by"),
    Column("gate_leakage", Role.CIRCUMSTANCE, "data leakage that the gate has found", higher_is_better=False),
    Column("gate_seconds", Role.CIRCUMSTANCE, "time of the gate", "s", False),
    Column("update_norm", Role.CIRCUMSTANCE, "norm of the update"),
    Column("loss", Role.COURSE, "matching loss", higher_is_better=False),
    Column("iterations", Role.COURSE, "iterations", higher_is_better=False),
    Column("evaluations", Role.COURSE, "evaluations", higher_is_better=False),
    Column("seconds", Role.COURSE, "time", "s", False),
    Column("converged", Role.COURSE, "converged", "rate", True),
    Column("iterations_to_converge", Role.COURSE, "iterations to convergence", higher_is_better=False),
    Column("status", Role.COURSE, "how the search ended"),
    Column("label_correct", Role.LABEL, "label accuracy", "rate", True),
    Column("exact", Role.LABEL, "all labels right", "rate", True),
    Column("class_accuracy", Role.LABEL, "classes found", "rate", True),
    Column("count_accuracy", Role.LABEL, "counts of classes right", "rate", True),
    Column("label_accuracy", Role.LABEL, "label accuracy", higher_is_better=True),
    Column("success", Role.LABEL, "recovered", "rate", True),
    Column("success_ssim", Role.METRIC, "recovered by SSIM", "rate", True),
    Column("mse", Role.METRIC, "MSE", higher_is_better=False),
    Column("mse_ggl", Role.METRIC, "MSE of [-1, 1]", higher_is_better=False),
    Column("mse_r", Role.METRIC, "MSE-R", higher_is_better=False),
    Column("psnr_unit", Role.METRIC, "PSNR", "dB", True),
    Column("psnr_ggl", Role.METRIC, "PSNR (peak 1 of [-1, 1])", "dB", True),
    Column("ssim", Role.METRIC, "SSIM", higher_is_better=True),
    Column("cw_ssim", Role.METRIC, "CW-SSIM", higher_is_better=True),
    Column("lpips_vgg", Role.METRIC, "LPIPS (VGG)", higher_is_better=False),
    Column("lpips_alex", Role.METRIC, "LPIPS (AlexNet)", higher_is_better=False),
    Column("lpips_squeeze", Role.METRIC, "LPIPS (SqueezeNet)", higher_is_better=False),
    Column("stlpips_vgg", Role.METRIC, "ST-LPIPS (VGG)", higher_is_better=False),
    Column("stlpips_alex", Role.METRIC, "ST-LPIPS (AlexNet)", higher_is_better=False),
)
COLUMNS = {column.name: column for column in LISTED}
NAMES = frozenset(column.name for column in LISTED if column.role is Role.NAME)
"""Columns that name something."""
EVERYWHERE = frozenset(column.name for column in LISTED if column.role is not Role.METRIC)
"""Columns that rows have whatever the metrics."""


def label(name: str) -> str:
    """What a heading says of a column, with its unit; one that is not listed is called by its own name."""
    return COLUMNS[name].label if name in COLUMNS else name
