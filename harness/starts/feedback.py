"""Feedback blending: begin where earlier reconstructions, blended, suggest."""

from typing import ClassVar

import torch
from torch import Tensor

from harness.base.numbers import Fraction, Steps
from harness.core import component
from harness.starts.policy import Memory, SearchResult, StartPolicy


@component
class Feedback(StartPolicy):
    """Leite et al. 2024, section 4 and eq. 1: blend the results of successful attacks.

    The first success is kept, and every further one is blended in; from the second success on (`after`), attacks
    begin at the blend. A failure changes nothing. With alpha = .5 the blend is a moving average that gives the latest
    successes the weights 1/2, 1/4, ...; it is no mean. The paper does not say which of its two images is the new one,
    which at .5 is of no consequence.
    """

    learns: ClassVar[bool] = True
    awaits_success: ClassVar[bool] = True

    alpha: Fraction = 0.5
    """The weight of the newest result."""
    after: Steps = 2
    """How many results there must be before the blend is used."""

    def accepts(self, result: SearchResult) -> bool:
        """Whether a result is blended in."""
        return result.success and result.finite

    def learn(self, memory: Memory, result: SearchResult) -> Memory:
        if not self.accepts(result):
            return memory
        if memory.image is None:
            return Memory(result.x, 1)
        return Memory(self.alpha * result.x + (1 - self.alpha) * memory.image, memory.count + 1)

    def start(self, memory: Memory, shape: tuple[int, ...], rng: torch.Generator) -> Tensor | None:
        return memory.image if memory.count >= self.after else None


@component
class FeedbackNoiseFactor(Feedback):
    """Leite et al. 2024, section 5.2, "-NF": blend every result, whether or not the attack succeeded.

    Of a failure it blends where the search ended, as the authors' script does, not the best iterate on the way there.
    It waits for two attacks instead of two successes. A result that is not finite is left out, for one NaN would stay
    in the blend for ever; finite garbage, however large, is blended in.
    """

    version: ClassVar[int] = 2
    awaits_success: ClassVar[bool] = False

    def accepts(self, result: SearchResult) -> bool:
        return result.finite
