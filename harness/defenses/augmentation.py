"""Random crops and flips: a way to train better, which also keeps the server from the images as they are."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from harness.base.numbers import Natural
from harness.core import Batch, Defense, component


@component
class Augmentation(Defense):
    """Shift every image by up to `padding` pixels and mirror half of them (He et al. 2016, section 4.2).

    Drawn once for all local epochs of an update, where training loops usually draw for every epoch.
    """

    padding: Annotated[Natural, Field(le=4096)] = 4
    mirror: bool = True

    def on_batch(self, batch: Batch, rng: torch.Generator) -> Batch:
        count, _, height, width = batch.x.shape
        shifts = torch.randint(2 * self.padding + 1, (2, count), generator=rng).to(batch.x.device)
        mirrored = torch.rand(count, generator=rng) < (0.5 if self.mirror else 0.0)
        padded = F.pad(batch.x, [self.padding] * 4)
        rows, columns = (
            self._places(size, shift) for size, shift in zip((height, width), shifts, strict=True)
        )
        columns = torch.where(mirrored.to(columns.device)[:, None], columns.flip(1), columns)
        images = torch.arange(count, device=batch.x.device)[:, None, None]
        # Indices on both sides of a slice put their own dimensions first.
        cropped = padded[images, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return Batch(cropped.contiguous(), batch.y)

    def _places(self, size: int, shift: Tensor) -> Tensor:
        """The rows or columns [n, size] of the padded images that are kept."""
        return shift[:, None] + torch.arange(size, device=shift.device)
