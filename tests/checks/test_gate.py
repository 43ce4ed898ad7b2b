"""A client that attacks its own update before it sends it."""

from pathlib import Path

import pytest
import torch

from harness.checks.client import Outgoing
from harness.checks.gate import Gate
from harness.config import compose
from harness.core import Attack, Batch, Observation, Reconstruction, UserError, component
from harness.metrics.psnr import PSNR
from harness.runs.run import run

GIVEN = ("attack=dlg", "attack.steps=1", "model=mlp", "trials=1", "logger=none")


@component
class Knows(Attack):
    """Returns grey images, of which the last is what it was told."""

    shown: torch.Tensor | None = None

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        x = torch.full((observation.n, *observation.shape), 0.5)
        if self.shown is None:
            return Reconstruction.of_nothing(observation)
        x[-1] = self.shown
        return Reconstruction(x, torch.zeros(len(x), dtype=torch.int64), 0.0, 0.0, "budget", 1, 1)


def outgoing() -> Outgoing:
    from harness.runs.clients import open_targets

    client = open_targets(compose(*GIVEN, "fl.batch_size=3")).client(0)
    seen = client.problem.observation
    return Outgoing(seen.model, Batch(client.truth.x, client.truth.y), lambda: seen, 0)


def test_the_leakage_is_that_of_the_image_that_leaks_most() -> None:
    sent = outgoing()
    gate = Gate(attack=Knows(shown=sent.batch.x[1]), similarity=PSNR())
    grey = -10 * (sent.batch.x - 0.5).square().flatten(1).mean(1).log10()
    assert gate.leakage(sent) == pytest.approx(float((100 - grey[1]) / grey[1]), rel=1e-5)
    assert gate.columns(sent)["detected_by"] == "gate"


@pytest.mark.parametrize("shown", [None, 0.5])
def test_what_tells_nothing_is_sent(shown: float | None) -> None:
    sent = outgoing()
    attack = Knows(shown=None if shown is None else torch.full(sent.batch.x.shape[1:], shown))
    found = Gate(attack=attack, similarity=PSNR()).columns(sent)
    assert (found["gate_leakage"], found["detected"], found["detected_by"]) == (0.0, False, "")


def test_a_gate_is_in_the_rows_and_changes_nothing_else(tmp_path: Path) -> None:
    given = (*GIVEN, f"paths.runs={tmp_path}")
    (row,), (plain,) = (
        run(compose(*given, *more)).rows for more in (("checks=gate", "checks.attack.steps=2"), ())
    )
    assert set(row) - set(plain) == {"detected", "detected_by", "gate_leakage", "gate_seconds"}
    assert row["psnr_unit"] == plain["psnr_unit"]


def test_the_scale_caps_its_attack_too() -> None:
    gate = compose(*GIVEN, "checks=gate", "scale=smoke").checks
    assert isinstance(gate, Gate)
    assert gate.attack.steps == 3


def test_an_attack_that_a_client_can_not_make_is_refused() -> None:
    for attack in ("ggl", "lti", "labels"):
        with pytest.raises(UserError, match="needs more than an update"):
            compose(*GIVEN, "checks=gate", f"attack@checks.attack={attack}")
