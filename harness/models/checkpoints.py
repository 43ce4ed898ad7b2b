"""Files of tensors as frameworks write them, read without running code from them."""

import json
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from harness.base.errors import UserError

Tensors = dict[str, Tensor]
WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "weights")
"""Under which trainers keep the state dict, beside the optimizer's state; the first is Lightning's."""
FACTS = "facts"
"""The array of an npz that holds JSON text."""


@dataclass(frozen=True, eq=False)
class StoredTensors:
    """What a file holds: tensors by name, or by place ("0", "1", ...) where it names none."""

    tensors: Tensors
    named: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was done on the way, in words."""


def read(path: Path) -> StoredTensors:
    """Tensors from npz, safetensors, torch.save (state dict, list, dict of numpy arrays) or Lightning's ckpt.

    Raises UserError, in one or two lines, for what is missing, damaged, or holds other objects than tensors.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    with _explained(path):
        if path.suffix in (".npz", ".npy") or _holds_arrays(path):
            return _numpy(path)
        if path.suffix == ".safetensors":
            return _safetensors(path)
        return _torch(path)


def reason(error: Exception) -> str:
    """In one line, and without torch's own advice, which is to load the file although it may run code."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds other objects than tensors, and is not read further; torch.save(model.state_dict(), FILE)"
    if "pickle" in str(error).lower():
        return "it is damaged, or holds Python objects, which are not read; numpy.savez(FILE, *arrays)"
    return str(error).partition("\n")[0] or "it is empty"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (MemoryError, UserError):
        raise
    except Exception as error:  # whatever a reader makes of a foreign file
        named = _foreign(path) if isinstance(error, pickle.UnpicklingError) else ""
        raise UserError(f"{path} is no file of weights: {reason(error)}{named}") from error


def _holds_arrays(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(".npy") for name in archive.namelist())


def _numpy(path: Path) -> StoredTensors:
    found = numpy.load(path, allow_pickle=False)
    if isinstance(found, numpy.ndarray):
        raise UserError(f"{path} is a single array: numpy.savez(FILE, *arrays) keeps them all")
    with found:
        arrays = {name: found[name] for name in found.files if name != FACTS}
        facts = _facts(path, found[FACTS]) if FACTS in found.files else {}
    named = not all(_place(name) is not None for name in arrays)
    if not named:  # arr_10 comes after arr_2
        arrays = {str(_place(name)): arrays[name] for name in sorted(arrays, key=lambda n: _place(n) or 0)}
    return StoredTensors({name: _tensor(path, name, value) for name, value in arrays.items()}, named, facts)


def _place(name: str) -> int | None:
    number = name.removeprefix("arr_")
    return int(number) if number.isdigit() else None


def _facts(path: Path, value: Any) -> dict[str, Any]:
    try:
        facts = json.loads(str(value))
    except ValueError as error:
        raise UserError(f"{path}: facts are no JSON ({error})") from error
    if not isinstance(facts, dict):
        raise UserError(f"{path}: facts are to be a JSON object, as of the recipe's keys")
    return facts


def _tensor(path: Path, name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to_dense() if value.layout is not torch.strided else value.detach()
    try:
        return torch.from_numpy(numpy.array(value))
    except TypeError:
        kind = getattr(value, "dtype", type(value).__name__)
        raise UserError(
            f"{path}: {name} is {kind}, which is no number that torch knows; save it as float32"
        ) from None


def _safetensors(path: Path) -> StoredTensors:
    from safetensors.torch import load_file

    return StoredTensors(load_file(path, device="cpu"))


def _torch(path: Path) -> StoredTensors:
    with warnings.catch_warnings(), torch.serialization.safe_globals(_numpys_own()):
        warnings.simplefilter("ignore")  # of torch's plans for quantised tensors
        content = torch.load(path, map_location="cpu", weights_only=True)
    return _unwrapped(path, content)


def _numpys_own() -> list[Any]:
    """What torch must know to read arrays of numpy's: constructors and dtypes that run no code of the file's."""
    from numpy._core import multiarray as core

    dtypes = [getattr(numpy.dtypes, name) for name in numpy.dtypes.__all__ if name not in ("StringDType",)]
    return [
        *(core._reconstruct, (core._reconstruct, "numpy.core.multiarray._reconstruct")),
        *(core.scalar, (core.scalar, "numpy.core.multiarray.scalar")),
        *(numpy.ndarray, numpy.dtype, *dtypes),
    ]


def _unwrapped(path: Path, content: Any, wrapper: str = "") -> StoredTensors:
    notes = (f"{path.name}: the tensors are under '{wrapper}'",) if wrapper else ()
    if isinstance(content, list | tuple) and content and all(map(_is_array, content)):
        return StoredTensors(
            {str(k): _tensor(path, str(k), v) for k, v in enumerate(content)}, False, notes=notes
        )
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise UserError(f"{path} holds no state dict (names to tensors) but a {kind}")
    if content and all(map(_is_array, content.values())):
        return StoredTensors(
            {str(name): _tensor(path, str(name), v) for name, v in content.items()}, notes=notes
        )
    for name in WRAPPERS:
        if not wrapper and isinstance(content.get(name), Mapping | list | tuple):
            return _unwrapped(path, content[name], name)
    others = [str(name) for name, value in content.items() if not _is_array(value)]
    raise UserError(
        f"{path} holds no state dict (names to tensors): {', '.join(others[:3]) or 'it is empty'}"
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | numpy.ndarray | numpy.generic)


def _foreign(path: Path) -> str:
    """What a file holds beside tensors, as far as torch can tell without reading it."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # noqa: BLE001 - the old format, a pickle that is none: nothing to add
        return ""
    return f" (it names {', '.join(sorted(names)[:2])})" if names else ""
