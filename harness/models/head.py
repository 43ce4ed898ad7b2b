"""The last linear layer of a classifier: its parameters' names and its input, the representation.

A convolution that gives the logits is one: what it sees at its one place, or the mean over the places that are pooled.
"""

from torch import Tensor, nn
from torch.func import functional_call

from harness.core import Classifier, Params, UserError


def head_parameters(model: Classifier) -> tuple[str, str | None]:
    """The names, among the model's parameters, of the head's weight and of its bias (None: it has none).

    Raises UserError for a head that is frozen.
    """
    weight, bias, trained = f"{model.head}.weight", f"{model.head}.bias", dict(model.named_parameters())
    if weight not in trained:
        raise UserError(
            f"clients don't train the head, {model.head}: say adapter.head=true, or for an attack "
            "that need not infer labels knowledge.labels=true"
        )
    return weight, bias if bias in trained else None


def head_input(model: Classifier, params: Params, x: Tensor) -> Tensor:
    """The representation [n, features] that the head sees for images [n, c, h, w] under `params`.

    Differentiable in both, and safe under torch.func transforms.
    """
    seen: list[Tensor] = []
    head = model.get_submodule(model.head)
    with head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        functional_call(model, params, (x,))
    return representation(head, seen[-1])


def representation(head: nn.Module, seen: Tensor) -> Tensor:
    """What a head sees as vectors [n, features], those that its weight's rows are multiplied by."""
    if isinstance(head, nn.Conv2d):
        return seen.mean((2, 3)) if head.kernel_size == (1, 1) else seen.flatten(1)
    return seen
