"""What is searched for, by name, and how it lies in one flat vector."""

from dataclasses import dataclass

import torch
from torch import Tensor

Variables = dict[str, Tensor]
"""What is searched for, by name: images, label logits, latent vectors."""
LOGITS = "logits"
"""The name of soft labels that are searched for beside images."""

LATENT = "latent"
"""The name of a generator's latent vectors."""


@dataclass(frozen=True)
class Layout:
    """How named variables lie in one flat vector."""

    shapes: dict[str, torch.Size]

    @property
    def size(self) -> int:
        return sum(shape.numel() for shape in self.shapes.values())

    @classmethod
    def of(cls, size: int) -> "Layout":
        """Of points that are so many numbers, and nothing more is known of them."""
        return cls({"x": torch.Size([size])})

    def mask(self, name: str) -> Tensor:
        """Which numbers of a flat vector are those of a variable [size] bool: of none, where there is none."""
        parts = [torch.full((shape.numel(),), each == name) for each, shape in self.shapes.items()]
        return torch.cat(parts)

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
