"""The client's own images, for scoring alone: no attack sees them."""

from pathlib import Path

import torch
from torch import Tensor

from harness.audit.attempts import AuditedAttack
from harness.audit.exact import Exact
from harness.base.errors import UserError
from harness.core import Batch, Classifier, Shape
from harness.datasets.files import read_image
from harness.datasets.folders import IMAGES
from harness.machine import vision
from harness.metrics.matching import match


def read_truth(folder: Path, shape: Shape, option: str = "--truth", numbered: bool = False) -> Batch:
    """Every image below a folder, sorted by path, in [0, 1]; the class is the folder's name where that is a number,
    else -1.

    `numbered`: sorted by file name, shorter ones first, whatever their class, as a client numbers its examples. Raises
    UserError where there is none.
    """
    paths = _paths(folder, option)
    if numbered:
        paths.sort(key=lambda path: (len(path.stem), path.stem))
    labels = [int(path.parent.name) if path.parent.name.isdigit() else -1 for path in paths]
    return Batch(_pixels(paths, shape).double() / 255, torch.tensor(labels))


def read_public(folder: Path, shape: Shape) -> Tensor:
    """Every image below a folder, as bytes [n, c, h, w]. Raises UserError where there is none."""
    return _pixels(_paths(folder, "--public"), shape)


def _paths(folder: Path, option: str) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES)
    if not paths:
        raise UserError(f"{option} {folder}: no images there ({', '.join(IMAGES[:3])} ...)")
    return paths


def _pixels(paths: list[Path], shape: Shape) -> Tensor:
    """Bytes [n, c, h, w], each image resized to its shorter side and cut from the centre where it is larger."""
    vision.declare_operators()
    from torchvision.transforms import functional

    channels, height, width = shape
    found = []
    for path in paths:
        image = read_image(path).convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = functional.center_crop(functional.resize(image, min(height, width)), [height, width])
        found.append(functional.pil_to_tensor(image))
    return torch.stack(found)


def scored(images: Tensor, truth: Batch) -> tuple[list[float | None], Tensor]:
    """The PSNR in dB of each true image, None of those that are not among the images; and which true image [k] is
    behind each of them, -1 for none."""
    ours, theirs = match(images.double(), truth.x)
    error = (images.double()[theirs] - truth.x[ours]).square().flatten(1).mean(1).clamp_min(1e-30)
    psnr: list[float | None] = [None] * len(truth)
    behind = torch.full((len(images),), -1)
    behind[theirs] = ours
    for place, value in zip(ours.tolist(), (-10 * error.log10()).tolist(), strict=True):
        psnr[place] = round(value, 2)
    return psnr, behind


def images_of(found: Exact | AuditedAttack, model: Classifier, shape: Shape) -> Tensor | None:
    """What an attack found, as images [k, c, h, w] in [0, 1]; None where it found none."""
    if isinstance(found, AuditedAttack):
        return found.images
    if found.inputs is None or not found.images:
        return None
    return model.normalize.invert(found.inputs.unflatten(1, shape))


@torch.no_grad()
def input_errors(found: Exact, model: Classifier, truth: Batch) -> list[float]:
    """How far each input of a dense layer is from that of a true image, relative to its length; nearest first."""
    seen: list[Tensor] = []
    layer = model.get_submodule(found.layer)
    with layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        model(truth.x.float())
    assert found.inputs is not None
    true = seen[0].double()
    distance = torch.cdist(found.inputs, true, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distance.min(1)
    return sorted((nearest.values / true[nearest.indices].norm(dim=1)).tolist())
