"""What a judge's logits say of the class, and how much images differ, from their numbers."""

import math
import statistics
from pathlib import Path

import torch

from harness.core import Batch, Classifier, generator
from harness.datasets.digits import Digits32
from harness.metrics.confidence import Confidence
from harness.metrics.spread import Spread
from harness.models.mlp import MLP
from harness.models.training import Training
from tests.fidelity.conftest import Fidelity


def test_p_of_the_class(classifier: Classifier, fidelity: Fidelity, tmp_path: Path) -> None:
    training = Training(steps=2, split="public")
    metric = Confidence(dataset=Digits32(), model=MLP(hidden=8), training=training)
    metric.learn(None, str(tmp_path))
    pictures, labels = torch.rand(5, 1, 32, 32, generator=generator("pictures")), torch.arange(5)
    expected = []
    for logits, label in zip(metric.judge(None, str(tmp_path))(pictures).tolist(), range(5), strict=True):
        expected.append(math.exp(logits[label]) / math.fsum(map(math.exp, logits)))
    found = metric(Batch(pictures, labels + 1), Batch(1 - pictures, labels), classifier, {})
    assert found is not None
    what = "exp of the class's logit over the sum of all (ours: no paper's measure)"
    fidelity("metric", "confidence", what, found, expected)


def test_the_deviation_over_images(classifier: Classifier, fidelity: Fidelity) -> None:
    x = torch.rand(6, 1, 3, 3, generator=generator("pictures"), dtype=torch.float64)
    expected = statistics.fmean(statistics.pstdev(pixel) for pixel in x.flatten(1).T.tolist())
    found = Spread()(Batch(x, torch.zeros(6)), Batch(x, torch.zeros(6)), classifier, {})
    what = "root of the mean squared deviation over images, mean over pixels (ours: no paper's measure)"
    fidelity("metric", "spread", what, found, [expected] * 6)
