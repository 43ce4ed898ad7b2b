"""What stands above the last map in a sweep."""

import torch
from torch import Tensor

from harness.attacks.solvers.batches import together
from harness.core import Params


class HeadPass:
    """The mean over all places, the linear layer and the cross-entropy, for features [k, n, channels]."""

    def __init__(self, name: str, weight: Tensor, bias: Tensor) -> None:
        self.name, self.weight, self.bias = name, weight, bias

    def up(self, top: Tensor, target: Tensor) -> None:
        """To the loss's slope in the logits; target [k, n, classes]."""
        self.size, self.places = top.shape, top.shape[3] * top.shape[4]
        self.features = self._pooled(top)
        self.probability = (self._times(self.features, self.weight.T) + self.bias).softmax(-1)
        self.delta = (self.probability - target) / target.shape[1]

    def down(self) -> Tensor:
        """The slope in the maps at the top."""
        return self._spread(self._times(self.delta, self.weight))

    def gradient(self) -> Params:
        """In the weight [k, classes, channels] and the bias."""
        weight = torch.bmm(self.delta.mT, self.features)
        return {f"{self.name}.weight": weight, f"{self.name}.bias": self.delta.sum(1)}

    def up_dot(self, top_dot: Tensor, v: Tensor, bias_v: Tensor) -> Tensor:
        """The derivative of the slope in the target."""
        self.v = v
        logits_dot = self._times(self._pooled(top_dot), self.weight.T)
        logits_dot = logits_dot + together(torch.bmm, self.features, v.mT) + bias_v[:, None]
        centred = logits_dot - (self.probability * logits_dot).sum(-1, keepdim=True)
        self.delta_dot = self.probability * centred / len(self.features[0])
        return -centred / len(self.features[0])

    def down_dot(self) -> Tensor:
        """The derivative of the slope in the maps at the top."""
        return self._spread(
            self._times(self.delta_dot, self.weight) + together(torch.bmm, self.delta, self.v)
        )

    def _times(self, rows: Tensor, matrix: Tensor) -> Tensor:
        return together(torch.bmm, rows, matrix.expand(len(rows), -1, -1))

    def _pooled(self, maps: Tensor) -> Tensor:
        return maps.mean((3, 4)).transpose(0, 1)

    def _spread(self, features: Tensor) -> Tensor:
        slope = (features / self.places).transpose(0, 1)[..., None, None]
        return slope.expand(self.size)
