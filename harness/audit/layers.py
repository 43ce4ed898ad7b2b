"""The dense layers of a network: what goes into them, and whether ReLU follows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.audit.network import images_of_noise
from harness.audit.recipe import Recipe
from harness.core import Classifier


@dataclass(frozen=True)
class DenseLayer:
    """A linear layer that sees one row for each image. `images`: the rows are the flattened images themselves."""

    name: str
    images: bool
    relu: bool


def dense_layers(model: Classifier, recipe: Recipe) -> list[DenseLayer]:
    """The dense layers with a bias, in the order in which images reach them; the head is the last."""
    x = images_of_noise(recipe).requires_grad_()
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[..., Tensor]:
        def hook(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
            inputs[name], outputs[name] = given[0].detach(), output
            return output * 1.0  # what follows may work in place

        return hook

    linear = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(watch(name)) for name, layer in linear if layer.bias is not None]
    try:
        logits = model(x)
    finally:
        for hook in hooks:
            hook.remove()
    rows = [name for name, given in inputs.items() if given.ndim == 2 and len(given) == len(x)]
    images = model.normalize(x).detach().flatten(1)
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    found = []
    for name in rows:
        same = inputs[name].shape == images.shape and torch.equal(inputs[name], images)
        found.append(DenseLayer(name, same, _relu(outputs, name, (logits * weights).sum())))
    return found


def _relu(outputs: dict[str, Tensor], name: str, value: Tensor) -> bool:
    """Whether a unit has a slope just where it is positive."""
    output = outputs[name]
    if not value.requires_grad:
        return False
    (slope,) = torch.autograd.grad(value, output, retain_graph=True, allow_unused=True)
    if slope is None:
        return False
    off = output < 0
    return bool(off.any()) and bool((slope[off] == 0).all()) and bool((slope[~off] != 0).float().mean() > 0.5)


def slopes_by_label(
    model: Classifier, name: str, rows: Tensor, shape: tuple[int, int, int], classes: int
) -> Tensor:
    """The gradient of the loss in a layer's output, were its input these rows [k, inputs]: [classes, k, units]."""
    output = _output(model, name, rows).requires_grad_()
    logits = _logits(model, name, output, shape)
    losses = F.cross_entropy(
        logits.repeat(classes, 1), torch.arange(classes).repeat_interleave(len(rows)), reduction="none"
    )
    totals = losses.view(classes, -1).sum(1)
    return torch.stack([torch.autograd.grad(total, output, retain_graph=True)[0] for total in totals])


@torch.no_grad()
def logits_behind(model: Classifier, name: str, rows: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """The logits [k, classes] of a network in which a layer's input is these rows [k, inputs]."""
    return _logits(model, name, _output(model, name, rows), shape)


def _output(model: Classifier, name: str, rows: Tensor) -> Tensor:
    layer: Any = model.get_submodule(name)
    return F.linear(rows.float(), layer.weight, layer.bias)


def _logits(model: Classifier, name: str, output: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Of a network in which a layer's output is as given [k, units]."""
    hook = model.get_submodule(name).register_forward_hook(lambda *_: output * 1.0)
    try:
        logits: Tensor = model(torch.zeros(len(output), *shape))
    finally:
        hook.remove()
    return logits
