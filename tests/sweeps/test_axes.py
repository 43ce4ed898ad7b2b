"""An axis of a sweep may have a single value on the command line, also where the files of the default lack it."""

import sys
from pathlib import Path

import pytest

from harness.commands.axes import spread_axes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["sweep=batch_epochs", "fl.local_epochs=1"], ["sweep=batch_epochs", "fl.local_epochs=choice(1)"]),
        (["fl.local_epochs=1"], ["fl.local_epochs=1"]),
        (["sweep=batch_epochs", "fl.local_epochs=1,2", "attack=ig", "trials=1"],) * 2,
        (["sweep=batch_epochs", "attack.patience=4"], ["sweep=batch_epochs", "attack.patience=choice(4)"]),
        (["-m", "attack=dlf,ig", "attack.boxed=true"], ["-m", "attack=dlf,ig", "attack.boxed=choice(true)"]),
        (["attack=dlf,ig", "attack.steps=1,2", "attackers=1", "model.width=2"],) * 2,
        (
            ["labels@attack.labels=rlu,llg", "attack.labels.x=[1,2]"],
            ["labels@attack.labels=rlu,llg", "attack.labels.x=choice([1,2])"],
        ),
        (["sweep=accuracy", "fl.attack_every=3"], ["sweep=accuracy", "fl.attack_every=choice(3)"]),
        (["table=table3", "model.width=8"], ["table=table3", "model.width=choice(8)"]),
        (["table=table3", "model.width=8", "--cfg", "job"],) * 2,
        (["table=table3", "dataset.public_fraction=0.5", "trials=2"],) * 2,
        (["sweep=no_such", "fl.local_epochs=1"],) * 2,
    ],
)
def test_only_single_values_of_axes_are_spread(
    given: list[str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["harness", *given])
    spread_axes()
    assert sys.argv[1:] == expected
