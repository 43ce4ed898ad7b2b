"""DLG and iDLG on real digits and the papers' LeNet: the image and the label come back."""

import pytest

from harness.attacks.optimization import OptimizationAttack
from harness.config.composition import compose
from harness.core import Attempt
from harness.runs.clients import Clients

TARGETS = 4


@pytest.mark.parametrize("name", ["idlg", "dlg"])
def test_most_images_and_their_labels_are_recovered(name: str) -> None:
    """And DLG reports the labels that it optimised, not those of its start (breaching and LeakPro do)."""
    experiment = compose(f"attack={name}", "attack.steps=80", "attack.tolerance=1e-4", f"trials={TARGETS}")
    clients = Clients(experiment)
    targets = [clients[position] for position in range(TARGETS)]
    recovered = started_wrong = 0
    for found in experiment.attack(target.problem for target in targets):
        target = targets[found.problem]
        if found.status != "converged":
            continue
        recovered += int(float((found.x - target.truth.x).square().mean()) < 1e-3)
        assert found.y.tolist() == target.truth.y.tolist()
        if name == "dlg":
            attack, attempt = experiment.attack, Attempt(target.problem, 0)
            assert isinstance(attack, OptimizationAttack)
            start = attack.initial(target.problem.observation, attempt.generator())
            started_wrong += int(start["logits"].argmax(-1).tolist() != target.truth.y.tolist())
    assert recovered >= TARGETS - 1
    assert name != "dlg" or started_wrong > 0
