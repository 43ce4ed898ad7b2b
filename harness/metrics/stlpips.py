"""Shift-tolerant LPIPS, whose package brings all its weights along."""

import warnings
from functools import cache
from typing import Literal, cast

import torch
from torch import Tensor, nn

from harness.core import Batch, Classifier, Metric, Params, UserError, component
from harness.machine import vision as vision  # before torchvision
from harness.metrics.lpips import displayed

Trunk = Literal["alex", "vgg"]


@component
class STLPIPS(Metric):
    """Ghildyal and Liu 2022 (ST-LPIPS): another learned distance than LPIPS, with which it is not to be compared.

    Works without a network, by the extra `stlpips`. Images under 32 pixels are first enlarged to 64, bilinearly.
    """

    needs_model = False

    net: Trunk = "alex"

    def prepare(self) -> None:
        """Raises UserError where the package is not there."""
        _load(self.net)

    def __call__(self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params) -> Tensor:
        network = _load(self.net).to(truth.x.device)
        with torch.no_grad():
            distance = network(displayed(reconstruction.x), displayed(truth.x))
        return cast(Tensor, distance).flatten()


@cache
def _load(net: Trunk) -> nn.Module:
    """The network, once for each process."""
    try:
        from stlpips_pytorch import stlpips
    except ImportError as error:
        raise UserError(
            f"metric=stlpips needs a package: pip install 'harness[stlpips]' ({error})"
        ) from error
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision, of how the package calls it
        made = stlpips.LPIPS(net=net, variant="shift_tolerant", verbose=False)
    return cast(nn.Module, made)
