"""The label of a single image."""

from torch import Tensor
from torch.nn import functional as F

from harness.core import LabelInference, Observation, UserError, component
from harness.labels.signal import class_signal


@component
class IDLG(LabelInference):
    """Zhao et al. 2020 (iDLG), section 3: the class whose gradient in the head is negative.

    Exact for one image and one local step. Reads the bias where there is one, which holds for any activation. If the
    client has more images than the one that is looked for (GGL under FedAvg in Zhu et al. 2024), all get that class.
    """

    def check(self, n: int, examples: int, classes: int) -> None:
        if n != 1:
            raise UserError(f"labels=idlg reads one label, not {n}: say labels@attack.labels=llg_star")

    def counts(self, observation: Observation) -> Tensor:
        """All examples in one class. Raises UserError where more than one image is looked for."""
        self.check(observation.n, observation.examples, observation.classes)
        found = class_signal(observation).argmin()
        return F.one_hot(found, observation.classes) * observation.examples
