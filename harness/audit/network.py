"""The user's network: found by its name, built, and looked through for its head and its dense layers."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.audit.recipe import Recipe
from harness.base.components import build
from harness.base.errors import UserError, first_line, nearest
from harness.base.schema import CONF
from harness.config.composition import part
from harness.core import Classifier, Model, Normalize
from harness.models.imprint import Imprint

LOOKED_AT = 4
"""Images of noise with which a network is looked through."""


def open_network(recipe: Recipe) -> Classifier:
    """The network in eval mode behind its normalisation, with the head that its logits come from.

    Raises UserError where it can't be found, imported, built, or run on such images.
    """
    with torch.random.fork_rng(devices=[]):
        network = _build(recipe)
    channels = recipe.input[0]
    pixels = recipe.normalization
    if pixels is None or pixels.place == "inside":
        normalize = Normalize([0.0] * channels, [1.0] * channels)
    else:
        normalize = Normalize(pixels.mean, pixels.std)
    model = Classifier(normalize, network).eval().requires_grad_(False)
    head, classes = _head(model, recipe)
    if recipe.classes is not None and recipe.classes != classes:
        raise UserError(f"classes: the recipe says {recipe.classes}, and the network's head has {classes}")
    model.head = head
    return model


def classes_of(model: Classifier) -> int:
    """How many classes the head tells apart."""
    weight = model.get_submodule(model.head).weight
    assert isinstance(weight, Tensor)
    return len(weight)


def _build(recipe: Recipe) -> nn.Module:
    name, arguments = recipe.model, recipe.arguments
    if ":" in name:
        return _made(name, _imported(name), arguments)
    if (CONF / "model" / f"{name}.yaml").is_file():
        ours: Model = build("arguments", {**part("model", name), **arguments})
        if isinstance(ours, Imprint):
            raise UserError(f"model: {name} is a malicious server's; it can't be audited by name")
        if recipe.classes is None:
            raise UserError("classes is missing: a model of the harness is built for so many")
        return ours.activated(recipe.input, recipe.classes)
    return _of_timm(recipe)


def _imported(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise UserError(f"model: there is no module {error.name} here or installed") from error
        raise UserError(
            f"model: {module} needs {error.name}, which is not installed: install what it imports beside the harness"
        ) from error
    except Exception as error:  # the user's own code may raise anything
        raise UserError(
            f"model: {module} can't be imported ({type(error).__name__}: {first_line(error)})"
        ) from error
    made: Callable[..., Any] | None = getattr(found, attribute, None)
    if made is None or not callable(made):
        classes = [key for key, value in vars(found).items() if isinstance(value, type)]
        raise UserError(f"model: {module} has no {attribute}{nearest(attribute, classes)}")
    return made


def _made(name: str, kind: Callable[..., Any], arguments: dict[str, Any]) -> nn.Module:
    try:
        network = kind(**arguments)
    except Exception as error:  # as above
        raise UserError(
            f"arguments: {name} can't be built from {arguments} ({type(error).__name__}: {first_line(error)})"
        ) from error
    if not isinstance(network, nn.Module):
        raise UserError(f"model: {name} gives a {type(network).__name__}, and no torch.nn.Module")
    return network


def _of_timm(recipe: Recipe) -> nn.Module:
    ours = [path.stem for path in (CONF / "model").glob("*.yaml")]
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError as error:
        raise UserError(
            f"model: {recipe.model} is no model of the harness{nearest(recipe.model, ours)} "
            "(names of timm's need pip install 'gradient-inversion-harness[timm]'; your own: package.module:Class)"
        ) from error
    if not timm.is_model(recipe.model.partition(".")[0]):
        raise UserError(
            f"model: {recipe.model} is no model of the harness, nor of timm's{nearest(recipe.model, ours)}"
        )
    classes = {} if recipe.classes is None else {"num_classes": recipe.classes}
    return _made(
        f"timm's {recipe.model}",
        timm.create_model,
        {"model_name": recipe.model, **classes, **recipe.arguments},
    )


def images_of_noise(recipe: Recipe, count: int = LOOKED_AT) -> Tensor:
    """Uniform images [count, c, h, w], the same at every call."""
    return torch.rand(count, *recipe.input, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def _head(model: Classifier, recipe: Recipe) -> tuple[str, int]:
    """The layer that gives the logits, which need not be the last one declared, and how many there are."""
    seen: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[..., None]:
        return lambda _, __, output: seen.__setitem__(name, output)

    layers = {
        name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    hooks = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    try:
        logits = model(images_of_noise(recipe))
    except Exception as error:  # as above
        raise UserError(
            f"the network can't be run on images {list(recipe.input)} ({first_line(error)}): "
            "is input right, and are the arguments?"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise UserError("the network is to give logits [images, classes], as cross-entropy takes them")
    for name, output in seen.items():
        if _gives(layers[name], output, logits):
            return name, logits.shape[1]
    if bool(torch.allclose(logits.exp().sum(1), torch.ones(len(logits)), atol=1e-4)):
        raise UserError(
            "the network ends in log_softmax: let it give the logits, for cross-entropy does the rest"
        )
    raise UserError(
        "the network's logits come straight from no linear layer or convolution: such a head can't be audited"
    )


def _gives(layer: nn.Module, output: Tensor, logits: Tensor) -> bool:
    """Whether the logits are a layer's output: of a convolution, at its one place or averaged over its places."""
    if isinstance(layer, nn.Conv2d):
        pooled = layer.kernel_size == (1, 1) and layer.groups == 1
        if output.ndim != 4 or not (pooled or output.shape[2:] == (1, 1)):
            return False
        output = output.mean((2, 3))
        return output.shape == logits.shape and torch.allclose(output, logits, rtol=1e-4, atol=1e-6)
    return output.shape == logits.shape and torch.equal(output, logits)
