"""How well the labels of a client were inferred: counts of the classes against counts of the classes."""

import torch
from torch import Tensor


def score_counts(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Scores of inferred counts [classes] against the true ones, each in [0, 1].

    class_accuracy (LeAcc): the share of classes of which it was told rightly whether the client has any;
    count_accuracy (LnAcc): the share of classes whose count is exact (both: Ma et al. 2023, section 4);
    label_accuracy: the share of labels that are right, as multisets: 1 - sum |k' - k| / 2n.
    """
    return {
        "class_accuracy": float(((found > 0) == (truth > 0)).double().mean()),
        "count_accuracy": float((found == truth).double().mean()),
        "label_accuracy": float(torch.minimum(found, truth).sum() / truth.sum()),
    }


def count(labels: Tensor, classes: int) -> Tensor:
    """How many labels there are of each class, [classes] int64: of classes [n] or of probabilities [n, classes]."""
    hard = labels if labels.ndim == 1 else labels.argmax(1)
    return torch.bincount(hard[hard >= 0], minlength=classes)
