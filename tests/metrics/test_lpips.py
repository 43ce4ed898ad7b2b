"""LPIPS: with stand-in trunk weights, and without any."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.core import Batch, Classifier, Normalize, UserError
from harness.machine import vision as vision  # before torchvision
from harness.metrics import lpips as module
from harness.metrics.lpips import LPIPS, Net

MODEL = Classifier(Normalize((0.0,), (1.0,)), nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    module._load.cache_clear()
    yield
    module._load.cache_clear()


@pytest.fixture(scope="module")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random SqueezeNet and AlexNet trunks, each under a name that carries its true digest."""
    from torchvision.models import alexnet, squeezenet1_1

    folder = tmp_path_factory.mktemp("trunks")
    torch.manual_seed(0)
    for net, trunk in (("squeeze", squeezenet1_1().features), ("alex", alexnet().features)):
        state = {f"features.{name}": value for name, value in trunk.state_dict().items()}
        torch.save(state, folder / "trunk.pth")
        digest = hashlib.sha256((folder / "trunk.pth").read_bytes()).hexdigest()
        (folder / "trunk.pth").rename(folder / f"{net}-{digest[:8]}.pth")
    return folder


@pytest.fixture
def stand_in(trunks: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, with its files taken for torchvision's."""
    for path in trunks.iterdir():
        monkeypatch.setitem(module.TRUNKS, path.name.split("-")[0], path.name)  # type: ignore[misc]
    return trunks


def batch(x: Tensor) -> Batch:
    return Batch(x, torch.zeros(len(x), dtype=torch.int64))


def images(seed: int, channels: int = 3, size: int = 32) -> Tensor:
    return torch.rand(3, channels, size, size, generator=torch.Generator().manual_seed(seed))


def score(metric: LPIPS, found: Tensor, truth: Tensor) -> Tensor:
    scores = metric(batch(found), batch(truth), MODEL, {})
    assert scores is not None
    assert scores.shape == (len(truth),)
    return scores


@pytest.mark.parametrize("net", ["squeeze", "alex"])
def test_is_a_distance_of_each_pair(net: Net, stand_in: Path) -> None:
    metric = LPIPS(net=net, weights=str(stand_in))
    x, y = images(1), images(2)
    there, back = score(metric, x, y), score(metric, y, x)
    assert torch.isfinite(there).all()
    assert (there > 0).all()
    torch.testing.assert_close(there, back)
    assert score(metric, x, x).tolist() == [0, 0, 0]
    torch.testing.assert_close(score(metric, x[1:2], y[1:2]), there[1:2], rtol=1e-4, atol=1e-6)
    closer = score(metric, x, (x + 0.02 * y).clamp(0, 1))
    assert (closer < there).all()


def test_the_trunk_is_that_of_the_file(stand_in: Path) -> None:
    metric = LPIPS(net="squeeze", weights=str(stand_in))
    before = score(metric, images(1), images(2))
    module._load.cache_clear()
    torch.manual_seed(77)
    assert torch.equal(score(metric, images(1), images(2)), before)


def test_an_altered_file_is_refused(stand_in: Path, tmp_path: Path) -> None:
    name = module.TRUNKS["squeeze"]
    (tmp_path / name).write_bytes((stand_in / name).read_bytes() + b"\0")
    with pytest.raises(UserError, match="damaged or not the original"):
        LPIPS(net="squeeze", weights=str(tmp_path)).prepare()


@pytest.mark.parametrize("size", [8, 25, 28, 31, 32, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_takes_small_and_grey_images(channels: int, size: int, stand_in: Path) -> None:
    metric = LPIPS(net="alex", weights=str(stand_in))
    scores = score(metric, images(1, channels, size), images(2, channels, size))
    assert (scores > 0).all()


def test_loading_leaves_the_random_state_alone(stand_in: Path) -> None:
    before = torch.random.get_rng_state()
    LPIPS(net="squeeze", weights=str(stand_in)).prepare()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_weights_it_is_missing_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for _ in range(3):
        for net in ("vgg", "alex"):
            assert LPIPS(net=net)(batch(images(1)), batch(images(2)), MODEL, {}) is None
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert "vgg16-397923af.pth, alexnet-owt-7be5be79.pth" in line
    assert str(tmp_path / "hub" / "checkpoints") in line


def test_finds_weights_in_torch_home(stand_in: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home" / "hub"
    home.mkdir(parents=True)
    (home / "checkpoints").symlink_to(stand_in)
    monkeypatch.setenv("TORCH_HOME", str(home.parent))
    assert (score(LPIPS(net="squeeze"), images(1), images(2)) > 0).all()


def test_a_folder_that_is_not_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder of weights at .*nowhere"):
        LPIPS(weights=str(tmp_path / "nowhere")).prepare()


def test_a_file_of_another_network_is_refused(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.TRUNKS, "squeeze", module.TRUNKS["alex"])
    with pytest.raises(UserError, match="holds no weights of the squeeze trunk"):
        LPIPS(net="squeeze", weights=str(stand_in)).prepare()
