"""What the survey proves, as checks of a second: Theorem 1's contraction, Proposition 2's expectation, two formulas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.base.rows import pipes

SPECTRUM = (1.0, 10.0)
"""The curvatures of a quadratic, which is 1-strongly convex and 10-smooth."""
ITERATIONS = 20


@dataclass(frozen=True)
class Descent:
    """Gradient descent on a quadratic from (1, ..., 1): how far it is after so many steps, and by what bounds."""

    step: float
    distance: float
    printed: float
    """(1 - mu / (mu + L))^I, times the distance at the start, without noise."""
    proven: float | None
    """(1 - 2 step mu L / (mu + L))^(I / 2), times the same; None where the step is beyond 2 / (mu + L)."""


def descent(step: float, spectrum: Sequence[float] = SPECTRUM, iterations: int = ITERATIONS) -> Descent:
    """Guo et al., Theorem 1, on f(x) = sum of c x^2 / 2 over the spectrum's c, with kappa = 0.

    The paper allows steps up to sqrt(2 / (mu + L)). What is proven is Nesterov 2004, theorem 2.1.15.
    """
    mu, smooth = min(spectrum), max(spectrum)
    start = math.sqrt(len(spectrum))
    distance = math.sqrt(sum((1 - step * c) ** (2 * iterations) for c in spectrum))
    printed = (1 - mu / (mu + smooth)) ** iterations * start
    proven = None
    if step <= 2 / (mu + smooth):
        proven = (1 - 2 * step * mu * smooth / (mu + smooth)) ** (iterations / 2) * start
    return Descent(step, distance, printed, proven)


def alone(held: Tensor, images: int) -> float:
    """Guo et al., Proposition 2: how many of so many images are expected alone in their bin, where they are drawn, each
    once, from a data set of which the bins hold so many, held [bins]."""
    total = held.double().sum()
    others = torch.arange(images - 1, dtype=torch.float64)
    free = (total - held.double()[:, None] - others).clamp_min(0) / (total - 1 - others)
    return float(images * (held / total * free.prod(1)).sum())


def alone_of_equal(bins: int, images: int) -> float:
    """The same for bins that all images fall into alike, as the paper has it: n (1 - 1/K)^(n - 1)."""
    return images * (1 - 1 / bins) ** (images - 1)


def block_parameters(pixels: int, bins: int) -> int:
    """Of RTF's block, as Figure 10 counts them: 2 N K + K + N."""
    return 2 * pixels * bins + bins + pixels


def cap(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The best PSNR in dB [n] of a generator that ends in tanh, where images [n, c, h, w] in [0, 1] are sought in the
    data set's own units: what lies beyond [-1, 1] can't be made. Infinite where nothing does."""
    shift, scale = (torch.tensor(each, dtype=images.dtype)[:, None, None] for each in (mean, std))
    reachable = ((images - shift) / scale).clamp(-1, 1) * scale + shift
    return -10 * (reachable - images).square().flatten(1).mean(1).log10()


def theorem() -> str:
    """Theorem 1 at the largest step that it allows, and at others, as Markdown."""
    mu, smooth = min(SPECTRUM), max(SPECTRUM)
    steps = {
        "sqrt(2 / (mu + L)), the largest that is allowed": math.sqrt(2 / (mu + smooth)),
        "2 / (mu + L)": 2 / (mu + smooth),
        "1 / (mu + L)": 1 / (mu + smooth),
        "0.5 / (mu + L)": 0.5 / (mu + smooth),
    }
    lines = [("step", "distance after 20 steps", "bound as printed", "it holds", "bound that is proven")]
    for name, step in steps.items():
        found = descent(step)
        holds = "yes" if found.distance <= found.printed * (1 + 1e-12) else "**no**"
        proven = "none: the step is too large" if found.proven is None else f"{found.proven:.3g}"
        lines.append((name, f"{found.distance:.3g}", f"{found.printed:.3g}", holds, proven))
    return pipes(lines)
