"""How the process keeps memory that is freed."""

import ctypes
import functools
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEPT = 1 << 30
"""Bytes that may lie idle at the top of the heap."""


@functools.cache
def reuse_freed_memory() -> None:
    """Have glibc reuse a step's freed tensors in the next step; elsewhere do nothing.

    By default it hands every block of some size back to the kernel, which then maps and clears the same pages again:
    a third of the time of many small networks side by side, and of convolutions on a batch, whose blocks are large.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, KEPT)
