"""A further threshold of success."""

from torch import Tensor

from harness.base.numbers import Real
from harness.core import Batch, Classifier, Metric, Params, component


@component
class Reached(Metric):
    """Whether an image is better than a threshold in another metric, in that metric's own direction."""

    higher_is_better = True

    metric: Metric
    threshold: Real

    @property
    def needs_model(self) -> bool:  # type: ignore[override]
        """As the other metric does."""
        return self.metric.needs_model

    def prepare(self) -> None:
        """As the other metric does."""
        self.metric.prepare()

    def learn(self, root: str | None, cache: str) -> None:
        """As the other metric does."""
        self.metric.learn(root, cache)

    def lacking(self) -> str | None:
        """As the other metric does."""
        return self.metric.lacking()

    def __call__(
        self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params
    ) -> Tensor | None:
        """True or false for each image [n]; None where the other metric can't be had."""
        score = self.metric(reconstruction, truth, model, params)
        if score is None:
            return None
        return score > self.threshold if self.metric.higher_is_better else score < self.threshold
