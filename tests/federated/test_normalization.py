"""One client: what an attacker simulates on the true batch is what the client sent, whatever normalises the batch."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.attacks.matching import trial_update
from harness.config.composition import compose
from harness.core import (
    Batch,
    Classifier,
    Knowledge,
    Normalize,
    Observation,
    Params,
    Protocol,
    UserError,
    generator,
)
from harness.core.normalization import batch_norms, normalized
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.runs.clients import open_targets
from harness.runs.rounds import Rounds
from harness.simulation.training import LocalTraining
from tests.conftest import CLASSES, SHAPE

CONF = Path(__file__).parents[2] / "conf"
NARROW = {
    "resnet18": ["model.width=4", "model.blocks=1"],
    "resnet34": ["model.width=4", "model.blocks=1"],
    "resnet50": ["model.width=4", "model.blocks=1"],
    "resnet101": ["model.width=4", "model.blocks=1"],
    "imprint_resnet18": ["model.base.width=4", "model.base.blocks=1", "model.bins=5"],
    "imprint_cnn": ["model.bins=5"],
    "imprint_mlp": ["model.bins=5", "model.base.hidden=4"],
    "convnet64": ["model.width=2"],
    "mlp": ["model.hidden=8"],
}
WIDE = {"vgg16": 32, "resnet18_imagenet": 64}
"""Networks that can't be narrowed, and the size of their images."""
MODELS = [
    pytest.param(path.stem, marks=pytest.mark.slow if path.stem in WIDE else ())
    for path in sorted((CONF / "model").glob("*.yaml"))
]
MODES = ["eval", "train", "statistics"]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def client(model: Classifier, batch: Batch, order: Any, protocol: Protocol) -> Params:
    """What a client sends, by torch's own layers and optimiser."""
    network = copy.deepcopy(model).requires_grad_(True)
    for layer in batch_norms(network).values():
        layer.train(protocol.normalization != "eval")
    if isinstance(protocol, FedSGD):
        F.cross_entropy(network(batch.x), batch.y).backward()
        return {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    assert isinstance(protocol, FedAvg)
    descent = torch.optim.SGD(network.parameters(), lr=protocol.lr)
    for step in order:
        descent.zero_grad()
        F.cross_entropy(network(batch.x[step]), batch.y[step]).backward()
        descent.step()
    before = dict(model.named_parameters())
    return {name: before[name] - value.detach() for name, value in network.named_parameters()}


def observation(
    model: Classifier, batch: Batch, order: Any, protocol: Protocol, update: Params
) -> Observation:
    params = dict(model.named_parameters())
    return Observation(
        model=model,
        params=params,
        update=update,
        protocol=protocol,
        n=len(batch),
        shape=tuple(batch.x.shape[1:]),  # type: ignore[arg-type]
        classes=10,
        knowledge=Knowledge(order=order),
        statistics=protocol.statistics(model, params, batch, order),
    )


def apart(found: Params, expected: Params) -> float:
    """|found - expected| / |expected| over all tensors."""
    lengths = [
        torch.stack([value.norm() for value in parts]).norm()
        for parts in ([found[name] - value for name, value in expected.items()], [*expected.values()])
    ]
    return float(lengths[0] / lengths[1])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_the_simulated_update_of_the_true_batch_is_the_one_that_was_sent(
    name: str, dtype: torch.dtype
) -> None:
    experiment = compose(f"model={name}", *NARROW.get(name, []), "dataset=digits32")
    model = experiment.model.build(experiment.dataset, 0).to(dtype)
    for layer in batch_norms(model).values():  # of a model that was trained on
        layer.running_mean.normal_(generator=generator("mean"))  # type: ignore[union-attr]
        layer.running_var.uniform_(0.5, 2, generator=generator("variance"))  # type: ignore[union-attr]
    rng = generator("batch")
    side = WIDE.get(name, 32)
    batch = Batch(torch.rand(4, 1, side, side, generator=rng).to(dtype), torch.tensor([0, 3, 3, 9]))
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    for mode in MODES if batch_norms(model) else MODES[:1]:
        protocols: list[Protocol] = [
            FedSGD(batch_size=4, normalization=mode),
            FedAvg(examples_per_client=4, batch_size=2, local_epochs=1, lr=0.01, normalization=mode),
        ]
        for protocol in protocols:
            order = protocol.order(generator("order"))
            sent = client(model, batch, order, protocol)
            seen = observation(model, batch, order, protocol, sent)
            assert apart(trial_update(batch, seen, {}), sent) < TOLERANCE[dtype]
            if isinstance(protocol, FedAvg):
                weights = {each: value.clone() for each, value in model.named_parameters()}
                after, *_ = LocalTraining(model)(weights, buffers, batch, order, protocol)  # type: ignore[arg-type]
                trained = {each: value - after[each].detach() for each, value in weights.items()}
                assert apart(trained, sent) < TOLERANCE[dtype]
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "rounds", [[], ["fl.clients=60", "fl.participation=0.05"]], ids=["alone", "in rounds"]
)
def test_from_the_configuration_to_the_attacker(mode: str, rounds: list[str]) -> None:
    """The second victim is of round 2, whose model has been trained and has statistics of its own."""
    settings = ["fl=fedavg", "fl.examples_per_client=10", "fl.batch_size=20", f"fl.normalization={mode}"]
    given = compose(
        *("model=resnet18", "model.width=8", "model.blocks=1", "dataset=digits32", "logger=none"),
        *(
            "fl.lr=0.05",
            "dataset.public_fraction=0.5",
            "knowledge.order=true",
            "trials=2",
            *settings,
            *rounds,
        ),
        *("attack=ig", "labels@attack.labels=llg_star"),
    )
    targets = open_targets(given)
    if isinstance(targets, Rounds):
        targets.simulation.simulate(1, [], Path("none.ckpt"), torch.device("cpu"))
    one = targets[1]
    seen = one.problem.observation
    assert (seen.statistics is None) == (mode != "statistics")
    again = trial_update(one.truth, seen, {})
    assert apart(again, seen.update) < 1e-5
    changed: Any = "train" if mode == "eval" else "eval"
    other = FedAvg(batch_size=20, lr=0.05, normalization=changed)
    wrong = other.update(seen.model, seen.params, one.truth, seen.knowledge.order)
    assert apart(wrong, seen.update) > 0.05


def small() -> Classifier:
    """Torch's own layers, those of vectors too."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Sigmoid(), nn.Flatten()),
        *(nn.Linear(108, 6), nn.BatchNorm1d(6, affine=False), nn.Sigmoid(), nn.Linear(6, CLASSES)),
    )
    return Classifier(Normalize((0.5,), (0.5,)), network).double().eval().requires_grad_(False)


@pytest.mark.parametrize("mode", ["train", "statistics"])
def test_the_update_is_differentiable_in_the_images(mode: Any) -> None:
    model, protocol = small(), FedSGD(batch_size=3, normalization=mode)
    params = dict(model.named_parameters())
    truth = Batch(torch.rand(3, *SHAPE, generator=generator("x")).double(), torch.tensor([0, 1, 3]))

    def length(x: torch.Tensor) -> torch.Tensor:
        update = protocol.update(model, params, Batch(x, truth.y))
        return torch.stack([value.square().sum() for value in update.values()]).sum()

    assert torch.autograd.gradcheck(length, truth.x.clone().requires_grad_(), fast_mode=True)


def test_given_statistics_replace_the_batchs_own() -> None:
    model, protocol = small(), FedSGD(batch_size=3, normalization="statistics")
    params, rng = dict(model.named_parameters()), generator("x")
    one, other = (
        Batch(torch.rand(3, *SHAPE, generator=rng).double(), torch.tensor([0, 1, 3])) for _ in range(2)
    )
    statistics = protocol.statistics(model, params, one)
    assert statistics is not None
    (step,) = statistics
    assert set(step) == {f"network.{place}.{part}" for place in (1, 5) for part in ("mean", "variance")}
    features = model.network[0](model.normalize(one.x))  # type: ignore[index]
    torch.testing.assert_close(step["network.1.mean"], features.mean((0, 2, 3)))
    torch.testing.assert_close(step["network.1.variance"], features.var((0, 2, 3), unbiased=False))
    own, given = (protocol.update(model, params, other, None, each) for each in (None, statistics))
    assert apart(given, own) > 0.01
    assert (
        apart(protocol.update(model, params, one, None, statistics), protocol.update(model, params, one))
        < 1e-12
    )


def test_statistics_of_other_steps_are_refused_in_one_line() -> None:
    model = small()
    protocol = FedAvg(examples_per_client=4, batch_size=2, normalization="statistics")
    params = dict(model.named_parameters())
    batch = Batch(torch.rand(4, *SHAPE).double(), torch.tensor([0, 1, 3, 2]))
    statistics = protocol.statistics(model, params, batch)
    assert statistics is not None
    assert len(statistics) == 2
    for given, count in ((statistics[:1], "more"), ([*statistics, *statistics], "2")):
        with pytest.raises(UserError, match=rf"those of {len(given)} local steps.*simulates {count}: say"):
            protocol.update(model, params, batch, None, given)
    assert not any(layer.training for layer in batch_norms(model).values())


def test_a_single_value_is_refused_in_one_line() -> None:
    model = small()
    single = Batch(torch.rand(1, *SHAPE).double(), torch.tensor([0]))
    with pytest.raises(UserError, match=r"^fl\.normalization: one value has no variance"):
        FedSGD(normalization="train").update(model, dict(model.named_parameters()), single)
    trainer, protocol = LocalTraining(model), FedAvg(normalization="train")
    weights = {name: value.clone() for name, value in model.named_parameters()}
    with pytest.raises(UserError, match=r"^fl\.normalization: one value"):
        trainer(weights, dict(model.named_buffers()), single, [torch.arange(1)], protocol)


def test_engines_that_batch_over_problems_refuse_what_they_cannot_normalise() -> None:
    resnet = ("model=resnet18", "model.width=2", "model.blocks=1", "attack=ig", "scale=smoke", "trials=2")
    clients = (
        "fl.batch_size=2",
        "labels@attack.labels=llg_star",
        "logger=none",
        "dataset.public_fraction=0.5",
    )
    for engine in ("vmap", "compiled"):
        given = compose(*resnet, *clients, f"attack.engine={engine}", "fl.normalization=train")
        targets = open_targets(given)
        with pytest.raises(UserError, match=rf"attack\.engine={engine}: .*protocol can't be vectorised"):
            list(given.attack([targets[0].problem, targets[1].problem]))
    given = compose(*resnet, *clients, "fl.normalization=train")
    targets = open_targets(given)
    assert len(list(given.attack([targets[0].problem, targets[1].problem]))) == 2


def test_a_network_comes_back_as_it_was_when_something_fails() -> None:
    model = small()
    with pytest.raises(ZeroDivisionError), normalized(model, "train"):
        raise ZeroDivisionError
    assert not any(layer.training or not layer.track_running_stats for layer in batch_norms(model).values())
