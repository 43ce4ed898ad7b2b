"""Learned perceptual image patch similarity."""

import warnings
from functools import cache
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.base.errors import warn_once
from harness.core import AbsolutePath, Batch, Classifier, Metric, Params, UserError, component
from harness.machine import vision as vision  # before lpips
from harness.models.weights import read_weights

Net = Literal["vgg", "alex", "squeeze"]

TRUNKS: dict[Net, str] = {
    "vgg": "vgg16-397923af.pth",
    "alex": "alexnet-owt-7be5be79.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
"""torchvision's files with the weights of the trunks; the heads come with the lpips package."""

SMALLEST, ENLARGED = 32, 64
"""Images of fewer pixels than the first are enlarged to the second: AlexNet takes none below 31."""


@component
class LPIPS(Metric):
    """Zhang et al. 2018, version 0.1; images under 32 pixels are first enlarged to 64, bilinearly.

    Missing, with one line on stderr, where the trunk's weights are not at hand: nothing is downloaded.
    """

    needs_model = False

    net: Net = "vgg"
    weights: AbsolutePath | None = None
    """The folder that holds torchvision's file of weights; null: $TORCH_HOME/hub/checkpoints."""

    def prepare(self) -> None:
        """Raises UserError for a folder that is not there and for a file that is not the original."""
        self._network()

    def __call__(
        self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params
    ) -> Tensor | None:
        network = self._network()
        if network is None:
            return None
        network.to(truth.x.device)
        with torch.no_grad():
            distance = network(displayed(reconstruction.x), displayed(truth.x))
        return cast(Tensor, distance).flatten()

    def lacking(self) -> str | None:
        """The files of weights that are not there, of all trunks in one line where this metric's own is not."""
        folder = self._folder()
        return None if self._there(folder) else _absent(folder)

    def _network(self) -> nn.Module | None:
        folder = self._folder()
        if self._there(folder):
            return _load(self.net, folder)
        warn_once(_absent(folder))
        return None

    def _there(self, folder: Path) -> bool:
        return (folder / TRUNKS[self.net]).is_file()

    def _folder(self) -> Path:
        if self.weights is None:
            return Path(torch.hub.get_dir()) / "checkpoints"
        if not self.weights.is_dir():
            raise UserError(f"LPIPS: no folder of weights at {self.weights}")
        return self.weights


def displayed(x: Tensor) -> Tensor:
    """RGB in [-1, 1], large enough for every trunk."""
    if min(x.shape[-2:]) < SMALLEST:
        x = F.interpolate(x, size=(ENLARGED, ENLARGED), mode="bilinear", align_corners=False)
    return 2 * x.expand(-1, 3, -1, -1) - 1


@cache  # it is asked for every image
def _absent(folder: Path) -> str:
    missing = [name for name in TRUNKS.values() if not (folder / name).is_file()]
    return f"LPIPS is left out: no {', '.join(missing)} in {folder}"


@cache
def _load(net: Net, folder: Path) -> nn.Module:
    """The network, once for each process."""
    path = folder / TRUNKS[net]
    state = read_weights(path)
    network = _untrained(net)
    trunk = network.get_submodule("net")
    names = {name: f"features.{name.split('.', 1)[1]}" for name in trunk.state_dict()}
    missing = [name for name in names.values() if name not in state]
    if missing:
        raise UserError(f"{path} holds no weights of the {net} trunk: {missing[0]} is not in it")
    trunk.load_state_dict({own: state[name] for own, name in names.items()})
    return network


def _untrained(net: Net) -> nn.Module:
    """The package's heads on a trunk whose random weights are replaced next."""
    import lpips

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision, of how lpips calls it
        return cast(nn.Module, lpips.LPIPS(net=net, pnet_rand=True, verbose=False))
