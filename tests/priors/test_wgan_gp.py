"""Trained priors: determinism, the cache, interrupted training."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from harness.core import Dataset, UserError
from harness.priors import training, wgan_gp
from harness.priors.networks import ConvolutionalGenerator
from harness.priors.wgan_gp import WGANGP, public_images
from tests.priors.stripes import Stripes, prior


def weights(generator: torch.nn.Module) -> Tensor:
    return torch.cat([tensor.double().flatten() for tensor in generator.state_dict().values()])


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the prior was trained again")

    monkeypatch.setattr(training, "train", refuse)


def test_generator_contract(tmp_path: Path) -> None:
    generator = prior().generator(Stripes(), None, str(tmp_path), 0)
    z, y = torch.randn(5, generator.latent), torch.zeros(5, dtype=torch.int64)
    before = weights(generator)
    images = generator(z, y)
    assert images.shape == (5, 1, 8, 8)
    assert 0 <= images.min() < images.max() <= 1
    assert torch.equal(images, generator(z, y))
    assert torch.allclose(images[:2], generator(z[:2], y[:2]), atol=1e-6), (
        "an image depends on its neighbours"
    )
    assert torch.equal(before, weights(generator))
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_same_seed_same_generator_whatever_the_global_state(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = prior().generator(Stripes(), None, str(tmp_path / "a"), 0)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    two = prior().generator(Stripes(), None, str(tmp_path / "b"), 0)
    assert torch.equal(weights(one), weights(two))
    assert torch.equal(state, torch.get_rng_state()), "training drew from the global generator"


@pytest.mark.usefixtures("no_training")
def test_no_training_fixture_can_fail(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        prior().generator(Stripes(), None, str(tmp_path), 0)


def test_cache_hit_does_not_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = prior().generator(Stripes(), None, str(tmp_path), 0)
    monkeypatch.delattr(training, "train")
    assert torch.equal(weights(trained), weights(prior().generator(Stripes(), None, str(tmp_path), 0)))


def test_every_part_of_the_identity_has_its_own_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry(prior: WGANGP, dataset: Dataset, seed: int = 0) -> Path:
        return prior._entry(dataset, public_images(dataset, None), str(tmp_path), seed).folder

    entries = [
        entry(prior(), Stripes()),
        entry(prior(lr=2e-4), Stripes()),
        entry(prior(steps=4), Stripes()),
        entry(prior(withheld=0), Stripes()),
        entry(prior(), Stripes(shift=1)),
        entry(prior(), Stripes(), seed=1),
    ]
    monkeypatch.setattr(WGANGP, "version", 2)
    entries.append(entry(prior(), Stripes()))
    assert len(set(entries)) == len(entries)
    assert entry(prior(), Stripes()) == entries[-1]


def test_changed_pixels_train_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prior().generator(Stripes(), None, str(tmp_path), 0)
    inverted = TensorDataset(1 - Stripes().load("public", None).tensors[0], torch.zeros(21))  # type: ignore[attr-defined]
    monkeypatch.setattr(Stripes, "load", lambda self, split, root: inverted)
    prior().generator(Stripes(), None, str(tmp_path), 0)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["generator.safetensors", "generator.safetensors.sha256"])
def test_damaged_weights_are_refused(tmp_path: Path, name: str) -> None:
    prior().generator(Stripes(), None, str(tmp_path), 0)
    (file,) = tmp_path.glob(f"*/{name}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"generator\.safetensors is damaged.*delete it"):
        prior().generator(Stripes(), None, str(tmp_path), 0)


def test_weights_without_checksum_are_refused_and_can_be_made_again(tmp_path: Path) -> None:
    first = prior().generator(Stripes(), None, str(tmp_path), 0)
    (folder,) = tmp_path.iterdir()
    (folder / "generator.safetensors.sha256").unlink()
    with pytest.raises(UserError, match="delete it"):
        prior().generator(Stripes(), None, str(tmp_path), 0)
    (folder / "generator.safetensors").unlink()
    assert torch.equal(weights(first), weights(prior().generator(Stripes(), None, str(tmp_path), 0)))


@pytest.mark.parametrize("fatal", [0, 3, 4, 6])
def test_interrupted_training_goes_on_to_the_same_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fatal: int
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    whole = prior(steps=7).generator(Stripes(), None, str(tmp_path / "whole"), 0)
    draw = training.Draws.__getitem__
    drawn: list[int] = []

    def break_off(self: training.Draws, step: int) -> training.Draw:
        if step == fatal:
            raise MemoryError
        return draw(self, step)

    def record(self: training.Draws, step: int) -> training.Draw:
        drawn.append(step)
        return draw(self, step)

    monkeypatch.setattr(training.Draws, "__getitem__", break_off)
    with pytest.raises(MemoryError):
        prior(steps=7).generator(Stripes(), None, str(tmp_path / "parts"), 0)
    monkeypatch.setattr(training.Draws, "__getitem__", record)
    capsys.readouterr()
    parts = prior(steps=7).generator(Stripes(), None, str(tmp_path / "parts"), 0)
    assert drawn == list(range(fatal // 2 * 2, 7))
    assert (f"going on from step {fatal // 2 * 2} of 7" in capsys.readouterr().err) == (fatal >= 2)
    assert torch.equal(weights(whole), weights(parts))
    assert not list(tmp_path.glob("parts/*/training.ckpt"))


def test_killed_between_the_last_step_and_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prior().generator(Stripes(), None, str(tmp_path / "whole"), 0)
    with monkeypatch.context() as broken:
        broken.delattr(wgan_gp, "estimate_statistics")
        with pytest.raises(NameError):
            prior().generator(Stripes(), None, str(tmp_path / "parts"), 0)
    monkeypatch.delattr(training.Adversaries, "critic_loss")
    assert torch.equal(
        weights(whole), weights(prior().generator(Stripes(), None, str(tmp_path / "parts"), 0))
    )


KILLED = """
import os, signal, sys
from tests.priors.test_wgan_gp import Stripes, prior, training
training.CHECKPOINT_EVERY = 2
draw = training.Draws.__getitem__
def killed(self, step):
    if step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(self, step)
training.Draws.__getitem__ = killed
prior(steps=7).generator(Stripes(), None, sys.argv[1], 0)
"""


def test_killed_process_leaves_neither_lock_nor_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parents[2])
    run = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(run, env={**os.environ, "PYTHONPATH": root}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    (folder,) = tmp_path.iterdir()
    assert (folder / "training.ckpt").exists()
    seen: list[int] = []
    draw = training.Draws.__getitem__
    monkeypatch.setattr(training.Draws, "__getitem__", lambda self, k: (seen.append(k), draw(self, k))[1])
    parts = prior(steps=7).generator(Stripes(), None, str(tmp_path), 0)
    assert seen == [4, 5, 6]
    assert list(tmp_path.iterdir()) == [folder], "another process names the entry otherwise"
    whole = prior(steps=7).generator(Stripes(), None, str(tmp_path / "whole"), 0)
    assert torch.equal(weights(parts), weights(whole))


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    entry = prior()._entry(Stripes(), public_images(Stripes(), None), str(tmp_path), 0)
    entry.checkpoint.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(UserError, match=r"training\.ckpt is damaged: delete it"):
        prior().generator(Stripes(), None, str(tmp_path), 0)


def test_one_trains_and_the_other_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = prior()._entry(Stripes(), public_images(Stripes(), None), str(tmp_path), 0)
    found: list[Tensor] = []

    def want() -> None:
        found.append(weights(prior().generator(Stripes(), None, str(tmp_path), 0)))

    other = threading.Thread(target=want)
    with entry.lock():
        other.start()
        other.join(0.3)
        assert not found
        network = ConvolutionalGenerator((1, 8, 8), 4, 8, 2)
        entry.save(network)
    other.join(30)
    assert "waiting" in capsys.readouterr().err
    assert torch.equal(found[0], weights(network)), "the second one trained although the first had finished"


def test_divergence_is_an_error_and_leaves_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="diverged"):
        prior(lr=1e30, steps=4).generator(Stripes(), None, str(tmp_path), 0)
    assert not list(tmp_path.glob("*/generator.safetensors"))


def test_cache_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write the cache"):
        prior().generator(Stripes(), None, str(tmp_path / "file"), 0)


def test_identity_can_be_read_by_people(tmp_path: Path) -> None:
    prior().generator(Stripes(shift=1), None, str(tmp_path), 7)
    (file,) = tmp_path.glob("*/identity.json")
    identity = json.loads(file.read_text())
    assert identity["seed"] == 7
    assert identity["prior"]["settings"]["steps"] == 3
    assert identity["dataset"]["settings"]["shift"] == 1
    assert "lr" not in identity["prior"]["settings"], "a setting at its default is no part of the identity"
    assert file.with_name("samples.png").stat().st_size > 0


def test_a_pass_over_the_images_uses_each_once() -> None:
    images = torch.arange(21, dtype=torch.uint8).view(21, 1, 1, 1)
    draws = training.Draws(prior(batch_size=7, critic_steps=3), images, 0)
    passes = [((draws[step][1] + 1) * 127.5).round().int().flatten().tolist() for step in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(21))
    assert passes[0] != passes[1]


def test_critic_loss_is_that_of_the_paper() -> None:
    """For a linear critic w.x + b the penalty is lambda * (||w|| - 1)^2 whatever the images."""
    torch.manual_seed(0)
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1)).double()
    module = training.Adversaries(prior(penalty=10), ConvolutionalGenerator((1, 8, 8), 4, 8, 2), None, linear)
    real, fake = torch.rand(2, 6, 1, 8, 8, dtype=torch.float64)
    loss = module.critic_loss(real, fake, torch.rand(6, 1, 1, 1, dtype=torch.float64))
    expected = linear(fake).mean() - linear(real).mean() + 10 * (linear[1].weight.norm() - 1) ** 2
    assert torch.allclose(loss, expected)


def test_training_brings_the_samples_closer_to_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples of a few hundred steps have the data's mean image; the first weights' do not."""

    def error(generator: torch.nn.Module) -> float:
        z = torch.randn(256, generator.latent, generator=torch.Generator().manual_seed(0))
        return float((generator(z).detach().mean(0) - images.mean(0)).square().mean())

    half = torch.cat([torch.zeros(21, 1, 8, 4), torch.ones(21, 1, 8, 4)], 3)
    images = (half + 0.1 * Stripes().load("public", None).tensors[0]).clamp(0, 1)  # type: ignore[attr-defined]
    monkeypatch.setattr(Stripes, "load", lambda self, split, root: TensorDataset(images, torch.zeros(21)))
    errors = [
        error(prior(steps=steps, lr=3e-3, ema=0.9).generator(Stripes(), None, str(tmp_path), 0))
        for steps in (1, 150)
    ]
    assert errors[1] < 0.2 * errors[0]
