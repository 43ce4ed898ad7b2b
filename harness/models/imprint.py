"""Robbing the Fed: a block that the server puts before a network, to read images off the clients' updates."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.base.numbers import Positive, Steps, Width
from harness.base.threat import Need
from harness.core import Classifier, Component, Images, Model, Shape, UserError, component

Activation = Literal["relu", "sparse"]
LOWEST = -10.0
"""Where the first bin of the paper's quantiles begins: below what any image measures."""
SAMPLE = 2000
"""Public images by which bins are calibrated, at most."""


class ImprintBlock(nn.Module):
    """Images to images of one brightness each: linear, ReLU (or its sparse variant), linear.

    `functional` [pixels] is what every row of the first layer measures, `gain` what it is multiplied by.
    """

    functional: Tensor
    planted: Mapping[str, Tensor]

    def __init__(
        self, shape: Shape, functional: Tensor, bins: int, activation: Activation, gain: float
    ) -> None:
        super().__init__()
        pixels = math.prod(shape)
        self.shape, self.sparse, self.gain = shape, activation == "sparse", gain
        self.register_buffer("functional", functional)
        self.measure = nn.Linear(pixels, bins)
        self.back = nn.Linear(bins, pixels)

    def set_edges(self, edges: Tensor) -> None:
        """Let row k be switched on by images that measure more than edges[k] [bins], which ascend. Once only.

        The sparse rows are steep, and flat again from the next edge on: an image has a slope in its own bin alone.
        """
        width = torch.ones_like(edges)
        if self.sparse:
            width = torch.cat([edges.diff(), edges[-1:] - edges[:1]]).clamp_min(1e-9)
        with torch.no_grad():
            self.measure.weight.copy_(self.gain * self.functional / width[:, None])
            self.measure.bias.copy_(-self.gain * edges / width)
            self.back.weight.fill_(1 / self.gain)
            self.back.bias.sub_(edges.mean())
        self.planted = {name: value.clone() for name, value in self.state_dict().items()}

    def plant_again(self) -> None:
        """Undo what a training of the whole network has made of the block, whose rows measure the same no more."""
        self.load_state_dict(self.planted)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to the same shape."""
        measured = self.measure(x.flatten(1))  # no layer: `nonlinearity` is of the network behind the block
        hidden = F.hardtanh(measured, 0.0, self.gain) if self.sparse else F.relu(measured)
        images: Tensor = self.back(hidden).unflatten(1, self.shape)
        return images


@component
class ImprintSettings(Component):
    """How an imprint block is made, by whatever puts it before a network."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.ARCHITECTURE, Need.PARAMETERS})
    bins: Width = Field(default=100, ge=2)
    functional: Literal["mean", "fourier", "projection"] = "mean"
    """What is measured: the mean brightness, a cosine along the flattened image, or a random direction."""
    frequency: Steps = 32
    """Of the cosine."""
    edges: Literal["public", "laplace", "gaussian"] = "public"
    """Quantiles between the bins: of h over public images, or of the distribution that the paper assumes."""
    activation: Activation = "relu"
    """relu: an image switches on every row up to its bin; sparse: it has a slope in the row of its bin alone."""
    gain: Positive = 1e-3
    """What the first layer is multiplied by, and the second divided by."""

    @classmethod
    def needed(cls, settings: Mapping[str, Any]) -> frozenset[Need]:
        return cls.needs | ({Need.PUBLIC} if settings.get("edges", "public") == "public" else set())


@component
class Imprint(Model, ImprintSettings):
    """Fowl et al. 2022 (RTF), section 3: an imprint block before any network, as in the code of Zhu et al. 2024.

    Row k of the first layer measures the same number h of an image, less the edge of bin k; the columns of the second
    are alike, so that all rows that an image switches on receive the same slope of it. Of `base` the architecture alone
    counts: normalize, fresh and seed are those of the whole.
    """

    needs: ClassVar[frozenset[Need]] = ImprintSettings.needs
    base: Model
    """The network behind the block."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        block = ImprintBlock(shape, self._functional(math.prod(shape)), self.bins, self.activation, self.gain)
        if self.edges != "public":
            block.set_edges(self._assumed())
        return nn.Sequential(block, self.base.activated(shape, classes))

    def calibrate(self, model: Classifier, public: Callable[[], Images]) -> None:
        """Put the edges where as many public images fall into each bin."""
        if self.edges != "public":
            return
        _, block = imprint_block(model)
        images = public()
        rows = range(0, len(images), max(1, len(images) // SAMPLE))
        shown = model.normalize(torch.stack([images[row][0] for row in rows]))
        h = shown.flatten(1).double() @ block.functional.double()
        inner = torch.quantile(h, self._levels())
        below = 2 * h.min() - h.max() - 1e-3
        block.set_edges(torch.cat([below.view(1), inner]).to(block.functional.dtype))

    def _functional(self, pixels: int) -> Tensor:
        """What a row measures [pixels], of about unit deviation for photographs in [-1, 1], as the quantiles assume."""
        if self.functional == "mean":
            return torch.full((pixels,), 1.32 / pixels)
        if self.functional == "projection":
            return 2 * torch.randn(pixels) / math.sqrt(pixels)
        places = math.pi / pixels * (torch.arange(pixels) + 0.5)
        return 4 * self.frequency / pixels * torch.cos(places * self.frequency)

    def _levels(self) -> Tensor:
        return torch.arange(1, self.bins, dtype=torch.float64) / self.bins

    def _assumed(self) -> Tensor:
        """The edges [bins] where h is distributed as the paper assumes, with zero mean and unit variance."""
        levels = self._levels()
        if self.edges == "laplace":
            side = levels - 0.5
            inner = -side.sign() * torch.log1p(-2 * side.abs()) / math.sqrt(2)
        else:
            inner = torch.special.ndtri(levels)
        return torch.cat([torch.tensor([LOWEST]), inner.float()])


def imprint_block(model: nn.Module) -> tuple[str, ImprintBlock]:
    """The imprint block of a network, and its name. Raises UserError where there is none."""
    for name, module in model.named_modules():
        if isinstance(module, ImprintBlock):
            return name, module
    raise UserError(
        "this network has no imprint block: say model=imprint_resnet18 (or imprint_cnn, imprint_mlp)"
    )
