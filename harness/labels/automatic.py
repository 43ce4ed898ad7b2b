"""The labels of any number of images."""

from pydantic import Field
from torch import Tensor

from harness.base.numbers import Count
from harness.core import LabelInference, Observation, component
from harness.labels.idlg import IDLG
from harness.labels.llg_star import LLGStar


@component
class Automatic(LabelInference):
    """Zhao et al. 2020 (iDLG) for one image, which it reads exactly; Wainakh et al. 2022 (LLG*) for more."""

    passes: Count = Field(default=10, ge=2)
    """Dummy updates that LLG* makes."""

    def counts(self, observation: Observation) -> Tensor:
        rule = IDLG() if observation.examples == 1 else LLGStar(passes=self.passes)
        return rule.counts(observation)
