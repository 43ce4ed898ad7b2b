"""What an update gives away without a search for pictures: inputs of a dense layer, with a certificate for each."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.audit.case import Case
from harness.audit.dense import Dense, single_input
from harness.audit.layers import DenseLayer, slopes_by_label
from harness.audit.spear import Found, spear
from harness.core import generator

MOST = 24
"""Inputs that SPEAR is asked to tell apart: of more, in layers as wide as are common, it finds few."""
RESIDUAL = 1e-3
"""Of a single input's fit: more says that there were several."""
TRIALS = 16
"""Draws of noise within which an input's gradient is held to that of its label."""
LIKENESS, ALONE = 1e-6, 1e-12
"""How far (1 - cosine) the gradient of a certified input may be from that of its best label, where all of a batch agree
with their units, and where only some do."""


@dataclass(frozen=True, eq=False)
class Exact:
    """What came of a closed form. `inputs` [k, inputs] in the network's units, certified each; `images`: they are
    images. `labels` [k] are those that certify them."""

    name: str
    status: str
    reason: str
    seconds: float
    inputs: Tensor | None = None
    labels: Tensor | None = None
    images: bool = False
    layer: str = ""


def exact(case: Case, seconds: float) -> list[Exact]:
    """The closed forms on the first dense layer, each with what came of it or why it does not apply."""
    began = time.process_time()
    names = ("distinct inputs", "single input", "SPEAR")
    if not case.layers:
        return [
            _not(name, "the network has no dense layer with a bias that sees each image once")
            for name in names
        ]
    layer = case.layers[0]
    dense = case.dense(layer)
    if dense is None:
        return [_not(name, f"{layer.name} was not sent, or did not move") for name in names]
    if case.coupled:
        return [_not(name, "batch norm mixes the images of a batch in train mode") for name in names]
    if case.steps != 1 and not layer.images:
        reason = f"what {layer.name} sees changes from one local step to the next, or how many there were is not known"
        return [_not(name, reason) for name in names]
    rank = dense.rank
    counted = (
        f"{rank} by the rank of {layer.name}"
        if rank
        else f"more than {len(dense.bias) // 2} or none to be told"
    )
    found = [Exact(names[0], "done", counted, time.process_time() - began, layer=layer.name)]
    return [*found, _single(layer, dense, rank), _several(case, layer, dense, rank, seconds)]


def _not(name: str, reason: str) -> Exact:
    return Exact(name, "not applicable", reason, 0.0)


def _single(layer: DenseLayer, dense: Dense, rank: int | None) -> Exact:
    began = time.process_time()
    if rank != 1:
        return _not("single input", f"{rank or 'many'} distinct inputs are behind {layer.name}")
    found, residual = single_input(dense)
    spent = time.process_time() - began
    if residual > RESIDUAL:
        return Exact("single input", "failed", f"the fit leaves {residual:.1e}", spent)
    what = "the image" if layer.images else f"the input of {layer.name}, no image"
    reason = f"{what}, with a residual of {residual:.1e}"
    return Exact("single input", "done", reason, spent, found[None], None, layer.images, layer.name)


def _several(case: Case, layer: DenseLayer, dense: Dense, rank: int | None, seconds: float) -> Exact:
    if reason := _unfit(case, layer, rank):
        return _not("SPEAR", reason)
    began = time.process_time()
    assert rank is not None
    found = spear(dense, rank, seconds, generator("audit", "spear"))
    certified, labels = _certified(case, layer, found)
    count, spent = int(certified.sum()), time.process_time() - began
    if not count:
        agree = f"; {int(found.agree.sum())} agree with their units, but may hold a little of the others"
        reason = f"none of {rank} inputs is certified{agree if bool(found.agree.any()) else ''}"
        return Exact("SPEAR", "failed", reason, spent)
    reason = f"{count} of {rank} certified"
    inputs, known = found.inputs[certified], labels[certified]
    return Exact("SPEAR", "done", reason, spent, inputs, known, layer.images, layer.name)


def _unfit(case: Case, layer: DenseLayer, rank: int | None) -> str:
    if case.steps is not None and case.steps > 1:
        return f"there were {case.steps} local steps, and it is exact for one"
    if not layer.relu:
        return f"{layer.name} is not followed by ReLU"
    if rank is None or rank > MOST:
        return f"more than {MOST} distinct inputs are behind {layer.name}"
    return "a single input needs no search" if rank == 1 else ""


def _certified(case: Case, layer: DenseLayer, found: Found) -> tuple[Tensor, Tensor]:
    """Which inputs have the very gradient [k, units] that the network gives them under one label, and that label.

    Where only some agree with their units, what is not known of the others may be mixed into any, which its own
    gradient hardly shows: it is to be the same up to rounding.
    Within its doubt an input may switch a unit of a later layer that is almost at zero: so it is tried with a little
    noise of that size too.
    """
    labels = torch.zeros(len(found.inputs), dtype=torch.int64)
    certified, rng = torch.zeros_like(found.agree), generator("audit", "certificate")
    trials, most = (TRIALS, LIKENESS) if bool(found.agree.all()) else (1, ALONE)
    for trial in range(trials):
        left = (found.agree & ~certified).nonzero().flatten()
        if not len(left):
            break
        noise = torch.randn(found.inputs[left].shape, generator=rng, dtype=found.inputs.dtype)
        inputs = found.inputs[left] + (trial > 0) * found.doubt[left, None] * noise
        expected = slopes_by_label(case.model, layer.name, inputs, case.recipe.input, case.classes).double()
        best = torch.cosine_similarity(expected, found.slopes[left], dim=2).max(0)
        certified[left], labels[left] = 1 - best.values < most, best.indices
    return certified, labels
