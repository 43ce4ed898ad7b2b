"""Local training as torch.optim.SGD does it, without what it spends on memory."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.core import Batch, Classifier, Params, batch_norms
from harness.core.normalization import refuse_single_values
from harness.federated.fedavg import FedAvg

WIDTH = 8
"""Convolutions of a number of channels that is no multiple: oneDNN's float32 kernels on channels-last memory, without
AVX-512, write beyond their tensors."""
FOREACH_ADD, FOREACH_MUL = torch._foreach_add_, torch._foreach_mul_


class LocalTraining:
    """Trains one client after the other in one copy of the network, in place.

    The weights of linear layers, which hold nearly all parameters of an MLP or a CNN, are moved in the backward pass
    itself: their gradient, of rank n, is never written down. Convolutions run on channels-last memory, which is faster.
    """

    def __init__(self, model: Classifier) -> None:
        self.worker = copy.deepcopy(model).eval().requires_grad_(True)
        self.norms = list(batch_norms(self.worker).values())
        for norm in self.norms:
            norm.register_forward_pre_hook(refuse_single_values)
        self.linear = _replace_linear(self.worker)
        moved = {id(layer.weight) for layer in self.linear.values()}
        for layer in self.linear.values():
            layer.weight.requires_grad_(False)
        others = {name: p for name, p in self.worker.named_parameters() if id(p) not in moved}
        self.names, self.others = list(others), list(others.values())
        kernels = [parameter for parameter in self.others if parameter.ndim == 4]
        self.channels_last = all(len(kernel) % WIDTH == 0 for kernel in kernels)
        if self.channels_last:
            for kernel in kernels:
                kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)

    def __call__(
        self,
        weights: Params,
        buffers: Params,
        batch: Batch,
        order: Sequence[Tensor],
        protocol: FedAvg,
        momentum: Params | None = None,
    ) -> tuple[Params, Params, Params]:
        """The weights, buffers and momentum that a client ends with; it may begin with that of an earlier call.

        The first two are the worker's own: use them before the next call.
        """
        self._load(weights, buffers)
        for norm in self.norms:
            norm.training = protocol.normalization != "eval"
        velocity = [momentum[name].clone() for name in self.names] if momentum else []
        for name, layer in self.linear.items():
            layer.begin(protocol, momentum[name] if momentum else None)
        x = batch.x.permute(0, 2, 3, 1).contiguous() if self.channels_last else batch.x
        for step in order:
            loss = F.cross_entropy(self.worker(self._images(x[step])), batch.y[step])
            gradients = torch.autograd.grad(
                loss, [*self.others, *(each.ticket for each in self.linear.values())]
            )
            with torch.no_grad():
                velocity = self._step(list(gradients[: len(self.others)]), velocity, protocol)
        kept = {name: each.velocity for name, each in self.linear.items() if each.velocity is not None}
        kept |= dict(zip(self.names, velocity, strict=True)) if velocity else {}
        return dict(self.worker.named_parameters()), dict(self.worker.named_buffers()), kept

    def _images(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2) if self.channels_last else x

    @torch.no_grad()
    def _load(self, weights: Params, buffers: Params) -> None:
        for name, parameter in self.worker.named_parameters():
            parameter.copy_(weights[name])
        for name, buffer in self.worker.named_buffers():
            buffer.copy_(buffers[name])

    def _step(self, gradients: list[Tensor], velocity: list[Tensor], protocol: FedAvg) -> list[Tensor]:
        """One step of all but the linear layers' weights; what it adds to the next one."""
        if not gradients:
            return velocity
        parameters: list[Any] = list(self.others)
        if protocol.weight_decay:
            FOREACH_ADD(gradients, parameters, alpha=protocol.weight_decay)
        if protocol.momentum and velocity:
            FOREACH_MUL(velocity, protocol.momentum)
            FOREACH_ADD(gradients, velocity)
        FOREACH_ADD(parameters, gradients, alpha=-protocol.lr)
        return gradients if protocol.momentum else []


class _Linear(nn.Linear):
    """A linear layer whose weight takes its SGD step while the gradient passes through."""

    ticket: Tensor
    """Something to differentiate, so that the gradient passes through at all."""

    def begin(self, protocol: FedAvg, momentum: Tensor | None = None) -> None:
        """Get ready for a client, with the momentum that it has, if any."""
        self.protocol = protocol
        begun = torch.zeros_like(self.weight) if momentum is None else momentum.clone()
        self.velocity = begun if protocol.momentum else None
        self.ticket = self.weight.new_zeros((), requires_grad=True)
        self.waiting = False

    def forward(self, input: Tensor) -> Tensor:
        if self.waiting:
            raise RuntimeError(
                "a linear layer that is used twice in a forward pass can't be trained in place"
            )
        self.waiting = True
        output: Tensor = _Pass.apply(input, self.ticket, self)  # type: ignore[no-untyped-call]
        return output if self.bias is None else output + self.bias

    @torch.no_grad()
    def step(self, input: Tensor, gradient: Tensor) -> None:
        """W <- W - lr * (m V + gradient^T input + wd W), as torch.optim.SGD has it."""
        self.waiting = False
        setting, keep = self.protocol, 1 - self.protocol.lr * self.protocol.weight_decay
        if self.velocity is None:
            self.weight.addmm_(gradient.T, input, beta=keep, alpha=-setting.lr)
            return
        self.velocity.addmm_(gradient.T, input, beta=setting.momentum)
        self.velocity.add_(self.weight, alpha=setting.weight_decay)
        self.weight.add_(self.velocity, alpha=-setting.lr)


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, _: Tensor, layer: _Linear) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(input)
        return F.linear(input, layer.weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (input,) = ctx.saved_tensors
        layer: _Linear = ctx.layer
        back = gradient @ layer.weight if ctx.needs_input_grad[0] else None
        layer.step(input.flatten(0, -2), gradient.flatten(0, -2))
        return back, torch.zeros_like(layer.ticket), None


def _replace_linear(model: nn.Module) -> dict[str, _Linear]:
    """Put `_Linear` in the place of every linear layer that is trained, and name all their weights."""
    found = {}
    for name, module in list(model.named_modules()):
        if type(module) is nn.Linear and isinstance(module.weight, nn.Parameter):
            layer = _Linear(
                module.in_features, module.out_features, bias=module.bias is not None, device="meta"
            )
            layer.weight, layer.bias = module.weight, module.bias
            model.set_submodule(name, layer)
            found[f"{name}.weight"] = layer
    return found
