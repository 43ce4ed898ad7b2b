"""By which statistics a network's layers of batch normalisation normalise: the same for clients and attackers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.base.errors import UserError
from harness.core.types import Params

Normalization = Literal["eval", "train", "statistics"]
Statistics = Sequence[Params]
"""Of each local step, what every layer of batch normalisation saw: `NAME.mean` and `NAME.variance` [channels]."""


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The layers of batch normalisation, ours and torch's own, by their names."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)}


@contextmanager
def normalized(model: nn.Module, mode: Normalization, given: Statistics | None = None) -> Iterator[None]:
    """A network, built in eval mode, in the mode of a protocol; none of its buffers is altered.

    eval: by the running statistics. train, statistics: by those of the batch. `given`: forward pass k normalises by the
    statistics of step k, and the slope is that of the client's layer, which also goes through the statistics: on the
    client's own batch nothing differs from what the client computed. Raises UserError where there are more or fewer
    passes than steps.
    """
    layers = {} if mode == "eval" else batch_norms(model)
    before = [(layer, layer.training, layer.track_running_stats) for layer in layers.values()]
    with ExitStack() as hooks:
        replaced = [] if given is None else [_Given(name, given) for name in layers]
        for place, layer in enumerate(layers.values()):
            layer.training, layer.track_running_stats = True, False
            hooks.enter_context(layer.register_forward_pre_hook(refuse_single_values))
            if replaced:
                hooks.enter_context(layer.register_forward_hook(replaced[place]))
        try:
            yield
            for each in replaced:
                each.check()
        finally:
            for layer, training, tracked in before:
                layer.training, layer.track_running_stats = training, tracked


@contextmanager
def recorded(model: nn.Module) -> Iterator[Callable[[], Statistics]]:
    """A function that tells the statistics of every forward pass so far."""
    found: dict[str, list[Tensor]] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            mean, variance = _moments(inputs[0].detach())
            found.setdefault(f"{name}.mean", []).append(mean)
            found.setdefault(f"{name}.variance", []).append(variance)

        return hook

    with ExitStack() as hooks:
        for name, layer in batch_norms(model).items():
            hooks.enter_context(layer.register_forward_pre_hook(record(name)))
        yield lambda: [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]


def refuse_single_values(layer: nn.Module, inputs: tuple[Tensor]) -> None:
    """A hook before a layer. Raises UserError in train mode for a batch with one value of each channel."""
    if layer.training and inputs[0].numel() == inputs[0].shape[1]:
        raise UserError(
            "fl.normalization: one value has no variance: batch normalisation by the batch needs larger images or "
            "minibatches, the last one of an epoch too; or say fl.normalization=eval"
        )


class _Given:
    """A hook after a layer: what it gives by the client's statistics instead."""

    def __init__(self, name: str, steps: Statistics) -> None:
        self.name, self.steps, self.passes = name, steps, 0

    def __call__(self, layer: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        self.passes += 1
        if self.passes > len(self.steps):
            self.check()
        x, step = inputs[0], self.steps[self.passes - 1]
        mean, variance = (
            own + (step[f"{self.name}.{part}"] - own).detach()
            for own, part in zip(_moments(x), ("mean", "variance"), strict=True)
        )
        shape = (1, -1, *[1] * (x.ndim - 2))
        normal: Tensor = (x - mean.view(shape)) * (variance + layer.eps).rsqrt().view(shape)
        return normal if layer.weight is None else normal * layer.weight.view(shape) + layer.bias.view(shape)

    def check(self) -> None:
        if self.passes != len(self.steps):
            count = "more" if self.passes > len(self.steps) else self.passes
            raise UserError(
                f"fl.normalization=statistics: the client sent those of {len(self.steps)} local steps, and the attack "
                f"simulates {count}: say fl.dummies=null and an attack that unrolls every step, or "
                "fl.normalization=train"
            )


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance [channels] over images and places."""
    axes = [0, *range(2, x.ndim)]
    return x.mean(axes), x.var(axes, unbiased=False)
