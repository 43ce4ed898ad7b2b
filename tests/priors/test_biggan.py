"""The BigGAN plug-in, on a small stand-in with the interface of the real package (and on the package, if there)."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from harness.core import UserError
from harness.priors.biggan import BigGAN

SMALL = {"z_dim": 6, "num_classes": 5, "output_dim": 16}


class StandInConfig(SimpleNamespace):
    @classmethod
    def from_json_file(cls, path: Path) -> "StandInConfig":
        return cls(**json.loads(Path(path).read_text()))


class StandIn(nn.Module):
    def __init__(self, config: StandInConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.Linear(config.num_classes, config.z_dim, bias=False)
        self.out = nn.Linear(2 * config.z_dim, 3 * config.output_dim**2)

    def forward(self, z: Tensor, class_label: Tensor, truncation: float) -> Tensor:
        both = torch.cat([z, self.embeddings(class_label)], 1)
        return (truncation * self.out(both)).tanh().view(len(z), 3, self.config.output_dim, -1)


class Sized:
    """As much of a data set as the plug-in asks for."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        self.shape, self.classes = shape, tuple(map(str, range(classes)))


PHOTOS = Sized((3, 8, 8), 5)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = ModuleType("pytorch_pretrained_biggan")
    package.BigGAN, package.BigGANConfig = StandIn, StandInConfig  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch_pretrained_biggan", package)
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    torch.manual_seed(0)
    torch.save(StandIn(StandInConfig(**SMALL)).state_dict(), tmp_path / "pytorch_model.bin")
    return tmp_path


def make(checkpoint: Path, dataset: Sized = PHOTOS, **settings: object) -> nn.Module:
    return BigGAN(checkpoint=str(checkpoint), **settings).generator(dataset, None, "", 0)


def test_images_of_the_wanted_class_and_size(checkpoint: Path) -> None:
    generator = make(checkpoint)
    z, y = torch.randn(4, generator.latent), torch.tensor([0, 4, 2, 2])
    images = generator(z, y)
    assert images.shape == (4, 3, 8, 8)
    assert 0 <= images.min() < images.max() <= 1
    assert torch.equal(images, generator(z, y))
    assert not torch.equal(images[0], generator(z[:1], y[1:2])[0])
    network = StandIn(StandInConfig(**SMALL))
    network.load_state_dict(torch.load(checkpoint / "pytorch_model.bin"))
    full = (network(z, torch.eye(5)[y], 1.0) + 1) / 2
    assert torch.allclose(images, nn.functional.avg_pool2d(full, 2), atol=1e-6)


def test_gradient_reaches_z(checkpoint: Path) -> None:
    z = torch.randn(1, SMALL["z_dim"], requires_grad=True)
    make(checkpoint)(z, torch.tensor([1])).sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0


def test_truncation_is_passed_on(checkpoint: Path) -> None:
    z, y = torch.randn(1, SMALL["z_dim"]), torch.tensor([1])
    assert not torch.equal(make(checkpoint)(z, y), make(checkpoint, truncation=0.5)(z, y))


def test_classes_of_a_subset(checkpoint: Path) -> None:
    z = torch.randn(2, SMALL["z_dim"])
    subset = make(checkpoint, Sized((3, 8, 8), 2), classes=(4, 1))
    expected = make(checkpoint)(z, torch.tensor([4, 1]))
    assert torch.equal(subset(z, torch.tensor([0, 1])), expected)


def test_classes_that_do_not_fit_are_refused(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="5 classes for a data set of 2"):
        make(checkpoint, Sized((3, 8, 8), 2))
    with pytest.raises(UserError, match="classes 0 to 4, not 5"):
        make(checkpoint, Sized((3, 8, 8), 2), classes=(5, 1))


def test_grey_images_are_refused(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="RGB"):
        make(checkpoint, Sized((1, 8, 8), 5))


def test_missing_setting_files_or_package(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"prior\.checkpoint=FOLDER"):
        BigGAN().generator(PHOTOS, None, "", 0)
    monkeypatch.setitem(sys.modules, "pytorch_pretrained_biggan", None)
    with pytest.raises(UserError, match=r"pip install 'harness\[biggan\]'"):
        make(checkpoint)
    (checkpoint / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match=r"not found in .*: pytorch_model\.bin"):
        make(checkpoint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", "not a checkpoint of BigGAN"),
        ({"embeddings.weight": torch.zeros(6, 5)}, r"lacks 2 of BigGAN's weights, such as out\.bias"),
        ({"out.bias": torch.zeros(7)}, "not a checkpoint of BigGAN"),
        ([print], "not a checkpoint of BigGAN"),
    ],
)
def test_foreign_files_are_refused(checkpoint: Path, content: object, message: str) -> None:
    path = checkpoint / "pytorch_model.bin"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=message):
        make(checkpoint)


def test_the_real_package(tmp_path: Path) -> None:
    real = pytest.importorskip("pytorch_pretrained_biggan")
    layers = [(True, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1)]
    config = real.BigGANConfig(64, 8, 8, 8, 5, layers, attention_layer_position=3)
    torch.manual_seed(0)
    network = real.BigGAN(config)
    nn.init.ones_(network.generator.bn.weight)
    nn.init.zeros_(network.generator.bn.bias)
    for _ in range(30):  # spectral normalisation finds the norms of the random weights in train mode
        network(torch.zeros(1, 8), torch.eye(5)[:1], 1.0)
    (tmp_path / "config.json").write_text(config.to_json_string())
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    generator = make(tmp_path)
    z, y = torch.randn(2, 8), torch.tensor([0, 3])
    images = generator(z, y)
    assert images.shape == (2, 3, 8, 8)
    assert torch.equal(images, generator(z, y))
