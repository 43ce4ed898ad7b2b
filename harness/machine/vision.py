"""Let torchvision be imported beside a CPU-only torch.

The registry's torchvision is compiled against CUDA; beside a CPU build of torch its operator library can't be
loaded and `import torchvision` dies with "operator torchvision::nms does not exist" (pytorch/vision#9085).
Its datasets, models and transforms use none of those operators: declaring the missing schemas is enough.
Import this module before torchvision, torchmetrics, lpips or pytorch_lightning.
"""

import importlib.util
from pathlib import Path

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[torch.library.Library] = []
"""Kept alive: a Library takes its definitions with it when it is collected."""


def declare_operators() -> None:
    """Declare torchvision's operators where its compiled library does not load. Idempotent."""
    spec = importlib.util.find_spec("torchvision")
    if _libraries or spec is None or spec.origin is None:
        return
    try:
        for path in Path(spec.origin).parent.glob("_C.*so"):
            torch.ops.load_library(str(path))
    except OSError:
        pass
    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + _SIGNATURE)
    _libraries.append(library)


declare_operators()
