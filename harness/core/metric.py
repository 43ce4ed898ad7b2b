"""How good a reconstruction is."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from harness.base.component import Component, component
from harness.core.dataset import Batch
from harness.core.model import Classifier
from harness.core.types import Params


@component
class Metric(Component, ABC):
    """A score of a reconstruction against the truth, one number per image."""

    higher_is_better: ClassVar[bool] = False
    needs_model: ClassVar[bool] = True
    """False: the score is of the images alone, and so can be had when the attacked network is gone."""

    def prepare(self) -> None:
        """Load what scoring needs. Raises UserError now rather than when the attack is done."""
        return

    def learn(self, root: str | None, cache: str) -> None:
        """Train what scoring learns of a data set's files at `root`, or read it from the cache. Raises UserError."""
        return

    def lacking(self) -> str | None:
        """What this machine has not, for which the score is left out. None: nothing."""
        return None

    @abstractmethod
    def __call__(
        self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params
    ) -> Tensor | None:
        """Scores [n] of batches that are matched image to image. None: it can't be had here."""
