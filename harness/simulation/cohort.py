"""Local training of several clients as one computation: their networks are groups of channels of a wide one.

Clients of a round begin at the same weights, and the small batch of one leaves a processor idle. The images of several
are laid side by side as channels, [n, clients * c, h, w]; a convolution in as many groups as there are clients gives
each its own weights, and whatever treats channels alike (activations, pooling) needs no change. Large linear layers
would need a copy for each client, which no cache holds: there each client keeps only what it has added to the common
weights, as the factors of its steps (`_Deferred`), until the end. Every client makes the steps that it would make
alone, in its own order; the numbers differ by rounding.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.core import Batch, Classifier, Params
from harness.federated.fedavg import FedAvg

CHANNELWISE = (nn.ReLU, nn.Sigmoid, nn.MaxPool2d, nn.AvgPool2d, nn.Flatten, nn.Identity)
"""Layers that treat every channel alike and by itself, so that it does not matter whose it is."""
SMALL = 300_000
"""Parameters of a layer of which every client may have a copy: with more, one at a time keeps them in the cache."""
FACTORS = 2
"""Numbers in a layer's factors, for each of its weight's: with more they cost more than they save."""
WIDEST = 16
"""Clients side by side at most."""
MEMORY = 2**29
"""Bytes of all factors at most."""


def cohort_width(model: Classifier, rank: int) -> int:
    """How many clients to train side by side; 1 where one after the other is faster. `rank`: images in all steps."""
    if not isinstance(model.network, nn.Sequential):
        return 1
    numbers = 1
    for layer in model.network:
        if isinstance(layer, nn.Linear):
            if _deferred(layer, rank):
                numbers += rank * (layer.in_features + layer.out_features)
            elif layer.weight.numel() > SMALL:
                return 1
        elif not isinstance(layer, (nn.Conv2d, *CHANNELWISE)):
            return 1
    return max(1, min(WIDEST, MEMORY // (4 * numbers)))


class Cohort:
    """Trains clients that hold equally many images side by side, each with the steps that it would make alone.

    Activations are [n, clients * channels, h, w]: a convolution in groups gives every client its own weights, and all
    that treats channels alike stays as it is. Of a large linear layer all clients share the weights that they began
    with, and each keeps what its steps have added as factors of low rank: the weights are read once for all of them.
    """

    def __init__(self, model: Classifier) -> None:
        self.model = model
        assert isinstance(model.network, nn.Sequential)
        self.layers = [(f"network.{name}", layer) for name, layer in model.network.named_children()]

    def __call__(
        self, weights: Params, batches: Sequence[Batch], orders: Sequence[Sequence[Tensor]], protocol: FedAvg
    ) -> Iterator[Params]:
        """The weights that each client ends with."""
        rank = sum(len(step) for step in orders[0])
        layers = [
            self._layer(name, layer, weights, len(batches), rank, protocol) for name, layer in self.layers
        ]
        free = [parameter for layer in layers if isinstance(layer, _Layer) for parameter in layer.free]
        velocity: list[Tensor] = []
        x = torch.stack([self.model.normalize(batch.x) for batch in batches], 1)
        y = torch.stack([batch.y for batch in batches], 1)
        clients = torch.arange(len(batches))
        for steps in zip(*orders, strict=True):
            rows = torch.stack(list(steps), 1)
            flow = x[rows, clients].flatten(1, 2)
            for layer in layers:
                flow = layer(flow)
            labels = y[rows, clients].flatten()
            loss = F.cross_entropy(flow.reshape(len(labels), -1), labels, reduction="sum") / len(rows)
            velocity = _descend(free, list(torch.autograd.grad(loss, free)), velocity, protocol)
        for client in range(len(batches)):
            found: Params = {}
            for layer in layers:
                if isinstance(layer, _Layer):
                    found |= layer.of(client)
            yield found

    def _layer(
        self, name: str, layer: nn.Module, weights: Params, clients: int, rank: int, protocol: FedAvg
    ) -> Any:
        if isinstance(layer, nn.Conv2d):
            return _Convolution(name, layer, weights, clients)
        if isinstance(layer, nn.Linear):
            kind = _Deferred if _deferred(layer, rank) else _Copied
            return kind(name, weights, clients, rank, protocol)
        return layer


def _deferred(layer: nn.Linear, rank: int) -> bool:
    """Whether the factors of so many images are smaller than the weight itself."""
    return rank * (layer.in_features + layer.out_features) < FACTORS * layer.weight.numel()


def _descend(
    parameters: list[Tensor], gradients: list[Tensor], velocity: list[Tensor], protocol: FedAvg
) -> list[Tensor]:
    """A step of torch.optim.SGD; what it adds to the next one."""
    with torch.no_grad():
        if protocol.weight_decay:
            torch._foreach_add_(gradients, parameters, alpha=protocol.weight_decay)
        if velocity:
            torch._foreach_mul_(velocity, protocol.momentum)
            torch._foreach_add_(gradients, velocity)
        torch._foreach_add_(parameters, gradients, alpha=-protocol.lr)
    return gradients if protocol.momentum else []


class _Layer:
    """The parameters of one layer, of all clients. `free` are those that follow their gradient."""

    def __init__(self, name: str, weights: Params, clients: int, copied: Sequence[str]) -> None:
        self.name, self.clients = name, clients
        self.own = {
            part: weights[f"{name}.{part}"]
            .detach()
            .repeat(clients, *[1] * (weights[f"{name}.{part}"].ndim - 1))
            for part in copied
            if f"{name}.{part}" in weights
        }
        self.free = [value.requires_grad_() for value in self.own.values()]

    def of(self, client: int) -> Params:
        """The parameters of one client."""
        return {
            f"{self.name}.{part}": value.detach().chunk(self.clients)[client]
            for part, value in self.own.items()
        }


class _Convolution(_Layer):
    def __init__(self, name: str, layer: nn.Conv2d, weights: Params, clients: int) -> None:
        super().__init__(name, weights, clients, ("weight", "bias"))
        self.layer, self.groups = layer, clients * layer.groups

    def __call__(self, flow: Tensor) -> Tensor:
        layer, own = self.layer, self.own
        return F.conv2d(
            flow,
            own["weight"],
            own.get("bias"),
            layer.stride,
            layer.padding,
            layer.dilation,
            self.groups,
        )


class _Copied(_Layer):
    """A linear layer of which every client has a copy."""

    def __init__(self, name: str, weights: Params, clients: int, rank: int, protocol: FedAvg) -> None:
        super().__init__(name, weights, clients, ("weight", "bias"))

    def __call__(self, flow: Tensor) -> Tensor:
        x = flow.unflatten(1, (self.clients, -1))
        found = torch.einsum("nki,koi->nko", x, self.own["weight"].unflatten(0, (self.clients, -1))).flatten(
            1
        )
        return found + self.own["bias"] if "bias" in self.own else found


class _Deferred(_Layer):
    """A linear layer whose weight is a W_0 + sum over steps of c_s G_s, and G_s = gradient_s^T input_s of low rank.

    Momentum's velocity is p W_0 + sum of q_s G_s: SGD is linear in W_0 and the G_s, so only numbers change from step to
    step.
    """

    def __init__(self, name: str, weights: Params, clients: int, rank: int, protocol: FedAvg) -> None:
        super().__init__(name, weights, clients, ("bias",))
        self.begun, self.protocol, self.rank = weights[f"{name}.weight"].detach(), protocol, 0
        out, into = self.begun.shape
        self.inputs, self.gradients = (
            self.begun.new_empty(clients, rank, into),
            self.begun.new_empty(clients, rank, out),
        )
        self.kept, self.drawn = 1.0, 0.0
        self.factors, self.speeds = self.begun.new_empty(0), self.begun.new_empty(0)
        """c and q of every image so far."""
        self.ticket = self.begun.new_zeros((), requires_grad=True)
        self.free.append(self.ticket)

    def __call__(self, flow: Tensor) -> Tensor:
        x = flow.unflatten(1, (self.clients, -1))
        found: Tensor = _Pass.apply(x, self.ticket, self)  # type: ignore[no-untyped-call]
        return found.flatten(1) + self.own["bias"] if "bias" in self.own else found.flatten(1)

    def through(self, x: Tensor, back: bool) -> Tensor:
        """x [n, clients, in] by every client's weight, or [n, clients, out] by its transpose."""
        first, second = (self.gradients, self.inputs) if back else (self.inputs, self.gradients)
        found = self.kept * (x @ self.begun if back else x @ self.begun.T)
        if self.rank:
            mixed = torch.bmm(x.transpose(0, 1), first[:, : self.rank].transpose(1, 2)) * self.factors
            found = found + torch.bmm(mixed, second[:, : self.rank]).transpose(0, 1)
        return found

    def step(self, x: Tensor, gradient: Tensor) -> None:
        """Take in the gradient of a step, and move all numbers as SGD moves the weight."""
        setting, more = self.protocol, len(x)
        self.inputs[:, self.rank : self.rank + more] = x.transpose(0, 1)
        self.gradients[:, self.rank : self.rank + more] = gradient.transpose(0, 1)
        self.rank += more
        moved = setting.momentum * self.speeds + setting.weight_decay * self.factors
        self.speeds = torch.cat([moved, moved.new_ones(more)])
        self.drawn = setting.momentum * self.drawn + setting.weight_decay * self.kept
        self.factors = torch.cat([self.factors, moved.new_zeros(more)]) - setting.lr * self.speeds
        self.kept -= setting.lr * self.drawn

    def of(self, client: int) -> Params:
        gradients = self.gradients[client, : self.rank] * self.factors[:, None]
        weight = torch.addmm(self.begun, gradients.T, self.inputs[client, : self.rank], beta=self.kept)
        return {f"{self.name}.weight": weight} | super().of(client)


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, _: Tensor, layer: _Deferred) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer.through(x, back=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (x,) = ctx.saved_tensors
        layer: _Deferred = ctx.layer
        back = layer.through(gradient, back=True) if ctx.needs_input_grad[0] else None
        layer.step(x, gradient)
        return back, torch.zeros_like(layer.ticket), None
