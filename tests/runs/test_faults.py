"""Faults that are really caused: each is said in a line or is a result, and loses nothing."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.command import ONE, Main, measured_rows
from tests.command import main as main


def test_an_attack_that_diverges_is_a_result(main: Main, tmp_path: Path) -> None:
    command = (*ONE, "attack.distance=l2", "attack.boxed=false", "attack.optimizer.lr=1e30", "trials=1")
    assert main(*command, "attack.steps=50") == 0
    (row,) = measured_rows(tmp_path)
    assert row["status"] == "diverged"
    assert math.isfinite(row["mse"])


def test_weights_that_are_no_numbers_are_refused(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from harness.models.resnet18_imagenet import ResNet18ImageNet

    state = ResNet18ImageNet().network((3, 32, 32), 10).state_dict()
    state["fc.weight"][0, 0] = math.nan
    torch.save(state, tmp_path / "nan.pth")
    photos = [each for each in ONE if "dataset" not in each]
    assert main(*photos, "dataset=photos32", "model=resnet18_imagenet", "model.weights=nan.pth") == 2
    assert "nan.pth: fc.weight has values that are not finite" in capfd.readouterr().err
    assert not measured_rows(tmp_path)


def test_a_network_that_gives_no_numbers_is_a_labelled_failure(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.models.lenet import LeNet

    build = LeNet.network

    def broken(self: LeNet, *arguments: Any) -> nn.Module:
        network = build(self, *arguments)
        next(network.parameters()).data.fill_(math.nan)
        return network

    monkeypatch.setattr(LeNet, "network", broken)
    assert main(*ONE, "trials=2") == 0
    assert [(row["status"], row["mse"], row["psnr_unit"]) for row in measured_rows(tmp_path)] == [
        ("failed", None, None)
    ] * 2


def test_a_logger_that_is_chosen_after_the_run_was_finished_is_told_of(
    main: Main, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(*ONE) == 0
    capfd.readouterr()
    assert main(*ONE, "logger=csv") == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if "Csv was chosen after" in line]
    assert len(warnings) == 1
    assert main(*ONE) == 0
    assert capfd.readouterr().err == ""
