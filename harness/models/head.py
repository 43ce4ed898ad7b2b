"""The last linear layer of a classifier: its parameters' names and its input, the representation."""

from torch import Tensor
from torch.func import functional_call

from harness.core import Classifier, Params


def head_parameters(model: Classifier) -> tuple[str, str | None]:
    """The names, among the model's parameters, of the head's weight and of its bias (None: it has none)."""
    bias = f"{model.head}.bias"
    return f"{model.head}.weight", bias if bias in dict(model.named_parameters()) else None


def head_input(model: Classifier, params: Params, x: Tensor) -> Tensor:
    """The representation [n, features] that the head sees for images [n, c, h, w] under `params`.

    Differentiable in both, and safe under torch.func transforms.
    """
    seen: list[Tensor] = []
    head = model.get_submodule(model.head)
    with head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        functional_call(model, params, (x,))
    return seen[-1]
