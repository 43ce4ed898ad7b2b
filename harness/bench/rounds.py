"""A federated round: ours, and the plain way, in which a client after the other trains a copy of the model."""

import copy
from multiprocessing import get_context
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from harness.bench.report import BenchResult
from harness.bench.timing import interleaved
from harness.core import Classifier, Model, Normalize, Params, generator
from harness.datasets.splits import Pool, Subset
from harness.defenses.none import NoDefense
from harness.federated.fedavg import FedAvg
from harness.machine.memory import reuse_freed_memory
from harness.models.cnn import CNN
from harness.models.mlp import MLP
from harness.simulation.population import Population
from harness.simulation.schedule import Schedule
from harness.simulation.simulation import Simulation

CLIENTS, BATCH, SHAPE, CLASSES = 10, 10, (3, 32, 32), 10


class RoundTimes(NamedTuple):
    """CPU seconds of a round: the plain way, the same where memory is reused as ours is, and ours; and how far apart
    the two global models are after it."""

    plain: float
    tuned: float
    ours: float
    apart: float


def mlp(repeats: int) -> list[BenchResult]:
    """Clients of 50 images, as CIFAR-10 has them for 1,000 clients, and of 400, as for 100."""
    return [_measure("rounds_mlp", MLP(), {50: repeats, 400: min(repeats, 3)})]


def cnn(repeats: int) -> list[BenchResult]:
    """Clients of 50 images."""
    return [_measure("rounds_cnn", CNN(), {50: min(repeats, 5)})]


def _measure(name: str, model: Model, repeats: dict[int, int]) -> BenchResult:
    reuse_freed_memory()
    details: dict[str, float | str] = {"clients": CLIENTS, "batch size": BATCH, "local epochs": 1}
    ratios = []
    for held, times in repeats.items():
        found = _compare(model, held, times, torch.float32)
        ratios.append(found.plain / found.ours)
        details |= {
            f"rounds per CPU s, {held} images each, plain": 1 / found.plain,
            f"rounds per CPU s, {held} images each, plain with our allocator": 1 / found.tuned,
            f"rounds per CPU s, {held} images each, ours": 1 / found.ours,
            f"ratio, {held} images each": ratios[-1],
            f"largest difference of a weight after the round, {held} images each": f"{found.apart:.1e}",
        }
    apart = _compare(model, 2 * BATCH, 1, torch.float64).apart
    details["largest difference of a weight, float64, 20 images each"] = f"{apart:.1e}"
    details["why float32 may differ by more"] = (
        "a ReLU or a maximum within rounding of a tie goes the other way"
    )
    return BenchResult(name, ratios[0], details)


def _compare(model: Model, held: int, times: int, dtype: torch.dtype) -> RoundTimes:
    """A round either way, in turn; and, beside them, the plain way in a process of its own, whose memory is glibc's."""
    ours, theirs = _simulation(model, held, dtype), _simulation(model, held, dtype)
    start = {name: value.clone() for name, value in ours.weights.items()}
    sides = {"plain": lambda: _round(theirs, start), "ours": lambda: _ours(ours, start)}
    with get_context("spawn").Pool(1) as elsewhere:
        plain = elsewhere.apply_async(_plain, (model, held, times, dtype))
        spent = interleaved(sides, times)
        apart = max(float((ours.weights[name] - theirs.weights[name]).abs().max()) for name in start)
        return RoundTimes(plain.get(), spent["plain"], spent["ours"], apart)


def _plain(model: Model, held: int, times: int, dtype: torch.dtype) -> float:
    """CPU seconds of a round the plain way."""
    torch.set_num_threads(1)
    simulation = _simulation(model, held, dtype)
    start = {name: value.clone() for name, value in simulation.weights.items()}
    return interleaved({"plain": lambda: _round(simulation, start)}, times)["plain"]


def _simulation(model: Model, held: int, dtype: torch.dtype) -> Simulation:
    count = CLIENTS * held * 5 // 4  # a fifth is for testing
    rng = generator("bench rounds", held)
    pixels = torch.randint(256, (count, *SHAPE), generator=rng, dtype=torch.uint8)
    if dtype != torch.float32:
        pixels = (pixels.float() / 255).to(dtype)
    pool = Pool(pixels, torch.randint(CLASSES, (count,), generator=rng))
    protocol = FedAvg(clients=CLIENTS, batch_size=BATCH, lr=0.1, weight_decay=1e-5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = model.network(SHAPE, CLASSES)
    classifier = Classifier(Normalize((0.5,) * 3, (0.5,) * 3), network).to(dtype)
    population = Population(Subset(pool, list(range(count))), protocol.partition, CLIENTS, 0)
    schedule = Schedule(protocol, population.holders, 0)
    return Simulation(classifier.eval().requires_grad_(False), population, schedule, NoDefense(), 0)


def _load(simulation: Simulation, weights: Params) -> None:
    for name, value in simulation.weights.items():
        value.copy_(weights[name])


def _ours(simulation: Simulation, start: Params) -> None:
    _load(simulation, start)
    simulation.training_step(1, 0)


def _round(simulation: Simulation, start: Params) -> None:
    """The plain way: copy the model, load the images one by one, step all parameters, average the copies."""
    _load(simulation, start)
    population, total = simulation.population, 0
    mean: dict[str, Tensor] = {}
    for client in simulation.schedule.answering(1):
        trained = _client(simulation, client)
        examples = population.examples(client)
        total += examples
        for name, value in trained.state_dict().items():
            mean[name] = mean.get(name, torch.zeros_like(value)) + examples * value
    simulation.model.load_state_dict({name: value / total for name, value in mean.items()})


def _client(simulation: Simulation, client: int) -> nn.Module:
    population = simulation.population
    rng = generator("client", simulation.seed, 1, client)
    protocol = simulation.schedule.in_force(1, population.examples(client))
    order = [step.tolist() for step in protocol.order(rng)]
    assert isinstance(population.images, Subset)
    held = Subset(population.images.pool, population.indices(client))
    network = copy.deepcopy(simulation.model).train().requires_grad_(True)
    weight = next(network.parameters())
    optimizer = torch.optim.SGD(network.parameters(), lr=protocol.lr, weight_decay=protocol.weight_decay)
    for images, labels in DataLoader(held, batch_sampler=order):
        optimizer.zero_grad()
        F.cross_entropy(network(images.to(weight)), labels).backward()
        optimizer.step()
    return network
