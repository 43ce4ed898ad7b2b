"""BigGAN-deep, pretrained on ImageNet: a plug-in for a checkpoint that the user has."""

import pickle
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from harness.base.numbers import Natural, Positive
from harness.base.threat import Need
from harness.core import AbsolutePath, Dataset, Generator, Prior, Shape, Split, UserError, component
from harness.models.checkpoints import reason

CONFIG, WEIGHTS = "config.json", "pytorch_model.bin"


@component
class BigGAN(Prior):
    """BigGAN-deep (Brock et al. 2019) in the port `pytorch-pretrained-biggan`, as Li et al. 2022 use it on ImageNet.

    Needs the extra `harness[biggan]` and a checkpoint; nothing is downloaded, and nothing is trained.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.GENERATOR})
    checkpoint: AbsolutePath | None = None
    """Folder with the port's config.json and pytorch_model.bin; the paper's is biggan-deep-256."""
    truncation: Annotated[Positive, Field(le=1)] = 1.0
    """Which of the stored statistics batch normalisation uses."""
    classes: tuple[Natural, ...] | None = None
    """BigGAN's number of each of the data set's classes; null: the data set has them all, in BigGAN's order."""

    @property
    def reads(self) -> frozenset[Split]:
        return frozenset()

    def check(self, dataset: Dataset, root: str | None) -> None:
        self._folder()

    def generator(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> "ClassConditional":
        """The pretrained generator. Raises UserError without package or checkpoint, or when they don't fit."""
        network = _load(self._folder())
        classes = self._classes(len(dataset.classes), network.config.num_classes)
        generator = ClassConditional(network, dataset.shape, classes, self.truncation)
        return generator.eval().requires_grad_(False)

    def _folder(self) -> Path:
        if self.checkpoint is None:
            raise UserError(f"prior=biggan needs prior.checkpoint=FOLDER with {CONFIG} and {WEIGHTS}")
        folder = self.checkpoint
        missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
        if missing:
            raise UserError(f"prior.checkpoint: not found in {folder}: {', '.join(missing)}")
        return folder

    def _classes(self, wanted: int, known: int) -> Tensor:
        classes = tuple(range(known)) if self.classes is None else self.classes
        if len(classes) != wanted:
            raise UserError(
                f"prior.classes: {len(classes)} classes for a data set of {wanted}; name each one"
            )
        if max(classes) >= known:
            raise UserError(f"prior.classes: this BigGAN has classes 0 to {known - 1}, not {max(classes)}")
        return torch.tensor(classes)


class ClassConditional(Generator):
    """BigGAN behind the harness's interface: class numbers instead of one-hot vectors, and [0, 1]."""

    classes: Tensor

    def __init__(self, network: Any, shape: Shape, classes: Tensor, truncation: float) -> None:
        super().__init__()
        if shape[0] != 3:
            raise UserError(f"BigGAN makes RGB images; the data set has {shape[0]} channel(s)")
        self.network, self.truncation, self.size = network, truncation, shape[1:]
        self.latent = network.config.z_dim
        self.register_buffer("classes", classes)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """z [n, latent] and classes y [n] to images [n, 3, h, w], area-interpolated from BigGAN's own size."""
        one_hot = functional.one_hot(self.classes[y], self.network.config.num_classes).to(z.dtype)
        images = self.network(z, one_hot, self.truncation)
        return functional.interpolate((images + 1) / 2, size=self.size, mode="area")


def _load(folder: Path) -> Any:
    try:
        from pytorch_pretrained_biggan import BigGAN as Network
        from pytorch_pretrained_biggan import BigGANConfig
    except ImportError as error:
        raise UserError(f"prior=biggan needs a package: pip install 'harness[biggan]' ({error})") from error
    try:
        network: nn.Module = Network(BigGANConfig.from_json_file(folder / CONFIG))
        state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        missing = network.load_state_dict(state, strict=False).missing_keys
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"{folder} is not a checkpoint of BigGAN: {reason(error)}") from error
    # the port itself loads without checking, since buffers may differ; weights may not
    lost = set(missing) & {name for name, _ in network.named_parameters()}
    if lost:
        raise UserError(f"{folder / WEIGHTS} lacks {len(lost)} of BigGAN's weights, such as {min(lost)}")
    return network
