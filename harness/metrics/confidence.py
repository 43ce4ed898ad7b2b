"""How sure a classifier that nobody in the federation has is of an image's class."""

import functools

import torch
from torch import Tensor

from harness.core import Batch, Classifier, Dataset, Metric, Model, Params, component
from harness.identity.identity import canonical
from harness.models.training import Training

SEED = 0
"""One judge serves all seeds of a table."""
_JUDGES: dict[str, Classifier] = {}
"""Those that this process has learnt, by their settings."""


@component
class Confidence(Metric):
    """p(class of the truth) of the reconstruction alone, by a network trained on the data set's public images.

    No client holds these, and none is attacked. That a network calls an image a class says little, for it has to call
    flat grey something: set grey and noise beside it, and a likeness to the truth.
    """

    higher_is_better = True
    needs_model = False

    dataset: Dataset
    """The run's."""
    model: Model
    training: Training

    def learn(self, root: str | None, cache: str) -> None:
        _JUDGES[self._settings] = self.judge(root, cache)

    def judge(self, root: str | None, cache: str) -> Classifier:
        """The network, on the CPU whatever the device, so that it is the same for all. Raises UserError."""
        dataset = self.dataset.resolved(root)
        return self.training.model(self.model, dataset, root, cache, SEED, torch.device("cpu"))

    @functools.cached_property
    def _settings(self) -> str:
        return str(canonical(self))

    @torch.no_grad()
    def __call__(
        self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params
    ) -> Tensor | None:
        """None where nothing was learnt, as in rescoring without the data."""
        judge = _JUDGES.get(self._settings)
        if judge is None:
            return None
        logits: Tensor = judge.to(truth.x.device)(reconstruction.x.float())
        labels = truth.y if truth.y.ndim == 1 else truth.y.argmax(1)
        return logits.double().softmax(1).gather(1, labels[:, None])[:, 0]
