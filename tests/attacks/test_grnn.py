"""GRNN: what its switches do, and that images and labels come back together."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.attacks.grnn import GRNN
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.evaluator import Setting
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.rmsprop import RMSprop
from harness.attacks.solvers.selection import select
from harness.attacks.solvers.variables import Layout
from harness.config.composition import compose
from harness.core import Batch, Observation, Problem, UserError
from harness.runs.run import run
from tests.conftest import Observe

SMALL = GRNN(optimizer=Adam(lr=1e-2), channels=8, latent=6, steps=60)


@pytest.fixture
def seen(observe: Observe, batch: Batch) -> Observation:
    return observe(Batch(batch.x[:1].float(), batch.y[:1]))


def test_image_and_label_are_searched_for_together(seen: Observation, batch: Batch) -> None:
    (found,) = SMALL([Problem(0, seen, seed=1)])
    assert found.loss < 0.3 * found.trace[0]["loss"]
    assert found.y.tolist() == batch.y[:1].tolist()


@pytest.mark.parametrize("output", ["sigmoid", "tanh"])
def test_the_range_is_in_the_networks_units(output: str, seen: Observation) -> None:
    """Of images normalised to [-1, 1] the authors' sigmoid has the brighter half alone."""
    attack = replace(SMALL, output=output)  # type: ignore[arg-type]
    weights = {name: 50 * value.double() for name, value in attack.initial(seen, torch.Generator()).items()}
    found = attack.decode(weights, seen, attack.prepare(seen))
    assert float(found.x.min()) == pytest.approx(0.5 if output == "sigmoid" else 0, abs=0.05)
    assert float(found.x.max()) == pytest.approx(1, abs=0.05)


def test_problems_side_by_side_are_those_alone(seen: Observation) -> None:
    problems = [Problem(number, seen, seed=number) for number in range(3)]
    attack = replace(SMALL, steps=3)
    together = {r.problem: r for r in replace(attack, engine="vmap", slots=3)(problems)}
    alone = {r.problem: r for r in replace(attack, engine="loop")(problems)}
    for number, found in alone.items():
        torch.testing.assert_close(together[number].loss, found.loss, rtol=1e-6, atol=1e-9)


def test_many_generators_fit_side_by_side(seen: Observation) -> None:
    """Of a generator's weights L-BFGS would keep 200 vectors, RMSprop keeps two."""
    attack = replace(SMALL, channels=256, latent=128, optimizer=RMSprop())
    known, start = attack.prepare(seen), attack.initial(seen, torch.Generator())
    layout = Layout({name: value.shape for name, value in start.items()})
    slots = {
        name: select(Setting(each, layout, seen, known), layout.flatten(start), "vmap", None)[1]
        for name, each in {"kept": attack, "as L-BFGS": replace(attack, optimizer=LBFGS())}.items()
    }
    assert slots == {"kept": 16, "as L-BFGS": 2}


def test_sides_that_can_not_be_halved_are_refused(seen: Observation) -> None:
    with pytest.raises(UserError, match="even sides"):
        SMALL.initial(replace(seen, shape=(1, 9, 9)), torch.Generator())


@pytest.mark.slow
@pytest.mark.data
def test_images_and_labels_of_real_data_come_back(tmp_path: Path) -> None:
    """Batch 1, the authors' LeNet and settings; each image has a network of its own.

    CIFAR-10 alone: of three MNIST digits, resized to 32 pixels and three equal channels as the authors', all labels
    come back, and 15.7, 15.6 and 14.9 dB; padded, and of one channel, 13.3, 21.3 and 15.6.
    """
    data = ["dataset=tile_sheets_cifar10", "trials=3", "logger=none", f"paths.runs={tmp_path}"]
    found = run(compose("attack=grnn", "model=lenet5", "fl=fedsgd", *data)).rows
    assert all(row["psnr_unit"] >= 15 for row in found)
    assert all(row["label_correct"] == 1 for row in found)
