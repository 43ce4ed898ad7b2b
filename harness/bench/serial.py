"""The authors' way, written anew: one image at a time, `torch.optim.LBFGS(lr=1)`, a double backward through it all."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.core import Observation

CONVERGED = 1e-6


@dataclass(frozen=True, eq=False)
class SerialResult:
    """The image [1, c, h, w] that the last step left, and what it took."""

    x: Tensor
    loss: float
    evaluations: int


def trainable(observation: Observation) -> nn.Module:
    """The network as the authors hold it: its parameters are leaves that need gradients."""
    return copy.deepcopy(observation.model.network).requires_grad_(True)


def closure(
    network: nn.Module, received: list[Tensor], images: Tensor, logits: Tensor | None, label: Tensor
) -> Callable[[], Tensor]:
    """DLG's closure where there are logits (soft labels), iDLG's where the label [1] is known.

    As theirs, it also fills the gradients of the parameters, which nobody reads, and it forgets to clear them.
    """
    parameters = list(network.parameters())

    def evaluate() -> Tensor:
        images.grad = None
        if logits is not None:
            logits.grad = None
        prediction = network(images)
        if logits is None:
            loss = F.cross_entropy(prediction, label)
        else:
            loss = torch.mean(torch.sum(-logits.softmax(-1) * F.log_softmax(prediction, -1), 1))
        trial = torch.autograd.grad(loss, parameters, create_graph=True)
        mismatch = torch.zeros(())
        for g, own in zip(trial, received, strict=True):
            mismatch = mismatch + ((g - own) ** 2).sum()
        mismatch.backward()
        return mismatch

    return evaluate


def attack(
    observation: Observation, images: Tensor, logits: Tensor | None, label: Tensor, steps: int
) -> SerialResult:
    """Search from the given start. It stops at a loss below 1e-6, and (theirs doesn't) where it is not finite."""
    network = trainable(observation)
    received = list(observation.update.values())
    images = images.clone().requires_grad_()
    logits = None if logits is None else logits.clone().requires_grad_()
    evaluate = closure(network, received, images, logits, label)
    optimizer = torch.optim.LBFGS([images] if logits is None else [images, logits], lr=1)
    calls = 0

    def counted() -> Tensor:
        nonlocal calls
        calls += 1
        return evaluate()

    loss = float("inf")
    for _ in range(steps):
        optimizer.step(counted)
        loss = float(counted().detach())
        if loss < CONVERGED or loss != loss:
            break
    return SerialResult(images.detach(), loss, calls)
