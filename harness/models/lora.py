"""Low-rank adaptation: clients train two thin matrices beside each frozen one."""

import math
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn

from harness.base.errors import nearest
from harness.base.numbers import NonNegative, Positive, Width
from harness.core import Classifier, UserError, component, derive_seed
from harness.models.adapter import Adapter, freeze


class AdaptedLinear(nn.Module):
    """x -> W x + b + s B A x, with W and b frozen: `down` is A [rank, inputs], `up` is B [outputs, rank]."""

    def __init__(self, layer: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.frozen, self.scale = layer, scale
        self.down = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        changed: Tensor = self.frozen(x) + self.scale * (x @ self.down.T @ self.up.T)
        return changed


@component
class LoRA(Adapter):
    """Hu et al. 2022, eq. 3: h = W0 x + s B A x for linear layers; all else is frozen, the head too unless it is said.

    Guo et al. 2025 attack it at rank 4 on the joint matrix of query, key and value, without a scale.
    """

    rank: Width = 4
    layers: tuple[str, ...] = ("*",)
    """Names, or patterns of names, of the linear layers but the head, as `network.1`, or `*.qkv` in a transformer."""
    alpha: Positive | None = None
    """s is alpha / rank; null: s is 1, as in the code of Guo et al. 2025."""
    down: Literal["uniform", "normal"] = "uniform"
    """How A begins: U(+-1 / sqrt inputs), as Hu et al.'s code has it, or N(0, 1 / inputs), as their text, which names
    no deviation."""
    up: NonNegative = 0.0
    """The deviation of B's entries, N(0, up^2): 0, as at the beginning of training, lets nothing but B have a slope."""
    head: bool = False
    """Whether the last linear layer is trained too, as it is."""

    def adapt(self, model: Classifier, seed: int) -> Classifier:
        """Raises UserError where a pattern names no linear layer."""
        names = self._chosen(model)
        head = model.get_submodule(model.head)
        trained = list(head.named_parameters(recurse=False)) if self.head else []
        freeze(model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("adapter", seed))
            for name in names:
                layer = model.get_submodule(name)
                assert isinstance(layer, nn.Linear)
                model.set_submodule(name, self._beside(layer))
        for name, value in trained:
            delattr(head, name)
            head.register_parameter(name, value)
        return model.requires_grad_(False)

    def _chosen(self, model: Classifier) -> list[str]:
        linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        linear.remove(model.head)
        for pattern in self.layers:
            if not any(fnmatchcase(name, pattern) for name in linear):
                raise UserError(
                    f"adapter.layers: {pattern} is no linear layer but the head{nearest(pattern, linear)}"
                )
        return [name for name in linear if any(fnmatchcase(name, pattern) for pattern in self.layers)]

    def _beside(self, layer: nn.Linear) -> AdaptedLinear:
        adapted = AdaptedLinear(layer, self.rank, 1.0 if self.alpha is None else self.alpha / self.rank)
        bound = 1 / math.sqrt(layer.in_features)
        with torch.no_grad():
            if self.down == "uniform":
                adapted.down.uniform_(-bound, bound)
            else:
                adapted.down.normal_(0, bound)
            if self.up:
                adapted.up.normal_(0, self.up)
        return adapted
