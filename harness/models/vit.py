"""A plain vision transformer for small images."""

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.base.numbers import Depth, Side, Width
from harness.core import Model, Shape, UserError, component


@component
class ViT(Model):
    """Beyer et al. 2022 (SimpleViT): no class token, fixed sine and cosine positions, the mean over tokens classifies.

    Blocks normalise before attention and before the two layers with GELU between (Vaswani et al. 2017, eq. 1). As in
    the code of Guo et al. 2025 patches are normalised before and after their embedding, heads have 64 channels at any
    width, and query, key and value come from one matrix without bias. Width 192, depth 12, heads 3: ViT-tiny.
    """

    patch: Side = 4
    """Pixels of a patch's side; image sides are multiples of it."""
    width: Width = Field(default=192, ge=8, multiple_of=4)
    """Channels of a token."""
    depth: Depth = 12
    heads: Width = 3
    hidden: Width = 768
    """Units of the layer between, in each block."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        """Raises UserError where patches don't fit."""
        channels, height, width = shape
        if height % self.patch or width % self.patch:
            raise UserError(f"model.patch={self.patch} does not divide images of {height} x {width} pixels")
        pixels = channels * self.patch**2
        return nn.Sequential(
            Patches(self.patch),
            nn.LayerNorm(pixels),
            nn.Linear(pixels, self.width),
            nn.LayerNorm(self.width),
            Positions(height // self.patch, width // self.patch, self.width),
            *(_block(self.width, self.heads, self.hidden) for _ in range(self.depth)),
            nn.LayerNorm(self.width),
            MeanToken(),
            nn.Linear(self.width, classes),
        )


class Patches(nn.Module):
    """Images [n, c, h, w] to patches [n, tokens, side * side * c], row by row."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        rows = x.unflatten(3, (-1, self.side)).unflatten(2, (-1, self.side))
        found: Tensor = rows.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return found


class Positions(nn.Module):
    """Adds sines and cosines of a token's place: a quarter of the channels each, of column and of row."""

    code: Tensor

    def __init__(self, rows: int, columns: int, width: int) -> None:
        super().__init__()
        quarter = width // 4
        frequencies = 10_000.0 ** -(torch.arange(quarter) / (quarter - 1))
        y = torch.arange(rows).repeat_interleave(columns)[:, None] * frequencies
        x = torch.arange(columns).repeat(rows)[:, None] * frequencies
        self.register_buffer("code", torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.code


class Attention(nn.Module):
    """softmax(Q K^T / sqrt 64) V for each head, written out, so that it can be differentiated twice."""

    def __init__(self, width: int, heads: int, size: int = 64) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.qkv = nn.Linear(width, 3 * heads * size, bias=False)
        self.out = nn.Linear(heads * size, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, tokens, width] to the same shape."""
        parts = self.qkv(tokens).unflatten(-1, (3, self.heads, self.size)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()
        weights = (query @ key.transpose(-1, -2) / math.sqrt(self.size)).softmax(dim=-1)
        mixed: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))
        return mixed


class Added(nn.Module):
    """A branch beside the identity."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, tokens: Tensor) -> Tensor:
        changed: Tensor = tokens + self.branch(tokens)
        return changed


class MeanToken(nn.Module):
    """[n, tokens, width] to [n, width]."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.mean(dim=1)


def _block(width: int, heads: int, hidden: int) -> nn.Module:
    """Attention, then two layers on each token."""
    layers = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
    return nn.Sequential(
        Added(nn.Sequential(nn.LayerNorm(width), Attention(width, heads))),
        Added(nn.Sequential(nn.LayerNorm(width), *layers)),
    )
