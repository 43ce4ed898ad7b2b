"""CPU time of one thread, taken in turns so that a busy machine slows both sides alike."""

import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode


class Stopwatch:
    """CPU seconds of this process, summed over the blocks that it is put around."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self.started = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self.started


def interleaved(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each side's call, all sides in turn, after one call that is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, call in sides.items():
            with Stopwatch() as watch:
                call()
            if turn:
                spent[name].append(watch.seconds)
    return {name: statistics.median(values) for name, values in spent.items()}


def operations(call: Callable[[], object]) -> float:
    """Floating-point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def sgemm_peak(size: int = 1024, repeats: int = 9) -> float:
    """Operations per second of a square float32 matrix product on this thread."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    return 2 * size**3 / interleaved({"sgemm": lambda: a @ b}, repeats)["sgemm"]


def peak_memory() -> float:
    """The most memory that this process has ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, str]:
    """What was measured on."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.is_file()
        else [platform.processor()]
    )
    return {"machine": models[0] if models else platform.machine(), "torch": torch.__version__}
