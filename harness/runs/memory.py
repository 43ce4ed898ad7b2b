"""How much memory a run is sure to ask for, before it does: a system may kill what it has promised memory to."""

import math
from pathlib import Path

import torch

from harness.attacks.optimization import OptimizationAttack
from harness.config.experiment import Experiment
from harness.core import Model
from harness.machine.device import device

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_memory(experiment: Experiment) -> None:
    """Raises MemoryError where weights, update and a gradient for each slot are more than there is."""
    attack, dataset = experiment.attack, experiment.dataset
    wanted = (attack.slots or 1) if isinstance(attack, OptimizationAttack) else 1
    slots = min(wanted, experiment.trials * attack.restarts)
    parameters = weights(experiment.victim, dataset.shape, len(dataset.classes))
    asked = 4 * (parameters * (2 + slots) + experiment.fl.examples * math.prod(dataset.shape))
    there = available(device(experiment.device))
    if asked > there:
        raise MemoryError(
            f"tried to allocate {asked / 2**30:.1f} GiB, and {there / 2**30:.1f} GiB are available"
        )


def weights(model: Model, shape: tuple[int, int, int], classes: int) -> int:
    """How many numbers the parameters of a network are, which is built without them."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = model.network(shape, classes)
    return sum(parameter.numel() for parameter in network.parameters())


def available(place: torch.device) -> int:
    """Bytes that a device has free; of the main memory, no more than the process may have."""
    if place.type == "cuda":
        return int(torch.cuda.mem_get_info(place)[0])
    found = [
        int(text)
        for path in map(Path, LIMITS)
        if path.exists() and (text := path.read_text().strip()).isdigit()
    ]
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return min(found, default=2**63)
