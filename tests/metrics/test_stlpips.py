"""ST-LPIPS: by its own package where that is installed, and said in a line where it is not."""

import builtins
import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

from harness.core import Batch, Classifier, Normalize, UserError
from harness.metrics import stlpips as module
from harness.metrics.stlpips import STLPIPS

MODEL = Classifier(Normalize((0.0,), (1.0,)), nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
INSTALLED = importlib.util.find_spec("stlpips_pytorch") is not None


def images(seed: int, *shape: int) -> Batch:
    return Batch(torch.rand(shape, generator=torch.Generator().manual_seed(seed)), torch.zeros(shape[0]))


@pytest.mark.skipif(not INSTALLED, reason="needs the extra [stlpips]")
@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 16, 16)], ids=str)
def test_a_distance_grows_from_zero(shape: tuple[int, ...]) -> None:
    metric, truth = STLPIPS(), images(1, *shape)
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    metric.prepare()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert metric(truth, truth, MODEL, {}).tolist() == [0, 0]
    near, far = (
        metric(Batch(truth.x.lerp(images(2, *shape).x, weight), truth.y), truth, MODEL, {})
        for weight in (0.1, 0.9)
    )
    assert torch.all(near > 0)
    assert torch.all(far > near)


@pytest.mark.skipif(not INSTALLED, reason="needs the extra [stlpips]")
def test_every_weight_comes_from_the_package() -> None:
    """It loads its own file without saying what it lacks."""
    from pathlib import Path

    import stlpips_pytorch

    folder = Path(stlpips_pytorch.__file__).parent / "weights" / "vST0.0"
    stored = torch.load(folder / "alex_shift_tolerant.pth", map_location="cpu", weights_only=True)
    network = module._load("alex")
    assert {name for name, _ in network.named_parameters()} <= set(stored)
    assert all(torch.equal(value, stored[name]) for name, value in network.named_parameters())


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("stlpips_pytorch"):
            raise ImportError(f"No module named '{name}'")
        return known(name, *arguments, **named)

    module._load.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'harness\[stlpips\]'"):
        STLPIPS().prepare()
