"""Which processor a run works on."""

import torch

from harness.base.errors import UserError


def device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` stands for; of several GPUs, this process's own."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: this machine has no usable GPU; say device=cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def take_turn(number: int) -> None:
    """Give this process the GPU whose turn it is among those that it sees: workers are counted from 0."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
