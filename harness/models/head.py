"""The last linear layer of a classifier: its parameters' names and its input, the representation."""

from torch import Tensor
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
    return seen[-1]
