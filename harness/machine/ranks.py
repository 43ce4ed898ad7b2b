"""Ranks: processes that share the clients of a run, each with a GPU or a core of its own, through Lightning Fabric.

On one machine they are started here. On several, torchrun or SLURM starts the same command once per rank. What a rank
finds does not depend on the others, and they exchange nothing while they attack.
"""

import atexit
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from harness.base import interruption
from harness.core import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")

PATIENCE = timedelta(days=100)
"""For how long a rank that is done waits for the slowest one."""


for name in ("distributed", "rank_zero"):  # in every rank, before it says that it has begun
    logging.getLogger(f"lightning_fabric.utilities.{name}").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Share:
    """What one rank of several attacks."""

    rank: int = 0
    ranks: int = 1

    def has(self, number: int) -> bool:
        return number % self.ranks == self.rank


ALONE = Share()


class Group:
    """The ranks of a run: so many processes on each of so many nodes."""

    def __init__(self, ranks: int, nodes: int, device: str) -> None:
        """Raises UserError where there are fewer GPUs than ranks, or nobody has started the ranks of other nodes."""
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment
        from lightning_fabric.strategies.ddp import DDPStrategy

        if device == "cuda" and ranks > torch.cuda.device_count():
            raise UserError(f"ranks={ranks}: this machine has {torch.cuda.device_count()} usable GPUs")
        if nodes > 1 and not started_elsewhere():
            raise UserError(f"nodes={nodes}: have torchrun or SLURM start this command once per rank")
        _check_started(ranks, nodes)
        if started_elsewhere():  # and there may be more runs to come
            atexit.register(_leave)
        # All that ranks ever exchange is that they are done: gloo does that on any device.
        strategy = DDPStrategy(
            start_method="popen" if started_elsewhere() else "spawn",
            process_group_backend="gloo",
            timeout=PATIENCE,
        )
        self.fabric = Fabric(
            accelerator=device,
            devices=ranks,
            num_nodes=nodes,
            strategy=strategy,
            plugins=None if started_elsewhere() else [LightningEnvironment()],
        )

    @property
    def leads(self) -> bool:
        """Whether this process is the one that keeps the runs."""
        return self.fabric.global_rank == 0

    @contextmanager
    def heeding(self, stop: Path) -> Iterator[None]:
        """While the block runs, a request to stop that reaches one of the processes that torchrun or srun has started
        reaches all: by a file that all see. Who has stopped is not waited for, and is nobody's failure.
        """
        if not started_elsewhere():
            yield
            return
        stop.parent.mkdir(parents=True, exist_ok=True)
        if self.leads:  # the others look once the runs are there
            stop.unlink(missing_ok=True)
        with interruption.reaching(stop):
            try:
                yield
            except RuntimeError:  # of a barrier that those who have stopped do not come to
                interruption.check()
                raise
        if self.leads:
            stop.unlink(missing_ok=True)

    def launch(self, work: "Callable[[Fabric], T]") -> T:
        """Have every rank do the work, which can be pickled. Returns what the first one has to say."""
        found: T = self.fabric.launch(partial(_launched, work))
        return found

    def wait(self) -> None:
        """Wait for the other processes, if something else than `launch` started them."""
        self.fabric.barrier()


def _launched(work: "Callable[[Fabric], T]", fabric: "Fabric") -> T:
    try:
        return work(fabric)
    finally:
        if not started_elsewhere():  # this process ends with its work
            _leave()


def _leave() -> None:
    """Leave the others while Python is whole: gloo's threads now and then abort a process that ends without."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def started_elsewhere() -> bool:
    """Whether this process is itself one of several ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ or _started()[0] > 1


def _started() -> tuple[int, int]:
    """How many processes torchrun or srun has started, on how many machines; 1, 1 where neither has."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        processes = int(os.environ["WORLD_SIZE"])
        return processes, processes // int(os.environ["LOCAL_WORLD_SIZE"])
    # of the step: SLURM_NTASKS is there without srun too, in every script that sbatch starts
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)), int(os.environ.get("SLURM_STEP_NUM_NODES", 1))


def _check_started(ranks: int, nodes: int) -> None:
    """Raises UserError where other processes were started than are asked for, which Lightning says at length."""
    if not started_elsewhere():
        return
    processes, machines = _started()
    if (processes, machines) != (ranks * nodes, nodes):
        plural = "s" if machines > 1 else ""
        start = (
            f"torchrun --nnodes={nodes} --nproc-per-node={ranks}"
            if "TORCHELASTIC_RUN_ID" in os.environ
            else f"srun --nodes={nodes} --ntasks-per-node={ranks}"
        )
        raise UserError(
            f"{processes} processes were started on {machines} machine{plural}, and ranks={ranks} nodes={nodes} "
            f"asks for {ranks} on each of {nodes}: {start}"
        )
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(ranks))  # Lightning wants it said
