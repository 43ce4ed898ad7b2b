"""What clients send, and how a server averages it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from harness.core import Params, generator
from harness.datasets.splits import Pool, Subset
from harness.defenses.none import NoDefense
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.simulation.population import Population
from harness.simulation.schedule import Schedule
from harness.simulation.simulation import Simulation
from tests.fidelity.conftest import Fidelity
from tests.fidelity.federated.plain import images, network, parameters, train, trainable

MODES = ["eval", "train"]
SGD = "theta_0 - theta_T of a loop of torch.optim.SGD over the client's minibatches"


@pytest.mark.parametrize("mode", MODES)
def test_fedsgd_sends_one_gradient(mode: Any, fidelity: Fidelity) -> None:
    model, batch = network(), images(6, 1)
    plain = trainable(model).train(mode != "eval")
    F.cross_entropy(plain(batch.x), batch.y).backward()
    expected = {name: value.grad for name, value in plain.named_parameters()}
    fidelity(
        "fl",
        "fedsgd",
        f"gradient of the mean cross-entropy, batch normalisation in {mode} mode (McMahan et al. 2017, section 2)",
        FedSGD(batch_size=6, normalization=mode).update(model, parameters(model), batch),
        expected,
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("plain", {}),
        ("momentum .9", {"momentum": 0.9}),
        ("weight decay .01", {"weight_decay": 0.01}),
        ("momentum .5, weight decay .01", {"momentum": 0.5, "weight_decay": 0.01}),
    ],
)
def test_fedavg_sends_what_sgd_moves(
    said: str, settings: dict[str, float], mode: Any, fidelity: Fidelity
) -> None:
    model, batch = network(), images(7, 2)
    protocol = FedAvg(
        examples_per_client=7, batch_size=3, local_epochs=2, lr=0.2, normalization=mode, **settings
    )
    order = protocol.order(generator("order"))
    plain = trainable(model)
    train(plain, torch.optim.SGD(plain.parameters(), lr=0.2, **settings), batch, order, mode)
    before, after = parameters(model), parameters(plain)
    fidelity(
        "fl",
        "fedavg",
        f"{SGD}: {said}, {mode} mode (McMahan et al. 2017, algorithm 1)",
        protocol.update(model, before, batch, order),
        {name: before[name] - after[name] for name in before},
    )


def federation(**settings: Any) -> Simulation:
    """Three clients of different sizes."""
    held = images(37, 3)
    protocol = FedAvg(**{"clients": 3, "batch_size": 5, "lr": 0.2, "normalization": "train"} | settings)
    population = Population(Subset(Pool(held.x, held.y), list(range(37))), protocol.partition, 3, 0)
    return Simulation(network(), population, Schedule(protocol, population.holders, 0), NoDefense(), 0)


def rounds(one: Simulation, count: int, kept: bool, momentum: float) -> Params:
    """Weights and buffers after some rounds, by one copy of the network and one optimiser for each client."""
    state = {name: value.clone() for name, value in one.model.state_dict().items()}
    clients = [trainable(one.model) for _ in range(3)]
    settings = {"lr": 0.2, "momentum": momentum, "weight_decay": 0.01}
    descents = [torch.optim.SGD(client.parameters(), **settings) for client in clients]
    for number in range(1, count + 1):
        sent = []
        for client, plain in enumerate(clients):
            plain.load_state_dict(state)
            if not kept:
                descents[client] = torch.optim.SGD(plain.parameters(), **settings)
            descents[client].param_groups[0]["lr"] = 0.2 * 0.9 ** (number - 1)
            held = one.population.batch(one.population.train[client], torch.device("cpu"))
            order = one.schedule.in_force(number, len(held)).order(generator("client", 0, number, client))
            train(plain, descents[client], held, order, "train")
            sent.append((len(held), {name: value.clone() for name, value in plain.state_dict().items()}))
        total = sum(count for count, _ in sent)
        for name, value in state.items():
            if value.is_floating_point():
                state[name] = sum((n / total * one[name] for n, one in sent), torch.zeros_like(value))
    return {name: value for name, value in state.items() if value.is_floating_point()}


@pytest.mark.parametrize("kept", [False, True])
def test_a_server_weighs_clients_by_their_images(kept: bool, tmp_path: Path, fidelity: Fidelity) -> None:
    one = federation(momentum=0.5, weight_decay=0.01, lr_decay=0.9, keep_momentum=kept)
    assert len({len(rows) for rows in one.population.train}) > 1
    expected = rounds(one, 3, kept, 0.5)
    one.simulate(3, [], tmp_path / "none.ckpt", torch.device("cpu"))
    found = {name: value for name, value in one.model.state_dict().items() if value.is_floating_point()}
    momentum = "kept by each client, as the code of Zhu et al. 2024 has it" if kept else "begun anew"
    fidelity(
        "fl",
        "fedavg",
        "global model and statistics after 3 rounds: sum of n_k / n w_k over clients of different sizes, lr times .9 a "
        f"round, momentum {momentum} (McMahan et al. 2017, algorithm 1)",
        found,
        expected,
    )


@pytest.mark.parametrize("scaling", ["raw", "per_step", "per_lr"])
def test_the_mean_gradient_undoes_momentum_and_scaling(scaling: Any, fidelity: Fidelity) -> None:
    """Of a loss whose gradient stays the same: g of every step, though each step's is carried on to the later ones."""
    slope = {"w": torch.tensor([0.3, -2.0], dtype=torch.float64)}
    weight = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.SGD([weight], lr=0.05, momentum=0.8)
    for _ in range(6):
        weight.grad = slope["w"].clone()
        descent.step()
    divisor = {"raw": 1.0, "per_step": 6.0, "per_lr": 0.05}[scaling]
    protocol = FedAvg(batch_size=2, local_epochs=3, lr=0.05, momentum=0.8, scaling=scaling)
    update = {"w": -weight.detach() / divisor}
    fidelity(
        "fl",
        "fedavg",
        f"mean gradient behind an update that was sent {scaling}, from torch.optim.SGD with momentum on one slope",
        protocol.mean_gradient(update, 4),
        slope,
    )
    fidelity(
        "fl",
        "fedavg",
        f"weights after the last local step, from an update that was sent {scaling}",
        protocol.trained_params({"w": torch.zeros(2, dtype=torch.float64)}, update, 4),
        {"w": weight.detach()},
    )
