"""What a judge makes of real pictures: the most that stolen ones could be."""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.core import Batch, Images
from harness.metrics.confidence import Confidence
from harness.metrics.matching import match
from harness.metrics.scores import NO_MODEL
from harness.metrics.ssim import SSIM
from harness.models.victim import pairs

SURE = 0.9
MATCHED = 64
"""Real pictures that are set beside others, at most."""
AT_ONCE = 1000


@dataclass(frozen=True)
class Judged:
    """A judge, on the test images and on those of one class."""

    learnt: int
    steps: int
    tested: int
    accuracy: float
    reals: int
    sure: float
    """The share of the real ones that has p > SURE."""
    matched: int
    likeness: float
    """Mean SSIM of so many real ones to those of clients that they are matched to."""
    others: float
    """That of as many images of other classes: what any picture of the data has."""
    average: float
    """That of the mean of the clients' images of the class, a blur that nobody would call stolen."""
    average_p: float


@torch.no_grad()
def judged(metric: Confidence, tracked: int, root: str | None, cache: str) -> Judged:
    """Raises UserError where the data are not at hand."""
    dataset = metric.dataset.resolved(root)
    judge, tests = metric.judge(root, cache), dataset.load("attack", root)
    p = torch.cat(
        [judge(pairs(tests, rows)[0]).softmax(1) for rows in torch.arange(len(tests)).split(AT_ONCE)]
    )
    real, held = of_class(tests, tracked)[:MATCHED], of_class(dataset.load("train", root), tracked)
    here = tests.labels == tracked
    others = pairs(tests, (~here).nonzero()[:MATCHED, 0])[0]
    average = held.mean(0, keepdim=True)
    return Judged(
        learnt=len(dataset.load("public", root)),
        steps=metric.training.steps,
        tested=len(tests),
        accuracy=float((p.argmax(1) == tests.labels).double().mean()),
        reals=int(here.sum()),
        sure=float((p[here, tracked] > SURE).double().mean()),
        matched=len(real),
        likeness=likeness(real, held),
        others=likeness(others, held),
        average=likeness(average.expand(len(real), -1, -1, -1), held),
        average_p=float(judge(average).softmax(1)[0, tracked]),
    )


def of_class(images: Images, tracked: int) -> Tensor:
    return pairs(images, (images.labels == tracked).nonzero()[:, 0])[0]


def likeness(found: Tensor, truth: Tensor) -> float:
    """Mean SSIM of pictures to real ones, matched as those of an attack are."""
    ours, theirs = match(found, truth)
    pictures, reals = (Batch(x, torch.zeros(len(x))) for x in (found[theirs], truth[ours]))
    scores = SSIM()(pictures, reals, NO_MODEL, {})
    return float("nan") if scores is None else float(scores.mean())
