"""CPA-FI: embeddings come apart, images are found that have them, and what it can't be used on is refused."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.attacks.cpa_fi import CPAFI, EmbeddingUnmixing
from harness.attacks.solvers.adam import Adam
from harness.config.composition import compose
from harness.core import (
    Batch,
    Classifier,
    Knowledge,
    Normalize,
    Observation,
    Problem,
    Unreadable,
    UserError,
    generator,
)
from harness.federated.fedsgd import FedSGD
from harness.models.embeddings import embeddings
from harness.runs.clients import Clients
from harness.runs.run import run
from tests.attacks.test_cpa import shapes

UNMIXING = EmbeddingUnmixing(
    optimizer=Adam(lr=0.03), decorrelation=5.3, sharpness=7.7, nonnegativity=1.3, sparsity=5.0, steps=100
)
SMALL = CPAFI(optimizer=Adam(lr=0.1, schedule="cosine"), unmixing=UNMIXING, steps=30, total_variation=0.02)
CLASSES = 8


def observed(x: Tensor) -> Observation:
    """What the client of a small untrained convolutional network sends."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        convolution = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()
        layers = *convolution, nn.Linear(288, 32), nn.ReLU(), nn.Linear(32, CLASSES)
    model = Classifier(Normalize((0.5,), (0.5,)), nn.Sequential(*layers)).eval()
    params, protocol = dict(model.requires_grad_(False).named_parameters()), FedSGD(batch_size=len(x))
    update = protocol.update(model, params, Batch(x, torch.arange(len(x)) % CLASSES))
    return Observation(model, params, update, protocol, len(x), (1, 12, 12), CLASSES)


def closest(found: Tensor, true: Tensor) -> Tensor:
    """Of each true embedding the largest cosine with one that was found."""
    return F.cosine_similarity(true[:, None], found[None], dim=-1).amax(1)


def test_embeddings_come_apart_and_images_have_them() -> None:
    truth = shapes(4)
    seen = observed(truth)
    true = embeddings(seen.model, seen.params, truth)
    (found,) = SMALL([Problem(0, seen, seed=1)])
    unmixed = UNMIXING.reconstruct(seen, generator("unmixing")).x
    begun = replace(UNMIXING, steps=1).reconstruct(seen, generator("unmixing")).x
    assert closest(unmixed, true).min() > 0.9
    assert closest(unmixed, true).mean() > closest(begun, true).mean() + 0.02
    assert closest(embeddings(seen.model, seen.params, found.x), unmixed).min() > 0.85
    assert 0 <= float(found.x.min()) <= float(found.x.max()) <= 1
    assert found.y.tolist() == [-1] * 4


def test_true_embeddings_are_taken_as_they_are_and_in_their_order() -> None:
    truth = shapes(4)
    seen = observed(truth)
    true = embeddings(seen.model, seen.params, truth)
    given = replace(seen, knowledge=Knowledge(embeddings=true))
    assert torch.equal(SMALL.prepare(given)["embeddings"], true)
    (found,) = SMALL([Problem(0, given, seed=1)])
    again = embeddings(seen.model, seen.params, found.x)
    assert F.cosine_similarity(again, true, dim=-1).min() > 0.85


def test_a_client_s_embeddings_are_granted_by_the_configuration() -> None:
    said = ("attack=cpa_fi_small", "model=strided_cnn", "model.width=4", "fl.batch_size=2", "trials=1")
    client = Clients(compose(*said, "knowledge.embeddings=true"))[0]
    seen = client.problem.observation
    assert seen.knowledge.embeddings is not None
    assert torch.equal(seen.knowledge.embeddings, embeddings(seen.model, seen.params, client.truth.x))
    assert Clients(compose(*said))[0].problem.observation.knowledge.embeddings is None


def test_embeddings_are_refused_where_nothing_uses_them() -> None:
    with pytest.raises(UserError, match="attack=ig has no use for them: say attack=cpa_fi"):
        compose("attack=ig", "knowledge.embeddings=true")
    fewer = ("fl=fedavg", "fl.clients=4", "fl.dummies=3", "model=strided_cnn")
    with pytest.raises(UserError, match="those of all the client's images need"):
        compose("attack=cpa_fi_small", "knowledge.embeddings=true", *fewer)


def test_an_embedding_without_a_gradient_is_a_grey_image() -> None:
    (found,) = SMALL([Problem(0, observed(shapes(4)[[0, 1, 2, 2]]), seed=1)])
    grey = [bool((image == 0.5).all()) for image in found.x]
    assert grey == [False, False, False, True]


def test_problems_side_by_side_are_those_alone() -> None:
    attack = replace(SMALL, steps=5, unmixing=replace(UNMIXING, steps=3))
    problems = [Problem(number, observed(shapes(6)[number : number + 3]), seed=1) for number in range(3)]
    together = {r.problem: r for r in replace(attack, engine="vmap", slots=3)(problems)}
    for found in replace(attack, engine="loop")(problems):
        assert found.loss == pytest.approx(together[found.problem].loss, rel=1e-5)


def test_a_layer_on_the_pixels_is_refused() -> None:
    experiment = compose("attack=cpa_fi", "model=mlp", "trials=1", "fl=fedsgd")
    with pytest.raises(UserError, match="say attack=cpa"):
        experiment.attack.prepare(Clients(experiment)[0].problem.observation)  # type: ignore[attr-defined]


def test_an_update_without_a_gradient_there_says_nothing() -> None:
    seen = observed(shapes(4))
    nothing = {name: torch.zeros_like(value) for name, value in seen.update.items()}
    with pytest.raises(Unreadable):
        SMALL.prepare(replace(seen, update=nothing))


@pytest.mark.slow
@pytest.mark.data
def test_eight_real_images_come_back_from_a_trained_network(tmp_path: Path) -> None:
    victim = [
        "model=strided_cnn",
        "training.steps=160",
        "training.batch_size=50",
        "fl=fedsgd",
        "fl.batch_size=8",
    ]
    data = ["dataset=tile_sheets_cifar10", "attack=cpa_fi_small", "trials=3"]
    found = run(compose(*data, *victim, "logger=none", f"paths.runs={tmp_path}")).rows
    assert fmean(row["psnr_unit"] for row in found) >= 19
