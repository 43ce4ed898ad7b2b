"""What an audit finds in updates of real images (CIFAR-10), for docs/audit.md: HARNESS_DATA=FOLDER pytest -m data -s.

The clients are those of Flower's quickstart: plain SGD with momentum .9 at lr .01, from torch's own initialisation.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.audit.attempts import _surrogate, attempts
from harness.audit.case import Case
from harness.audit.checks import check
from harness.audit.estimates import estimated
from harness.audit.exact import exact
from harness.audit.labels import GUESS, Labels, infer, share_right
from harness.audit.truth import input_errors, scored
from harness.config import compose
from harness.core import Batch
from tests.audit.clients import written
from tests.audit.test_exact import opened

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(3600)]

MEAN = STD = [0.5, 0.5, 0.5]


class Mlp(nn.Sequential):
    """Dense layers alone."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(3072, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
        )


class Net(nn.Sequential):
    """The network of Flower's quickstart."""

    def __init__(self) -> None:
        features = [
            nn.Conv2d(3, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        dense = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
        super().__init__(*features, nn.Flatten(), *dense)


@pytest.fixture(scope="module")
def photographs() -> tuple[Tensor, Tensor]:
    """5,000 test images of CIFAR-10 [n, 3, 32, 32] in [0, 1] and their classes."""
    if not os.environ.get("HARNESS_DATA"):
        pytest.skip("HARNESS_DATA is not set")
    setup = compose("dataset=tile_sheets_cifar10", "attack=labels")
    images = setup.dataset.load("test", Path(os.environ["HARNESS_DATA"]))
    pairs = [images[k] for k in range(5000)]
    return torch.stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])


def sent(
    path: Path,
    model: nn.Module,
    data: Batch,
    batch: int,
    lr: float = 0.01,
    momentum: float = 0.9,
    epochs: int = 1,
) -> Case:
    """The case of some epochs over the data."""
    before = {f"before/{name}": value.clone().numpy() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum)
    for rows in torch.arange(len(data)).split(batch) * epochs:
        optimizer.zero_grad()
        F.cross_entropy(model((data.x[rows] - 0.5) / 0.5), data.y[rows]).backward()
        optimizer.step()
    after = {f"after/{name}": value.numpy() for name, value in model.state_dict().items()}
    recipe: dict[str, Any] = {
        "model": f"tests.audit.test_figures:{type(model).__name__}",
        "input": [3, 32, 32],
        "normalization": {"mean": MEAN, "std": STD},
        "examples": len(data),
        "batch_size": batch,
        "epochs": epochs,
        "lr": lr,
        "momentum": momentum,
    }
    return opened(written(path, before | after, **recipe))


def drawn(photographs: tuple[Tensor, Tensor], count: int, seed: int) -> Batch:
    x, y = photographs
    rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))[:count]
    return Batch(x[rows], y[rows])


def right(labels: Labels, truth: Tensor) -> tuple[float, float]:
    """The share of labels by the rule that agrees most with the others, and by the balanced guess."""
    counts = torch.bincount(truth, minlength=10)
    guess = next(each.counts for each in labels.found if each.rule == GUESS)
    assert labels.best is not None
    assert labels.best.counts is not None
    assert guess is not None
    return share_right(labels.best.counts, counts), share_right(guess, counts)


@pytest.mark.parametrize("count", [1, 8])
def test_dense_network(count: int, photographs: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    worst, spent = [], []
    for seed in range(10):
        torch.manual_seed(seed)
        data = drawn(photographs, count, seed)
        case = sent(tmp_path / f"{seed}.npz", Mlp(), data, count)
        began = time.process_time()
        found = next(
            each for each in exact(case, 20) if each.name == ("single input" if count == 1 else "SPEAR")
        )
        spent.append(time.process_time() - began)
        assert found.inputs is not None
        assert len(found.inputs) == count, seed
        psnr = scored((found.inputs.unflatten(1, (3, 32, 32)) + 1) / 2, Batch(data.x.double(), data.y))[0]
        worst.append(min(value for value in psnr if value is not None))
    print(f"\nMLP, {count}: worst of ten {min(worst):.0f} dB, {max(spent):.2f} CPU-s at most")
    assert min(worst) > 100


@pytest.mark.parametrize(
    ("count", "lr", "steps", "least", "quality"),
    [(16, 0.01, 0, 1.0, 100), (16, 0.001, 0, 1.0, 90), (8, 0.01, 50, 1.0, 100), (8, 0.01, 500, 1.0, 100)],
    ids=["16 at .01", "16 at .001", "8 after 50 steps", "8 after 500 steps"],
)
def test_spear(
    count: int,
    lr: float,
    steps: int,
    least: float,
    quality: float,
    photographs: tuple[Tensor, Tensor],
    tmp_path: Path,
) -> None:
    """From differences of weights in float32, of networks that had some steps of training before."""
    certified, worst, spent = 0, 1000.0, 0.0
    for seed in range(6):
        torch.manual_seed(seed)
        model, past = Mlp(), drawn(photographs, 5000, 1000 + seed)
        for start in range(0, 16 * steps, 1600):
            rows = torch.arange(start, min(start + 1600, 16 * steps)) % 5000
            sent(tmp_path / "past.npz", model, Batch(past.x[rows], past.y[rows]), 16)
        data = drawn(photographs, count, seed)
        case = sent(tmp_path / "u.npz", model, data, count, lr, momentum=0.0)
        began = time.process_time()
        found = next(each for each in exact(case, 10) if each.name == "SPEAR")
        spent = max(spent, time.process_time() - began)
        if found.inputs is not None:
            certified += len(found.inputs)
            psnr = scored((found.inputs.unflatten(1, (3, 32, 32)) + 1) / 2, Batch(data.x.double(), data.y))[0]
            worst = min([worst, *(value for value in psnr if value is not None)])
    figures = f"{certified} of {6 * count}, {worst:.0f} dB, {spent:.1f} CPU-s"
    print(f"\nSPEAR, {count} images, lr {lr}, {steps} steps before: {figures}")
    assert certified >= least * 6 * count
    assert worst > quality


def test_sixteen_images_of_a_gradient(photographs: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    worst, spent = list[float](), list[float]()
    for seed in range(6):
        torch.manual_seed(seed)
        model, data = Mlp(), drawn(photographs, 16, seed)
        F.cross_entropy(model((data.x - 0.5) / 0.5), data.y).backward()
        arrays: dict[str, Any] = {}
        for name, value in model.named_parameters():
            assert value.grad is not None
            arrays |= {f"before/{name}": value.detach().numpy(), f"gradient/{name}": value.grad.numpy()}
        facts = {
            "model": "tests.audit.test_figures:Mlp",
            "input": [3, 32, 32],
            "batch_size": None,
            "lr": None,
        }
        case = opened(written(tmp_path / "u.npz", arrays, **facts, examples=16))
        began = time.process_time()
        found = next(each for each in exact(case, 10) if each.name == "SPEAR")
        spent.append(time.process_time() - began)
        assert found.inputs is not None
        assert len(found.inputs) == 16, seed
        psnr = scored((found.inputs.unflatten(1, (3, 32, 32)) + 1) / 2, Batch(data.x.double(), data.y))[0]
        worst += [value for value in psnr if value is not None]
    print(f"\nSPEAR, gradients of 16 images: {min(worst):.0f} dB at least, {max(spent):.1f} CPU-s at most")
    assert min(worst) > 100


def test_a_surrogate_of_several_steps(
    photographs: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SME on eight clients with four images, in batches of two, two epochs, beside a flat grey."""
    monkeypatch.setattr("harness.audit.attempts.SURROGATE_STEPS", 300)
    monkeypatch.setattr("harness.audit.attempts._searches", lambda case, counts: {"SME": _surrogate(counts)})
    ours, grey, spent = list[float](), list[float](), list[float]()
    for seed in range(8):
        torch.manual_seed(seed)
        data = drawn(photographs, 4, seed)
        case = sent(tmp_path / f"{seed}.npz", Net(), data, 2, epochs=2)
        began = time.process_time()
        (found,) = attempts(case, torch.bincount(data.y, minlength=10), 600)
        spent.append(time.process_time() - began)
        assert found.images is not None
        truth = Batch(data.x.double(), data.y)
        assert found.losses["found"] < min(loss for name, loss in found.losses.items() if name != "found")
        for images, into in ((found.images, ours), (torch.full((4, 3, 32, 32), 0.5), grey)):
            into += [value for value in scored(images, truth)[0] if value is not None]
    means = [sum(column[4 * k : 4 * k + 4]) / 4 for column in (ours, grey) for k in range(8)]
    print(f"\nSME, 8 clients: {means[:8]} dB in {max(spent):.0f} CPU-s; grey {means[8:]} dB")


def test_one_image_through_convolutions(photographs: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    errors, psnr = [], []
    for seed in range(4):
        torch.manual_seed(seed)
        data = drawn(photographs, 1, seed)
        case = sent(tmp_path / f"{seed}.npz", Net(), data, 1)
        single = next(each for each in exact(case, 5) if each.name == "single input")
        truth = Batch(data.x.double(), data.y)
        errors += input_errors(single, case.model, truth)
        (found,) = attempts(case, infer(case).best.counts, 60)  # type: ignore[union-attr]
        assert found.images is not None
        psnr += scored(found.images, truth)[0]
    print(f"\nNet, one image: features to {max(errors):.1e}; IG {psnr} dB in 60 s each")
    assert max(errors) < 1e-4


def test_a_short_search_for_one_image(
    photographs: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.audit.attempts.ITERATIONS", 1500)
    psnr, spent = [], []
    for seed in range(6):
        torch.manual_seed(seed)
        data = drawn(photographs, 1, seed)
        case = sent(tmp_path / f"{seed}.npz", Net(), data, 1)
        began = time.process_time()
        (found,) = attempts(case, infer(case).best.counts, 600)  # type: ignore[union-attr]
        spent.append(time.process_time() - began)
        assert found.images is not None
        psnr += scored(found.images, Batch(data.x.double(), data.y))[0]
    known = [value for value in psnr if value is not None]
    print(f"\nNet, one image, IG: {known} dB in {min(spent):.0f} to {max(spent):.0f} CPU-s")
    assert sum(known) / 6 > 14


def test_labels_of_an_epoch(photographs: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    shares = []
    for seed in range(10):
        torch.manual_seed(seed)
        data = drawn(photographs, 32, seed)
        shares.append(right(infer(sent(tmp_path / f"{seed}.npz", Net(), data, 8)), data.y))
    ours, guess = (sum(column) / 10 for column in zip(*shares, strict=True))
    print(f"\nNet, 32 in batches of 8: labels {ours:.3f} right, balanced guess {guess:.3f}, ten seeds")
    assert ours >= 0.9


def test_many_steps_tell_nothing(photographs: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = drawn(photographs, 4000, 0)
    case = sent(tmp_path / "u.npz", Net(), data, 32, lr=0.1)
    began = time.process_time()
    labels = infer(case)
    *_, found = attempts(case, None, 60)
    spent = time.process_time() - began
    print(f"\nNet, 125 steps: {labels.verdict}; {found.reason}; {spent:.1f} CPU-s; {right(labels, data.y)}")
    assert labels.verdict.startswith("nothing beyond guessing after 125 local steps")
    assert found.status == "not applicable"
    assert spent < 120


@pytest.mark.parametrize(("count", "batch"), [(1, 1), (4, 4), (8, 8), (8, 2)])
@pytest.mark.parametrize(("network", "steps"), [(Mlp, 0), (Net, 0), (Mlp, 100), (Net, 100)])
def test_a_learning_rate_that_is_left_out(
    network: type[nn.Module],
    steps: int,
    count: int,
    batch: int,
    photographs: tuple[Tensor, Tensor],
    tmp_path: Path,
) -> None:
    """How far the estimate is off, of six clients each."""
    errors, untold = list[float](), 0
    for seed in range(6):
        torch.manual_seed(seed)
        model, lr = network(), [0.1, 0.01, 0.001][seed % 3]
        if steps:
            sent(tmp_path / "past.npz", model, drawn(photographs, 16 * steps, 1000 + seed), 16)
        case = sent(tmp_path / "u.npz", model, drawn(photographs, count, seed), batch, lr)
        solved = exact(case, 5)
        unsaid = replace(case, recipe=replace(case.recipe, lr=None), observation=None)
        found = estimated(unsaid, solved).recipe.lr
        untold += found is None
        errors += [] if found is None else [abs(found / lr - 1)]
    mean = sum(errors) / max(len(errors), 1)
    figures = f"{mean:.1e} off in the mean, {max(errors, default=0):.1e} at most, {untold} untold"
    print(f"\n{network.__name__} after {steps} steps, {count} images by {batch}, no lr: {figures}")
    assert mean < (1e-2 if count == 1 else 0.5)


def test_healthy_updates_raise_no_alarm_and_certificates_are_right(
    photographs: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    """200 honest clients: two networks, 1 to 256 images, lr .001 to .1, with momentum and without, some trained."""
    alarms: list[tuple[int, str, float | None]] = []
    false = certified = 0
    for seed in range(200):
        rng = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        model = Mlp() if seed % 2 else Net()
        count = [1, 2, 4, 8, 12, 32, 64, 256][seed // 2 % 8]
        lr = [0.001, 0.01, 0.1][int(torch.randint(3, (1,), generator=rng))]
        momentum = [0.0, 0.9][int(torch.randint(2, (1,), generator=rng))]
        batch = count if count < 32 else [8, 32][int(torch.randint(2, (1,), generator=rng))]
        if seed % 3 == 0:
            sent(tmp_path / "past.npz", model, drawn(photographs, 1600, 1000 + seed), 16)
        data = drawn(photographs, count, seed)
        case = sent(tmp_path / "u.npz", model, data, batch, lr, momentum)
        alarms += [(seed, each.name, each.value) for each in check(case) if each.verdict == "alarm"]
        for each in exact(case, 1):
            if each.inputs is None:
                continue
            errors = input_errors(each, case.model, Batch(data.x.double(), data.y))
            certified += len(errors)
            false += sum(error > 1e-2 for error in errors)
    print(f"\n200 updates: alarms {alarms}; {certified} inputs certified, {false} falsely")
    assert len(alarms) <= 2
    assert false == 0
