"""torchvision's ResNet-18, with the ImageNet stem."""

from typing import cast

from torch import nn

from harness.core import component
from harness.models.normalization import BatchNorm2d
from harness.models.torchvision_model import TorchvisionModel


@component
class ResNet18ImageNet(TorchvisionModel):
    """He et al. 2016 as torchvision builds it: 7x7 stem, max pooling, default initialisation."""

    def architecture(self, classes: int) -> nn.Module:
        from torchvision.models import resnet18

        return cast(nn.Module, resnet18(weights=None, num_classes=classes, norm_layer=BatchNorm2d))
