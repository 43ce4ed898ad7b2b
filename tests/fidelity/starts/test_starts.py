"""Where attacks begin: feedback blending of Leite et al. 2024, written out, and the controls beside it."""

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from harness.base.components import build
from harness.core import Images, Status, generator
from harness.starts.policy import SearchResult, StartPolicy
from tests.fidelity.conftest import Fidelity
from tests.fidelity.ledger import CONF

SHAPE = (1, 1, 4, 4)
COURSE = "FSSFSSSFFS"
"""How the attacks of a sequence end: by success or failure."""


class Public(Images):
    """Five images, all of one class."""

    def __init__(self) -> None:
        self.x = torch.rand(5, *SHAPE[1:], generator=generator("public"), dtype=torch.float64)
        self.indices, self.labels = list(range(5)), torch.zeros(5, dtype=torch.int64)

    def __len__(self) -> int:
        return 5

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.x[position], 0


def policy(name: str) -> StartPolicy:
    setting: Any = OmegaConf.to_container(OmegaConf.load(CONF / "start" / f"{name}.yaml"))
    found: StartPolicy = build("start", setting)
    return found


def results() -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    scale = [1.0 if end == "S" else 1e4 for end in COURSE]
    return [each * torch.rand(*SHAPE, generator=draw, dtype=torch.float64) for each in scale]


def course(name: str) -> list[Tensor | None]:
    """The start before each attack of the sequence, and the one after the last."""
    rule = policy(name)
    memory, found = rule.begin(Public), []
    for end, x in zip(COURSE, results(), strict=True):
        found.append(rule.start(memory, SHAPE, generator("start")))
        status: Status = "converged" if end == "S" else "budget"
        memory = rule.learn(memory, SearchResult(x, 0.1, status))
    return [*found, rule.start(memory, SHAPE, generator("start"))]


def blended(counts: str, share: float, after: int) -> list[Tensor | None]:
    """C = a R + (1 - a) C over the attacks that count, used once there are as many as `after` of them."""
    kept: list[Tensor] = []
    found: list[Tensor | None] = []
    for end, x in zip(COURSE, results(), strict=True):
        found.append(_blend(kept, share) if len(kept) >= after else None)
        if end in counts:
            kept.append(x)
    return [*found, _blend(kept, share)]


def _blend(kept: list[Tensor], share: float) -> Tensor:
    """Unrolled: the latest has the share a, the one before it a (1 - a), and so on; the first what is left."""
    latest_first = kept[::-1]
    weights = [share * (1 - share) ** age for age in range(len(kept) - 1)] + [(1 - share) ** (len(kept) - 1)]
    return torch.stack([w * x for w, x in zip(weights, latest_first, strict=True)]).sum(0)


@pytest.mark.parametrize(
    ("name", "counts", "share", "after", "what"),
    [
        ("feedback", "S", 0.5, 2, "C = R/2 + C/2 over successes, from the second on"),
        ("feedback_noise_factor", "SF", 0.5, 2, "C = R/2 + C/2 over all results, from the second on"),
        ("previous", "S", 1.0, 1, "the latest success (a = 1: a control)"),
    ],
)
def test_what_was_found_is_blended(
    name: str, counts: str, share: float, after: int, what: str, fidelity: Fidelity
) -> None:
    found, expected = course(name), blended(counts, share, after)
    assert [each is None for each in found] == [each is None for each in expected]
    fidelity(
        "start",
        name,
        f"{what} (Leite et al. 2024, section 4, equation 1; section 5.2)",
        [each for each in found if each is not None],
        [each for each in expected if each is not None],
    )


def test_the_controls(fidelity: Fidelity) -> None:
    grey, noise, mean = (course(name)[-1] for name in ("constant_grey", "uniform", "mean_image"))
    assert grey is not None
    assert noise is not None
    assert mean is not None
    fidelity("start", "constant_grey", "1/2 in every pixel (a control)", grey, torch.full(SHAPE, 0.5))
    drawn = torch.rand(SHAPE, generator=generator("start"))
    fidelity("start", "uniform", "U(0, 1), drawn for each attack (a control)", noise, drawn)
    images = [Public()[place][0] for place in range(5)]
    expected = (images[0] + images[1] + images[2] + images[3] + images[4]) / 5
    what = "the mean of the public images (a control; float32)"
    fidelity("start", "mean_image", what, mean[0], expected, tolerance=1e-6)
