"""What the first linear layer of a network sees."""

from torch import Tensor, nn
from torch.func import functional_call

from harness.core import Classifier, Params


def first_linear(model: Classifier) -> str:
    """The dotted name of the first linear layer."""
    names: list[str] = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    return names[0]


def embeddings(model: Classifier, params: Params, x: Tensor) -> Tensor:
    """What the first linear layer sees of images [n, c, h, w] in [0, 1]: [n, d]."""
    seen: list[Tensor] = []
    layer = model.get_submodule(first_linear(model))
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        functional_call(model, params, (x,))
    finally:
        handle.remove()
    return seen[0]
