"""What an update says of the labels behind it."""

from abc import ABC, abstractmethod
from typing import ClassVar, final

from torch import Tensor

from harness.base.component import Component, component
from harness.core.counts import apportion, multiset
from harness.core.observation import Observation


@component
class LabelInference(Component, ABC):
    """A rule that reads off an update how many images of each class are behind it."""

    requires_public: ClassVar[bool] = False
    """Whether the rule can't answer without `Knowledge.public`."""

    @abstractmethod
    def counts(self, observation: Observation) -> Tensor:
        """How many of the client's examples have each class: [classes] int64, not negative, `examples` in all.

        Raises Unreadable for an update that says nothing, UserError where the rule does not fit the observation.
        """

    def check(self, n: int, examples: int, classes: int) -> None:
        """Raises UserError where the rule can't name labels for n images, when the client holds so many examples."""
        return

    @final
    def labels(self, observation: Observation) -> Tensor:
        """Labels [n] int64 for the images that are looked for, in the proportions of the counts: a sorted multiset."""
        return multiset(apportion(self.counts(observation), observation.n))
