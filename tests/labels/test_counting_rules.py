"""Rules that count: what holds for any update, what they reach on untrained networks, and when they must fail."""

from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.core import Batch, Knowledge, LabelInference, Observation, Params, Unreadable, UserError
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.federated.scaling import trained_params
from harness.labels.analytic import Analytic
from harness.labels.controls import Balanced, Chance
from harness.labels.dimitrov import Dimitrov
from harness.labels.geng import Geng
from harness.labels.ilrg import ILRG
from harness.labels.llg import LLG
from harness.labels.llg_plus import LLGPlus
from harness.labels.llg_star import LLGStar
from harness.labels.predictions import gaussian_images
from harness.labels.rlu import RLU
from harness.labels.yin import Yin
from harness.models.head import head_parameters
from tests.labels.observations import CLASSES, NETWORKS, agreement, digits, draw, observe

RULES: list[LabelInference] = [
    Analytic(), Yin(repeat=True), LLG(), LLG(weights=True), LLGStar(passes=3), LLGPlus(), Geng(dummies=8),
    Dimitrov(dummies=8), ILRG(), RLU(images=8, samples=50), Chance(), Balanced(),
]  # fmt: skip
READING = [rule for rule in RULES if not isinstance(rule, Balanced | Chance)]
OBSERVED = {
    "gradient": observe(NETWORKS["mlp"], draw(12, 0)),
    "training": observe(
        NETWORKS["mlp"], draw(12, 1), 1, FedAvg(examples_per_client=12, batch_size=4, local_epochs=2, lr=0.1)
    ),
}


def head_update(observation: Observation, seed: int, scale: float) -> Observation:
    """The observation with noise in place of the update."""
    rng = torch.Generator().manual_seed(seed)
    noise = {
        name: scale * torch.randn(value.shape, generator=rng) for name, value in observation.update.items()
    }
    return replace(observation, update=noise)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**20), st.integers(-8, 8), st.sampled_from(sorted(OBSERVED)))
def test_any_finite_update_gives_whole_counts_or_none(
    rule: LabelInference, seed: int, scale: int, kind: str
) -> None:
    observation = head_update(OBSERVED[kind], seed, 10.0**scale)
    with suppress(Unreadable):
        counts = rule.counts(observation)
        assert counts.dtype == torch.int64
        assert counts.shape == (CLASSES,)
        assert int(counts.sum()) == 12
        assert int(counts.min()) >= 0


def permuted(observation: Observation, order: Tensor) -> Observation:
    """The same client under a head whose classes are numbered otherwise: class c is what was class order[c]."""
    names = head_parameters(observation.model)

    def renumbered(params: Params) -> Params:
        return {name: value[order] if name in names else value for name, value in params.items()}

    return replace(observation, params=renumbered(observation.params), update=renumbered(observation.update))


@pytest.mark.parametrize("kind", sorted(OBSERVED))
@pytest.mark.parametrize("rule", [LLG(), LLG(weights=True), Geng(), Dimitrov(), ILRG()], ids=repr)
def test_other_numbers_of_the_classes_are_other_numbers_of_the_counts(
    rule: LabelInference, kind: str
) -> None:
    order = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(5))
    expected = rule.counts(OBSERVED[kind])[order]
    assert rule.counts(permuted(OBSERVED[kind], order)).tolist() == expected.tolist()


@pytest.mark.parametrize("rule", READING, ids=repr)
def test_the_scaling_of_the_update_is_of_no_consequence(rule: LabelInference) -> None:
    protocol = FedAvg(examples_per_client=12, batch_size=4, local_epochs=2, lr=0.05)
    found = [
        rule.counts(observe(NETWORKS["mlp"], draw(12, 2), 2, replace(protocol, scaling=scaling))).tolist()
        for scaling in ("raw", "per_step", "per_lr")
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("rule", [LLGStar(), LLGPlus(), ILRG(), RLU()], ids=repr)
def test_a_single_full_step_says_what_its_gradient_says(rule: LabelInference) -> None:
    batch = draw(16, 3)
    step = FedAvg(examples_per_client=16, batch_size=16, local_epochs=1, lr=0.01)
    counts = [
        rule.counts(observe(NETWORKS["mlp"], batch, 3, p)).tolist() for p in (step, FedSGD(batch_size=16))
    ]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("rule", "network", "least"),
    [
        (LLG(), "cnn3", 0.6), (LLGStar(), "mlp", 0.95), (LLGPlus(), "mlp", 0.95), (LLGPlus(), "lenet", 0.95),
        (ILRG(), "mlp", 0.95), (ILRG(), "cnn3", 0.95), (RLU(), "mlp", 0.98), (RLU(), "resnet", 0.98),
        (RLU(), "lenet", 0.98), (Geng(), "mlp", 0.8), (Geng(), "cnn3", 0.8),
    ],
    ids=repr,
)  # fmt: skip
def test_repeated_labels_are_counted(rule: LabelInference, network: str, least: float) -> None:
    """32 of 10 classes: naming each class as often is right for about 79 in 100."""
    found = []
    for seed in range(5):
        batch = draw(32, seed)
        found.append(agreement(rule.labels(observe(NETWORKS[network], batch, seed)), batch.y))
    assert sum(found) / len(found) >= least


@pytest.mark.parametrize("network", ["mlp", "cnn3"])
def test_llg_on_the_bias_counts_sixteen(network: str) -> None:
    found = []
    for seed in range(10):
        batch = draw(16, seed)
        found.append(agreement(LLGStar().labels(observe(NETWORKS[network], batch, seed)), batch.y))
    assert sum(found) / len(found) >= 0.9


def test_ilrg_is_exact_on_sixty_four() -> None:
    """16 of each of four classes, and 64 drawn from all ten; with the paper's plain quotient the latter are not."""
    rows = torch.cat([(digits().y == label).nonzero()[:16, 0] for label in (1, 4, 6, 9)])
    balanced = Batch(digits().x[rows], digits().y[rows])
    plain = []
    for seed in range(4):
        found = ILRG().counts(observe(NETWORKS["cnn3"], balanced, seed))
        assert found.tolist() == [0, 16, 0, 0, 16, 0, 16, 0, 0, 16]
        batch = draw(64, seed)
        observation = observe(NETWORKS["cnn3"], batch, seed)
        assert ILRG().counts(observation).tolist() == torch.bincount(batch.y, minlength=CLASSES).tolist()
        plain.append(agreement(ILRG(shrinkage=0).labels(observation), batch.y))
    assert 0.8 < sum(plain) / len(plain) < 0.97


def direct(observation: Observation, x: Tensor, way: float) -> Tensor:
    """Geng's counts at one step, in plain float64, with predictions between the first and the last weights."""
    weight, bias = head_parameters(observation.model)
    assert bias is not None
    made = []
    for params in (observation.params, trained_params(observation)):
        hidden = torch.relu(x.flatten(1) @ params["network.1.weight"].T + params["network.1.bias"])
        logits = hidden @ params[weight].T + params[bias]
        made.append((logits.softmax(1).mean(0), hidden.sum(1).mean()))
    (p0, a0), (p1, a1) = made
    protocol, n = observation.protocol, observation.examples
    assert isinstance(protocol, FedAvg)
    moved = observation.update[weight].sum(1) / protocol.lr  # the sum of the steps' gradients
    steps = protocol.local_epochs * -(-n // protocol.batch_size)
    return n * ((1 - way) * p0 + way * p1) - n * moved / steps / ((1 - way) * a0 + way * a1)


def test_dimitrov_is_the_mean_over_the_steps_of_gengs_counts() -> None:
    """Its start is the weights that were sent: the paper's text prints the interpolation backwards."""
    protocol = FedAvg(examples_per_client=10, batch_size=4, local_epochs=3, lr=0.2)
    observation = observe(NETWORKS["mlp"], draw(10, 7), 7, protocol)
    x = observation.model.normalize(gaussian_images(observation, 64))
    steps = [direct(observation, x, u / 9) for u in range(9)]
    expected = torch.stack(steps).mean(0).clamp_min(0)
    expected = expected * 10 / expected.sum()
    assert float((Dimitrov().counts(observation) - expected).abs().max()) < 1
    assert Dimitrov().counts(observation).sum() == 10


def test_without_a_local_step_dimitrov_is_geng() -> None:
    assert torch.equal(Dimitrov().counts(OBSERVED["gradient"]), Geng().counts(OBSERVED["gradient"]))


def test_local_training_hurts_geng_more_than_dimitrov() -> None:
    """Ten images in fives for ten epochs: what the interpolation is for."""
    protocol = FedAvg(examples_per_client=10, batch_size=5, local_epochs=10, lr=0.05)
    scores: dict[str, float] = {"geng": 0.0, "dimitrov": 0.0}
    for seed in range(8):
        batch = draw(10, seed)
        observation = observe(NETWORKS["cnn3"], batch, seed, protocol)
        scores["geng"] += agreement(Geng().labels(observation), batch.y) / 8
        scores["dimitrov"] += agreement(Dimitrov().labels(observation), batch.y) / 8
    assert scores["dimitrov"] > scores["geng"]


@pytest.mark.parametrize("network", ["resnet", "lenet"])
def test_gengs_sum_is_that_of_what_the_head_sees(network: str) -> None:
    """LeakPro sums the last ReLU's output, which is a map here, or absent, and falls below chance."""
    rule, chance, found = Geng(), Chance(), [0.0, 0.0]
    for seed in range(8):
        batch = draw(32, seed)
        observation = observe(NETWORKS[network], batch, seed)
        found[0] += agreement(rule.labels(observation), batch.y) / 8
        found[1] += agreement(chance.labels(observation), batch.y) / 8
    assert found[0] > found[1]


@pytest.mark.parametrize("rule", [Geng(), Dimitrov()], ids=repr)
def test_features_that_do_not_sum_to_something_positive_are_refused(rule: LabelInference) -> None:
    observation = OBSERVED["gradient"]
    dead = observation.params | {"network.1.bias": torch.full((64,), -1e3)}
    with pytest.raises(Unreadable, match="features that sum to 0 over the dummies"):
        rule.counts(replace(observation, params=dead))


@pytest.mark.parametrize("rule", READING, ids=repr)
@pytest.mark.parametrize("lr", [1e3, 1e12, 1e30])
def test_a_learning_rate_that_explodes_gives_counts_or_a_labelled_failure(
    rule: LabelInference, lr: float
) -> None:
    protocol = FedAvg(examples_per_client=12, batch_size=4, local_epochs=2, lr=lr)
    observation = observe(NETWORKS["mlp"], draw(12, 4), 4, protocol)
    with suppress(Unreadable):
        assert int(rule.counts(observation).sum()) == 12


@pytest.mark.parametrize("rule", [Dimitrov(), RLU()], ids=repr)
def test_weights_that_are_lost_are_a_labelled_failure(rule: LabelInference) -> None:
    protocol = FedAvg(examples_per_client=12, batch_size=4, local_epochs=2, lr=1e20)
    with pytest.raises(Unreadable, match=r"not finite|contradict"):
        rule.counts(observe(NETWORKS["mlp"], draw(12, 4), 4, protocol))


@pytest.mark.parametrize("rule", [LLGPlus(), RLU()], ids=repr)
def test_public_images_must_be_granted_and_show_every_class(rule: LabelInference) -> None:
    observation = OBSERVED["gradient"]
    with pytest.raises(UserError, match=r"needs public images with labels: say knowledge\.public=true"):
        rule.counts(replace(observation, knowledge=Knowledge()))
    public = observation.knowledge.public
    assert public is not None
    kept = public.labels
    try:
        public.labels = kept.masked_fill(kept == 3, 4)
        with pytest.raises(UserError, match="the public images show none of class 3"):
            rule.counts(observation)
    finally:
        public.labels = kept


@pytest.mark.parametrize(("rule", "name"), [(ILRG(), "ilrg"), (RLU(), "rlu")])
def test_rules_on_the_bias_refuse_a_head_without_one(rule: LabelInference, name: str) -> None:
    """LeakPro then reads the bias of a normalisation layer, and names labels that do not exist."""
    with pytest.raises(UserError, match=f"labels={name} reads the bias of the head, and network.4 has none"):
        rule.counts(observe(NETWORKS["without_bias"], draw(4, 0)))


def test_all_are_of_one_class_when_a_single_image_is_looked_for() -> None:
    from harness.labels.idlg import IDLG

    observation = replace(observe(NETWORKS["mlp"], draw(8, 6)), n=1, trained_on=8)
    counts = IDLG().counts(observation)
    assert sorted(counts.tolist()) == [0] * 9 + [8]
    assert IDLG().labels(observation).tolist() == [int(counts.argmax())]


def test_chance_depends_on_the_update_and_is_no_better_than_chance() -> None:
    found = []
    for seed in range(30):
        batch = draw(32, seed)
        found.append(agreement(Chance().labels(observe(NETWORKS["mlp"], batch, seed)), batch.y))
    assert 0.6 < sum(found) / len(found) < 0.8
    assert len(set(found)) > 5
