"""torchvision's VGG-16."""

from typing import ClassVar, cast

from torch import nn

from harness.core import component
from harness.models.torchvision_model import TorchvisionModel


@component
class VGG16(TorchvisionModel):
    """Simonyan and Zisserman 2015 as torchvision builds it, without dropout; images of 32 pixels or more."""

    smallest: ClassVar[int] = 32

    def architecture(self, classes: int) -> nn.Module:
        from torchvision.models import vgg16

        return cast(nn.Module, vgg16(weights=None, num_classes=classes, dropout=0.0))
