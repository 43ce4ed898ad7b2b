"""The attack's own start."""

import torch

from harness.core import component
from harness.starts.policy import Memory, StartPolicy


@component
class Random(StartPolicy):
    """N(0, 1) in the network's units, drawn anew for every attack, as DLG and iDLG begin."""

    def start(self, memory: Memory, shape: tuple[int, ...], rng: torch.Generator) -> None:
        return None
