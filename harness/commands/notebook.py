"""What scripts and notebooks say: compose an experiment, execute it, look at it, and at the frame of all runs."""

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from harness.config.experiment import Experiment
from harness.core import Record
from harness.runs.run import run
from harness.store.iterates import Report
from harness.store.records import Store

if TYPE_CHECKING:
    import pandas

GALLERY = "gallery.png"


@dataclass(frozen=True, repr=False)
class Finished:
    """A finished run: its record, with its rows as a frame and its images, and a picture in a notebook."""

    record: Record
    store: Store
    report: Report

    @property
    def id(self) -> str:
        """The name of its folder in the store."""
        return self.record.id

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.store.root / self.id

    @property
    def rows(self) -> "pandas.DataFrame":
        """A line for each image: its target, labels and scores."""
        import pandas

        return pandas.DataFrame(self.record.rows)

    @property
    def images(self) -> dict[str, Tensor]:
        """`truth` and `reconstruction` [n, c, h, w] in [0, 1], in the order of the rows."""
        return self.store.images(self.id, self.report, len(self.record.rows))

    def __repr__(self) -> str:
        choices = self.record.config.get("choices", {})
        what = " on ".join(choices[name] for name in ("attack", "dataset") if choices.get(name))
        found = self.record.summary.get("psnr_unit")
        quality = f", PSNR {found['mean']:.2f} dB" if found else ""
        count = len(self.record.rows)
        return f"<{what or 'run'}: {count} image{'s' * (count != 1)}{quality}, {self.folder}>"

    def _repr_html_(self) -> str:
        """The line of the repr, and truth above reconstruction."""
        words = f"<p>{escape(repr(self)[1:-1])}</p>"
        path = self.folder / GALLERY
        if not path.is_file():
            return words
        data = base64.b64encode(path.read_bytes()).decode()
        return f'{words}<img alt="truth above reconstruction" src="data:image/png;base64,{data}">'


def execute(experiment: Experiment) -> Finished:
    """Carry an experiment out, as far as it is not in its store already. Raises UserError."""
    return Finished(run(experiment), Store(experiment.paths.runs), experiment.report)


def frame(runs: str | Path = "runs") -> "pandas.DataFrame":
    """A line for each image of each run of a store: the configuration in columns, then the scores."""
    return Store(Path(runs)).frame()
