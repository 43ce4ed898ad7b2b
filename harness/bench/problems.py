"""Problems whose content is of no consequence: only the sizes count where a closure is timed."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from harness.attacks.solvers.evaluator import Evaluator, Setting
from harness.attacks.solvers.objective import Objective
from harness.attacks.solvers.variables import Layout
from harness.core import (
    Batch,
    Classifier,
    Generator,
    Knowledge,
    Model,
    Normalize,
    Observation,
    Shape,
    generator,
)
from harness.federated.fedsgd import FedSGD


def observe(
    model: Model, shape: Shape, classes: int, seed: int, batch_size: int = 1, prior: Generator | None = None
) -> Observation:
    """What a client with random images and a fresh network sends."""
    rng = generator("bench", seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = model.network(shape, classes)
    channels = shape[0]
    classifier = (
        Classifier(Normalize((0.0,) * channels, (1.0,) * channels), network).eval().requires_grad_(False)
    )
    params = {name: value.detach() for name, value in classifier.named_parameters()}
    truth = Batch(
        torch.rand(batch_size, *shape, generator=rng), torch.randint(classes, (batch_size,), generator=rng)
    )
    protocol = FedSGD(batch_size=batch_size)
    update = {name: value.detach() for name, value in protocol.update(classifier, params, truth).items()}
    knowledge = Knowledge(labels=truth.y, prior=prior)
    return Observation(classifier, params, update, protocol, batch_size, shape, classes, knowledge)


def share(
    model: Model, shape: Shape, classes: int, count: int, prior: Generator | None = None
) -> list[Observation]:
    """What so many clients with one network and one image each send."""
    first = observe(model, shape, classes, 0, prior=prior)
    return [first, *(_sent(first, k) for k in range(1, count))]


def _sent(first: Observation, k: int) -> Observation:
    truth = Batch(
        torch.rand(1, *first.shape, generator=generator("truth", k)), torch.tensor([k % first.classes])
    )
    sent = first.protocol.update(first.model, first.params, truth)
    update = {name: value.detach() for name, value in sent.items()}
    return replace(first, update=update, knowledge=replace(first.knowledge, labels=truth.y))


def setting(attack: Objective, observations: Sequence[Observation]) -> tuple[Setting, Tensor]:
    """What the engine makes of them, and where they start [n, size]."""
    starts = [attack.initial(each, generator("start", k)) for k, each in enumerate(observations)]
    layout = Layout({name: value.shape for name, value in starts[0].items()})
    x = torch.stack([layout.flatten(start) for start in starts])
    return Setting(attack, layout, observations[0], attack.prepare(observations[0])), x


def loaded(evaluator: Evaluator, attack: Objective, observations: Sequence[Observation]) -> Evaluator:
    """The evaluator with a problem in every slot."""
    for slot, each in enumerate(observations):
        evaluator.load(slot, each, attack.prepare(each))
    return evaluator
