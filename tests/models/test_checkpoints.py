"""Files of tensors in every form that frameworks write; others are named, and no code of theirs is run."""

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness.core import UserError
from harness.models.checkpoints import read
from harness.models.fitting import fit


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


STATE = network().state_dict()
ARRAYS = {name: value.numpy() for name, value in STATE.items()}

FILES: dict[str, Callable[[Path], Any]] = {
    "state_dict.pt": lambda path: torch.save(STATE, path),
    "old.pt": lambda path: torch.save(STATE, path, _use_new_zipfile_serialization=False),
    "list.pt": lambda path: torch.save(list(STATE.values()), path),
    "numpy.pt": lambda path: torch.save(ARRAYS, path),
    "numpy_list.pt": lambda path: torch.save(list(ARRAYS.values()), path),
    "model.pt": lambda path: torch.save({"model": STATE, "epoch": 3, "loss": numpy.float64(1)}, path),
    "lightning.ckpt": lambda path: torch.save(
        {
            "state_dict": {f"net.{name}": value for name, value in STATE.items()},
            "hyper_parameters": {"lr": 1},
        },
        path,
    ),
    "half.pt": lambda path: torch.save({name: value.half() for name, value in STATE.items()}, path),
    "named.npz": lambda path: numpy.savez(path, **ARRAYS, facts='{"lr": 0.1}'),
    "list.npz": lambda path: numpy.savez(path, *ARRAYS.values()),
    "state.safetensors": lambda path: save_file(STATE, path),
}


@pytest.mark.parametrize("name", FILES)
def test_every_form_fits_its_network(name: str, tmp_path: Path) -> None:
    FILES[name](tmp_path / name)
    found = fit(read(tmp_path / name), network(), tmp_path / name)
    assert found.missing == ()
    assert list(found.tensors) == list(STATE)
    assert all(torch.allclose(found.tensors[k].float(), STATE[k].float(), atol=1e-3) for k in STATE)


def test_unnamed_arrays_are_read_by_number(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "many.npz", *[numpy.full(1, k) for k in range(12)])
    assert [int(value) for value in read(tmp_path / "many.npz").tensors.values()] == list(range(12))


def test_parameters_alone_fit_by_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(
        [value for name, value in STATE.items() if "running" not in name and "num" not in name], "p.pt"
    )
    found = fit(read(Path("p.pt")), network(), Path("p.pt"))
    assert found.missing == ("1.running_mean", "1.running_var", "1.num_batches_tracked")


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "whole.pt": (lambda path: torch.save(network(), path), "other objects than tensors.*BatchNorm1d"),
    "namespace.pt": (lambda path: torch.save({"a": argparse.Namespace()}, path), "argparse.Namespace"),
    "numbers.pt": (lambda path: torch.save({"a": 1}, path), "no state dict"),
    "plain.pkl": (lambda path: path.write_bytes(pickle.dumps(ARRAYS)), "other objects"),
    "objects.npz": (
        lambda path: numpy.savez(path, a=numpy.array([{}])),
        "Python objects, which are not read",
    ),
    "junk.npz": (lambda path: path.write_bytes(b"hello"), "Python objects, which are not read"),
    "junk.safetensors": (lambda path: path.write_bytes(b"hello world"), "is no file of weights"),
    "empty.pt": (lambda path: path.write_bytes(b""), "it is empty"),
    "facts.npz": (lambda path: numpy.savez(path, a=numpy.ones(1), facts="{"), "facts are no JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_file_of_tensors_is_named(name: str, tmp_path: Path) -> None:
    write, words = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(UserError, match=words) as error:
        read(tmp_path / name)
    assert str(error.value).count("\n") < 2


def with_rows(rows: int) -> dict[str, torch.Tensor]:
    return STATE | {"0.weight": torch.zeros(rows, 3), "0.bias": torch.zeros(2)}


MISFITS: dict[str, tuple[Any, str]] = {
    "argument": (with_rows(5), r"0.weight is \(5, 3\).*\(2, 3\).*constructor, with 5 in the place of 2"),
    "transposed": (STATE | {"0.weight": STATE["0.weight"].T}, "transposed"),
    "order": ([STATE["0.bias"], STATE["0.weight"], *list(STATE.values())[2:]], "in another order"),
    "buffers": (list(STATE.values())[:-1], "batch norm's counters are left out"),
    "count": (list(STATE.values())[:3], "3 arrays, and the network 4 parameters and 3 buffers"),
    "names": ({"fc.weight": torch.zeros(2, 3)}, "another model"),
    "nan": (STATE | {"0.bias": torch.full((2,), torch.nan)}, "0.bias has values that are not finite"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_said_with_the_likeliest_reason(name: str, tmp_path: Path) -> None:
    content, words = MISFITS[name]
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=words):
        fit(read(tmp_path / "w.pt"), network(), tmp_path / "w.pt")
