"""CPA: sources come apart, signs and scales by the truth or by the bias, and what a spectrum says of a batch."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.cpa import CPA, UNMIXING
from harness.attacks.solvers.adam import Adam
from harness.base.threat import Need
from harness.config.composition import compose
from harness.core import Batch, Classifier, Normalize, Observation, Problem, UserError
from harness.federated.fedsgd import FedSGD
from harness.metrics.matching import match, turned
from harness.models.embeddings import first_linear
from harness.runs.clients import Clients
from harness.runs.run import run

SMALL = CPA(optimizer=Adam(lr=0.06), decorrelation=0.3, sharpness=5.0, steps=100)
SHAPE, CLASSES = (1, 12, 12), 4
REAL = {
    "photographs, 32": (["dataset=tile_sheets_cifar10"], 0.85),
    "faces, 64": (["dataset=utkface"], 0.78),
}


def shapes(count: int) -> Tensor:
    """A disc in its own corner, or of its own size in the middle, for each image."""
    grid = torch.stack(torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij"))
    centres = torch.tensor([[3.0, 3], [3, 8], [8, 3], [8, 8], [6, 6], [6, 6]]).view(6, 2, 1, 1)
    radii = torch.tensor([2.5, 3, 2, 3.5, 3, 5]).view(6, 1, 1)
    return ((grid - centres).square().sum(1) < radii**2).float()[:count, None]


def observed(x: Tensor, hidden: int = 32, bias: bool = True) -> Observation:
    """What the client of a small untrained network sends."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        layers = nn.Linear(144, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, CLASSES)
    model = Classifier(Normalize((0.5,), (0.5,)), nn.Sequential(nn.Flatten(), *layers)).eval()
    params, protocol = dict(model.requires_grad_(False).named_parameters()), FedSGD(batch_size=len(x))
    update = protocol.update(model, params, Batch(x, torch.arange(len(x)) % CLASSES))
    return Observation(model, params, update, protocol, len(x), SHAPE, CLASSES)


def similarities(found: Tensor, truth: Tensor) -> Tensor:
    """The correlation of each image with the one that it is paired with."""
    ours, theirs = match(found, truth)
    pairs = zip(found[theirs].flatten(1), truth[ours].flatten(1), strict=True)
    return torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs])


def test_images_come_apart() -> None:
    truth = shapes(4)
    (found,) = SMALL([Problem(0, observed(truth), seed=1)])
    (start,) = replace(SMALL, steps=1)([Problem(0, observed(truth), seed=1)])
    after, before = (similarities(turned(each.x, truth), truth) for each in (found, start))
    assert after.min() > 0.9
    assert after.mean() > before.mean() + 0.1


def test_the_bias_tells_the_sign_and_the_scale() -> None:
    truth = shapes(4)
    (found,) = replace(SMALL, scale="bias", sign="bias")([Problem(0, observed(truth), seed=1)])
    assert similarities(found.x, truth).min() > 0.9
    assert (found.x - truth[match(truth, found.x)[1]]).abs().mean() < 0.1


def test_a_loss_below_zero_that_rises_is_not_taken_for_diverged() -> None:
    attack = replace(SMALL, total_variation=0.0, optimizer=Adam(lr=0.5), steps=60)
    (found,) = attack([Problem(0, observed(shapes(4)), seed=1)])
    assert found.trace[0]["loss"] < found.trace[-1]["loss"] < 0
    assert (found.status, found.evaluations) == ("budget", 60)


def test_what_the_truth_chooses_is_declared() -> None:
    assert Need.SIGNS in CPA.needed({"sign": "truth"})
    assert Need.SIGNS not in CPA.needed({"sign": "bias"})


def test_without_a_bias_its_signs_are_refused() -> None:
    seen = observed(shapes(4), bias=False)
    assert len(next(iter(SMALL([Problem(0, seen, seed=1)]))).x) == 4
    with pytest.raises(UserError, match="has no bias"):
        list(replace(SMALL, sign="bias")([Problem(0, seen, seed=1)]))


def test_a_linear_layer_behind_others_is_refused(observed_convolution: Observation) -> None:
    with pytest.raises(UserError, match="is not on the images"):
        SMALL.prepare(observed_convolution)


@pytest.fixture
def observed_convolution(classifier: Classifier, batch: Batch) -> Observation:
    params, protocol = dict(classifier.named_parameters()), FedSGD(batch_size=3)
    update = protocol.update(classifier, params, batch)
    return Observation(classifier, params, update, protocol, 3, (1, 8, 8), 5)


def test_an_image_without_a_gradient_is_left_out() -> None:
    """Twice the same image is one source: the spectrum has three, and the fourth picture is grey."""
    seen = observed(shapes(4)[[0, 1, 2, 2]])
    known = SMALL.prepare(seen)
    assert known["there"].tolist() == [1, 1, 1, 0]
    (found,) = SMALL([Problem(0, seen, seed=1)])
    assert torch.equal(found.x[3], torch.full(SHAPE, 0.5))
    assert similarities(turned(found.x[:3], shapes(3)), shapes(3)).min() > 0.9


def test_a_layer_narrower_than_the_batch_has_as_many_sources_as_units() -> None:
    known = SMALL.prepare(observed(shapes(6), hidden=4))
    assert known["mixed"].shape == (6, 144)
    assert known["there"].sum() <= 4


def test_problems_side_by_side_are_those_alone() -> None:
    problems = [Problem(number, observed(shapes(3 + 3)[number : number + 3]), seed=1) for number in range(3)]
    attack = replace(SMALL, steps=5)
    together = {r.problem: r for r in replace(attack, engine="vmap", slots=3)(problems)}
    for found in replace(attack, engine="loop")(problems):
        assert found.loss == pytest.approx(together[found.problem].loss, rel=1e-5)


def test_the_truth_is_not_the_minimum_of_the_published_loss() -> None:
    """Photographs are correlated, and exp(12.4 |cos|) punishes the directions that take them apart."""
    setting = ["dataset=photos32", "model=mlp", "model.normalize=symmetric", "fl=fedsgd", "fl.batch_size=8"]
    experiment = compose("attack=cpa", *setting, "trials=1")
    attack, client = experiment.attack, Clients(experiment)[0]
    assert isinstance(attack, CPA)
    seen = client.problem.observation
    known = attack.prepare(seen)
    pixels = seen.model.normalize(client.truth.x).flatten(1).double()
    unmixing = torch.linalg.lstsq((known["mixed"] + known["mean"]).double().T, pixels.T).solution.T
    true, start = {UNMIXING: unmixing.float()}, attack.initial(seen, torch.Generator())
    found = turned(attack.decode(true, seen, known).x, client.truth.x)
    assert similarities(found, client.truth.x).min() > 0.99
    assert attack.loss(true, seen, known) > attack.loss(start, seen, known) + 1


def test_the_first_linear_layer_is_found(classifier: Classifier) -> None:
    assert first_linear(classifier) == "network.3"


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("data", REAL)
def test_eight_real_images_come_apart(data: str, tmp_path: Path) -> None:
    """With the signs of the truth; the whitened start, without a step, has .5."""
    settings, least = REAL[data]
    victim = ["model=mlp", "model.normalize=symmetric", "model.fresh=true", "fl=fedsgd", "fl.batch_size=8"]
    common = [*settings, *victim, "attack=cpa_small", "trials=3", "logger=none", f"paths.runs={tmp_path}"]
    found, start = (run(compose(*common, *more)).rows for more in ([], ["attack.steps=1"]))
    assert fmean(row["ssim"] for row in found) >= least
    assert fmean(row["ssim"] for row in start) < 0.6
