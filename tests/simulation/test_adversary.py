"""An adversary among the clients: asked in every round, checkpointed with the simulation, and gone on with."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.attacks.dmgan import GenerativeAdversary, GenerativeState
from harness.core import Params, generator
from harness.defenses.clipping import Clipping
from harness.defenses.dpsgd import DPSGD
from harness.models.mlp import MLP
from harness.models.resnet import ResNet
from harness.simulation.checkpoint import SimulationCheckpoint, finished_rounds
from harness.simulation.simulation import Simulation
from tests.simulation.test_simulation import CPU, equal, rounds, simulation

SETTINGS: dict[str, Any] = {"client": 1, "steps": 3, "batch_size": 4, "latent": 5, "base": 8, "fakes": 2}


def attacked(model: Any = None, defense: Any = None, fl: Any = None, **settings: Any) -> Simulation:
    honest = simulation(model or MLP(hidden=4, extra_outputs=1), defense, **(fl or {"lr": 0.5}))
    adversary = GenerativeAdversary(**SETTINGS | settings)
    return Simulation(honest.model, honest.population, honest.schedule, honest.defense, 0, adversary)


def state(one: Simulation) -> Params:
    """All numbers that the adversary keeps."""
    kept = one.adversary_state
    assert isinstance(kept, GenerativeState)
    moments = kept.optimizer.state_dict()["state"]
    return dict(kept.generator.state_dict()) | {
        f"{place}.{name}": value for place, each in moments.items() for name, value in each.items()
    }


@pytest.mark.parametrize("defense", [None, Clipping(bound=0.1)])
def test_without_steps_a_round_is_an_honest_one(defense: Any, tmp_path: Path) -> None:
    fl = {"momentum": 0.5, "keep_momentum": True}
    network = ResNet(width=2, blocks=1, extra_outputs=1)
    before = state(idle := attacked(network, defense, fl, steps=0))
    before = {name: value.clone() for name, value in before.items()}
    honest = simulation(network, defense, **fl)
    assert equal(rounds(honest, 3, tmp_path), rounds(idle, 3, tmp_path))
    assert equal(before, state(idle))
    for client, momentum in honest.momentum.items():
        assert equal(momentum, idle.momentum[client])


def test_it_bides_its_time_and_then_acts_in_every_round(tmp_path: Path) -> None:
    one = attacked(ResNet(width=2, blocks=1, extra_outputs=1), first_round=2)
    honest = simulation(ResNet(width=2, blocks=1, extra_outputs=1), lr=0.5)
    begun = {name: value.clone() for name, value in state(one).items()}
    assert equal(rounds(one, 1, tmp_path), rounds(honest, 1, tmp_path))
    assert equal(begun, state(one))
    assert not equal(rounds(one, 2, tmp_path), rounds(honest, 2, tmp_path))
    second = {name: value.clone() for name, value in state(one).items()}
    rounds(one, 3, tmp_path)
    assert not equal(begun, second)
    assert not equal(second, state(one))


def test_it_does_not_act_in_a_round_that_it_does_not_answer(tmp_path: Path) -> None:
    one = attacked(fl={"dropout": 0.5})
    silent = next(number for number in range(1, 9) if 1 not in one.schedule.answering(number))
    rounds(one, silent - 1, tmp_path)
    before = {name: value.clone() for name, value in state(one).items()}
    rounds(one, silent, tmp_path)
    assert equal(before, state(one))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_it_goes_on_from_a_checkpoint_to_the_same_weights_and_pictures(
    optimizer: str, tmp_path: Path
) -> None:
    whole, checkpoint = attacked(optimizer=optimizer), tmp_path / "some.ckpt"
    weights = rounds(whole, 4, tmp_path)
    attacked(optimizer=optimizer).simulate(2, [SimulationCheckpoint(checkpoint, 0)], checkpoint, CPU)
    rest = attacked(optimizer=optimizer)
    rest.simulate(4, [], checkpoint, CPU)
    assert equal(weights, rest.weights | rest.buffers_of_model)
    assert state(whole).keys() == state(rest).keys()
    assert equal(state(whole), state(rest))


KILLED = """
import os, signal, sys
from pathlib import Path
from harness.machine import vision
import pytorch_lightning as pl
import torch
from tests.simulation.test_adversary import CPU, SimulationCheckpoint, attacked

class Kill(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch == 3:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
path = Path(sys.argv[1])
attacked(optimizer="adam").simulate(4, [SimulationCheckpoint(path, 0), Kill()], path, CPU)
"""


def test_a_killed_process_loses_nothing_of_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "some.ckpt"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(checkpoint)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert finished_rounds(checkpoint) == 2
    rest, whole = attacked(optimizer="adam"), attacked(optimizer="adam")
    rest.simulate(4, [], checkpoint, CPU)
    assert equal(rest.weights, rounds(whole, 4, tmp_path))
    assert equal(state(whole), state(rest))


def test_what_it_sends_is_averaged_by_the_images_that_it_holds(tmp_path: Path) -> None:
    one, other = attacked(fl={"clients": 2, "lr": 0.5}), attacked(fl={"clients": 2, "lr": 0.5})
    before = {name: value.clone() for name, value in one.weights.items()}
    sent = dict(other.reports(1, [0, 1]))
    after = rounds(one, 1, tmp_path)
    for name, value in before.items():
        mean = (sent[0].defended[name] + sent[1].defended[name]) / 2
        torch.testing.assert_close(value - after[name], mean, rtol=1e-4, atol=1e-6)
    assert len(sent[1].batch) == len(sent[1].truth) + 2


def test_a_private_client_beside_it_is_private_and_it_is_not() -> None:
    plain, private = attacked(), attacked(defense=DPSGD(bound=1e-3, noise=0))
    (_, theirs), (_, mine) = private.reports(1, [0, 1])
    (_, before), (_, own) = plain.reports(1, [0, 1])
    assert equal(mine.defended, own.defended)
    assert not equal(theirs.defended, before.defended)


def test_nobody_elses_model_is_altered_by_what_it_does() -> None:
    one = attacked()
    before = {name: value.clone() for name, value in one.weights.items()}
    held = one.population.batch(one.population.train[1], CPU)
    assert one.adversary is not None
    assert one.adversary_state is not None
    begun, batch = one.adversary.act(one.adversary_state, one.model, held, 1, generator("act"))
    assert equal(before, one.weights)
    assert not equal(before, begun)
    assert (batch.y[-2:] == 10).all()
    assert all(not parameter.requires_grad for parameter in one.model.parameters())
