"""The losses on a plane of latent vectors through the one that GGL returns (Li et al. 2022, figure 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from harness.attacks.ggl import GGL
from harness.attacks.matching import trial_update
from harness.attacks.solvers.variables import LATENT
from harness.core import Batch, Metric, Observation, Params
from harness.runs.targets import Client

MATCHING, OBJECTIVE = "matching", "objective"
"""The distance of updates alone, and with the regularisers: what the attacker minimises."""
TOGETHER = 64
"""Images that are scored at once."""


@dataclass(frozen=True)
class Distance:
    """Something that has a value everywhere on a plane."""

    name: str
    title: str
    higher_is_better: bool = False


LOSSES = (Distance(MATCHING, "matching loss"), Distance(OBJECTIVE, "the attack's objective"))


def steps(points: int) -> list[float]:
    """So many numbers from -1 to 1, the middle one exactly 0."""
    half = points // 2
    return [(place - half) / half for place in range(points)]


def plane(z: Tensor, points: int, rng: torch.Generator) -> Tensor:
    """Latent vectors [points, points, n, k] around z [n, k], which is the middle: z + a d1 + b d2, a along the second
    axis, b along the first. The directions are Gaussian, made orthonormal, and as long as z."""
    drawn = torch.randn(z.numel(), 2, generator=rng, dtype=torch.float64)
    turned, triangle = torch.linalg.qr(drawn)
    directions = (turned * triangle.diagonal().sign()).T.to(z) * z.norm()
    first, second = directions.view(2, *z.shape)
    along = torch.tensor(steps(points)).to(z)[:, None, None]
    found: Tensor = z + along * first + (along * second)[:, None]
    return found


@dataclass(frozen=True)
class Landscape:
    """Values over the plane through what was found for one image, row by row, from b = -1 on and each from a = -1."""

    target: int
    """The image's number in the data set."""
    points: int
    """Along each side."""
    values: Mapping[str, Sequence[float]]
    """By name: `matching`, `objective`, and metrics."""

    def best(self, of: Distance) -> int:
        """Where it is best."""
        sign = -1 if of.higher_is_better else 1
        return min(range(self.points**2), key=lambda at: sign * self.values[of.name][at])

    def at(self, place: int) -> tuple[float, float]:
        """a and b of a place."""
        along = steps(self.points)
        return along[place % self.points], along[place // self.points]

    @property
    def middle(self) -> int:
        return self.points**2 // 2

    def valleys(self) -> int:
        """At how many places inside the plane the matching loss is lower than at all eight around them."""
        values, side = self.values[MATCHING], self.points
        around = [dy * side + dx for dy, dx in product((-1, 0, 1), repeat=2) if (dy, dx) != (0, 0)]
        inside = [y * side + x for y, x in product(range(1, side - 1), repeat=2)]
        return sum(all(values[at] < values[at + step] for step in around) for at in inside)


@torch.no_grad()
def survey(
    attack: GGL, client: Client, z: Tensor, points: int, metrics: Mapping[str, Metric], rng: torch.Generator
) -> Landscape:
    """The landscape around latent vectors z [1, k] that an attack on a client found; a metric that can't be had here is
    left out. Raises Unreadable where the update says nothing to the attack."""
    observation = client.problem.observation
    known = attack.prepare(observation)
    like = next(iter(observation.params.values()))
    losses, images = [], []
    for each in plane(z.to(like), points, rng).flatten(0, 1):
        matching, objective, image = _point(attack, observation, known, each)
        losses.append((matching, objective))
        images.append(image)
    one, other = zip(*losses, strict=True)
    seen = Batch(torch.cat(images), client.truth.y.expand(points**2))
    scored = {name: score(metric, seen, client) for name, metric in metrics.items()}
    found = {MATCHING: one, OBJECTIVE: other} | {name: v for name, v in scored.items() if v is not None}
    return Landscape(client.indices[0], points, found)


def _point(attack: GGL, observation: Observation, known: Params, z: Tensor) -> tuple[float, float, Tensor]:
    """Both losses at z [1, k], and the image [1, c, h, w] there."""
    variables = {LATENT: z}
    batch = attack.decode(variables, observation, known)
    trial = trial_update(batch, observation, known)
    matching = attack.mismatch(trial, observation)
    return float(matching), float(attack.compare(trial, variables, observation, known)), batch.x


def score(metric: Metric, seen: Batch, client: Client) -> list[float] | None:
    """A metric of images [m, c, h, w], each against the one image of a client."""
    observation, found = client.problem.observation, []
    for x, y in zip(seen.x.split(TOGETHER), seen.y.split(TOGETHER), strict=True):
        truth = Batch(client.truth.x.expand_as(x), y)
        values = metric(Batch(x.clamp(0, 1), y), truth, observation.model, observation.params)
        if values is None:
            return None
        found += values.tolist()
    return found
