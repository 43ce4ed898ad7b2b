"""What is searched for, by name, and how it lies in one flat vector."""

from dataclasses import dataclass

import torch
from torch import Tensor

Variables = dict[str, Tensor]
"""What is searched for, by name: images, label logits, latent vectors."""


@dataclass(frozen=True)
class Layout:
    """How named variables lie in one flat vector."""

    shapes: dict[str, torch.Size]

    @property
    def size(self) -> int:
        return sum(shape.numel() for shape in self.shapes.values())

    def flatten(self, variables: Variables) -> Tensor:
        """Variables, with or without a leading axis of slots, to [..., size]."""
        parts = [
            variables[name].flatten(variables[name].dim() - len(self.shapes[name])) for name in self.shapes
        ]
        return torch.cat(parts, dim=-1)

    def unflatten(self, flat: Tensor) -> Variables:
        """[..., size] to variables."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes.values()], dim=-1)
        return {
            name: part.reshape(*part.shape[:-1], *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
