"""What can be wrong with an update or its recipe: each is named in one or two lines, with status 2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from harness.commands.audit import main
from tests.audit.clients import Dense, client, trained, written

Arrays = dict[str, Any]


class Normal(nn.Module):
    """A network whose batch norm counts the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(x)
        return logits


def update(change: Callable[[Arrays], Arrays]) -> Arrays:
    torch.manual_seed(0)
    return change(trained(Dense(), 4))


def unchanged(arrays: Arrays) -> Arrays:
    return arrays


CASES: dict[str, tuple[Callable[[Arrays], Arrays], dict[str, Any], str]] = {
    "argument": (unchanged, {"arguments": {"width": 32}}, r"first.bias is \(64,\).*constructor"),
    "no such argument": (unchanged, {"arguments": {"depth": 3}}, "arguments: .* can't be built"),
    "classes": (unchanged, {"classes": 7}, "classes: the recipe says 7, and the network's head has 10"),
    "no model": (unchanged, {"model": None}, "model is missing"),
    "no input": (unchanged, {"input": None}, r"input is missing: say it in .*input: \[3, 32, 32\]"),
    "no such module": (unchanged, {"model": "nowhere:Net"}, "there is no module nowhere"),
    "no such class": (unchanged, {"model": "tests.audit.clients:Dens"}, "did you mean 'Dense'"),
    "no such name": (unchanged, {"model": "mlpp"}, "did you mean 'mlp'"),
    "no such key": (unchanged, {"learning_rate": 1}, "learning_rate: there is no such setting"),
    "input": (unchanged, {"input": [3, 9, 9]}, "can't be run on images"),
    "channels": (unchanged, {"normalization": {"mean": [0], "std": [1]}}, "3 channels, but 1 means"),
    "small lr": (unchanged, {"lr": 1e-4}, "lr: the head's bias moved"),
    "large step": (unchanged, {"order": [[0, 1, 2, 3]], "batch_size": 2}, "order: a step has 4 examples"),
    "steps": (unchanged, {"order": [[0, 1], [2, 3]]}, "order: 2 local steps are listed, and .* make 1"),
    "defense": (unchanged, {"defense": "nois"}, "did you mean 'noise'"),
    "zeros": (
        lambda a: a | {n.replace("before", "after"): a[n] for n in a if "before" in n},
        {},
        "all zeros",
    ),
    "nan": (
        lambda a: a | {"after/head.bias": numpy.full(10, numpy.nan)},
        {},
        "head.bias has values that are not",
    ),
    "transposed": (lambda a: a | {"after/first.weight": a["after/first.weight"].T}, {}, "transposed"),
    "no before": (lambda a: {n: v for n, v in a.items() if "after" in n}, {}, "before is missing"),
    "no after": (
        lambda a: {n: v for n, v in a.items() if "before" in n},
        {},
        "beside before, nothing is there",
    ),
    "other names": (lambda a: {n.replace("/", "."): v for n, v in a.items()}, {}, "belongs to no part"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, facts, words = CASES[name]
    path = written(tmp_path / "update.npz", update(change), **{"examples": 4, **facts})
    _refused([str(path)], words, capsys)


def test_steps_are_held_to_batch_norms_counter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    arrays, model = trained(Normal(), 8, batch=4), "tests.audit.test_bad_input:Normal"
    path = written(tmp_path / "update.npz", arrays, examples=8, model=model)
    _refused([str(path)], "counted 2 local steps, and the recipe makes 1", capsys)
    swapped = {
        {"before": "after", "after": "before"}[n[: n.index("/")]] + n[n.index("/") :]: v
        for n, v in arrays.items()
    }
    path = written(tmp_path / "swapped.npz", swapped, examples=8, model=model, batch_size=4)
    _refused([str(path)], "before and after are swapped", capsys)


def test_the_recipe_may_not_contradict_the_recorder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, recipe = client(tmp_path / "update.npz"), tmp_path / "client.yaml"
    recipe.write_text("lr: 0.5")
    _refused([str(path), "--recipe", str(recipe)], "lr: the recipe says 0.5, and the recorder .* 0.1", capsys)
    recipe.write_text("lr: [")
    _refused([str(path), "--recipe", str(recipe)], "is no YAML", capsys)
    _refused([str(path), "--recipe", str(tmp_path / "none.yaml")], "can't be read", capsys)


def test_arrays_without_names_and_pickles_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, paths = tmp_path / "client.yaml", {part: tmp_path / f"{part}.npz" for part in ("before", "after")}
    recipe.write_text("model: tests.audit.test_bad_input:Normal\ninput: [3, 8, 8]\n")
    arguments = [*(f"--{part}={path}" for part, path in paths.items()), "--recipe", str(recipe)]
    values = [value.numpy() for value in Normal().state_dict().values()]
    numpy.savez(paths["after"], *values)
    numpy.savez(paths["before"], values[1], values[0], *values[2:])
    _refused(arguments, "in another order", capsys)
    numpy.savez(paths["before"], *values[:-1])
    _refused(arguments, "buffers", capsys)
    torch.save(Normal(), tmp_path / "whole.pt")
    arguments[0] = f"--before={tmp_path / 'whole.pt'}"
    _refused(arguments, "other objects than tensors", capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name an update"),
        (["none.npz"], "none.npz: there is no such file"),
        (["none.npz", "--budget", "ten"], "--budget ten"),
        (["none.npz", "--threads", "0"], "--threads 0: at least 1"),
        (["none.npz", "--out", __file__], "no folder can be there"),
    ],
)
def test_a_command_that_says_too_little(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused(arguments, words, capsys)


def _refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert re.search(words, said), said
    assert said.count("\n") <= 2
