"""The native code as it was built at install (search.c, residual.c): chosen by the processor, checked, loaded once."""

import ctypes
import functools
import importlib.util
from pathlib import Path

import torch

from harness.base.errors import warn

VERSION = 3
"""Of what the native code and this package say to each other: a library of another one is not used."""
LANES = 16
"""Channels of a map, those that there are none of included."""
LEVELS = {
    "AVX512": {"x86-64-v4": "_search_v4", "x86-64-v3": "_search_v3"},
    "AVX2": {"x86-64-v3": "_search_v3"},
}
"""The libraries, by what torch says of the processor. These two find the same to the last bit (lanes.h); one without
fused products does not."""
MOST_LAYERS, MOST_KERNEL = 8, 8

Numbers = ctypes.POINTER(ctypes.c_float)


class Layer(ctypes.Structure):
    """`Layer` of search.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("channels_in", "channels_out", "height", "width")),
        *((name, ctypes.c_int32) for name in ("kernel_high", "kernel_wide", "stride_down", "stride_across")),
        *((name, ctypes.c_int32) for name in ("pad_above", "pad_beside")),
        *((name, Numbers) for name in ("weight", "transposed", "bias", "received", "received_bias")),
    )


class NativeProblem(ctypes.Structure):
    """`Problem` of search.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("layers", "classes", "size", "budget", "every", "soft")),
        *((name, ctypes.c_int32) for name in ("exploded_steps", "history", "most_moves")),
        *((name, ctypes.c_float) for name in ("tolerance", "exploded", "rate")),
        *((name, ctypes.c_float) for name in ("tolerance_gradient", "tolerance_change")),
        *((name, Numbers) for name in ("head", "head_bias", "delta", "hidden", "target", "start")),
        ("layer", Layer * MOST_LAYERS),
    )


def level() -> str:
    """The instructions of the library that fits this processor; plain: those of any."""
    return next(iter(libraries()), "plain")


def built() -> Path | None:
    """The library that was built for such a processor when the harness was installed."""
    return next(iter(libraries().values()), None)


def libraries() -> dict[str, Path]:
    """All that were, by their instructions, the best first."""
    names = LEVELS.get(torch.backends.cpu.get_cpu_capability(), {"plain": "_search"})
    specs = {each: importlib.util.find_spec(f"{__package__}.{name}") for each, name in names.items()}
    return {each: Path(spec.origin) for each, spec in specs.items() if spec is not None and spec.origin}


@functools.cache
def load() -> ctypes.CDLL | None:
    """The native code; None, with one warning, where it was not built or can't be used."""
    path = built()
    if path is None or not path.exists():
        return _unusable("the native search was not built, for want of a C compiler")
    try:
        version = ctypes.CDLL(str(path)).search_version()
    except (OSError, AttributeError):
        return _unusable(f"{path} is damaged")
    return opened(path) if version == VERSION else _unusable(f"{path} is of version {version}, not {VERSION}")


def opened(path: Path) -> ctypes.CDLL:
    """A library of this version, told what it takes and returns."""
    found = ctypes.CDLL(str(path))
    found.search_new.restype = ctypes.c_void_p
    found.search_new.argtypes = [ctypes.POINTER(NativeProblem)]
    found.search_run.argtypes = [ctypes.c_void_p, ctypes.c_int]
    found.search_closure.restype = ctypes.c_float
    found.search_closure.argtypes = [ctypes.c_void_p] * 3
    found.search_read.argtypes = [ctypes.c_void_p] * 6
    if patient(found):
        found.search_patience.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_double]
        found.search_patience.restype = None
    found.search_free.argtypes = [ctypes.c_void_p]
    found.search_free.restype = found.search_read.restype = None
    found.residual_new.restype = ctypes.c_void_p
    found.residual_new.argtypes = [ctypes.c_void_p]
    found.residual_update.argtypes = found.residual_slopes.argtypes = [ctypes.c_void_p] * 4
    found.residual_free.argtypes = [ctypes.c_void_p]
    found.residual_free.restype = found.residual_update.restype = found.residual_slopes.restype = None
    return found


def patient(found: ctypes.CDLL) -> bool:
    """Whether it has what came last, without which it is as good for all else."""
    return hasattr(found, "search_patience")


def _unusable(reason: str) -> ctypes.CDLL | None:
    warn(f"{reason}: lowrank is used, which is slower; install the harness anew to build it")
    return None
