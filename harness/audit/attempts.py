"""Searches for pictures within a budget, and how their own loss compares with that of pictures that have no part."""

import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from harness.attacks.dlf import DLF
from harness.attacks.ggl import GGL
from harness.attacks.images import ImageSearch
from harness.attacks.inverting import InvertingGradients
from harness.attacks.matching import trial_update
from harness.attacks.sme import SurrogateModelExtension
from harness.attacks.solvers.adam import Adam
from harness.audit.case import Case
from harness.audit.prior import learnt
from harness.base.numbers import Natural
from harness.core import Batch, LabelInference, Observation, Problem, Unreadable, UserError, component
from harness.labels.automatic import Automatic

MOST_IMAGES, MOST_STEPS = 64, 64
"""Of a client whose training is unrolled: beyond, a search takes hours and finds nothing that is known of."""
ITERATIONS, SURROGATE_STEPS, LATENT_STEPS = 4000, 1000, 2500
"""Of IG, of SME and of GGL, at most."""
LEAST = 50
"""Iterations below which a search is not worth its report."""
TRIAL = 5
PRIOR = 0.6
"""Of the time of GGL, the share in which its prior is learnt."""
ROUNDING = 1e-6
"""A loss that is none, in single precision."""
Search = ImageSearch | GGL


@component
class Known(LabelInference):
    """Labels that were read off the update before."""

    found: tuple[Natural, ...]

    def counts(self, observation: Observation) -> Tensor:
        return torch.tensor(self.found)


@dataclass(frozen=True, eq=False)
class AuditedAttack:
    """What came of an attack. `images` [n, c, h, w] in [0, 1], with the attacker's own loss at them and at others."""

    name: str
    status: str
    reason: str
    seconds: float = 0.0
    images: Tensor | None = None
    losses: dict[str, float] = field(default_factory=dict)
    psnr: list[float] | None = None
    matched: Tensor | None = None
    """The true image [n, c, h, w] beside each of `images`, where the truth is given."""


def attempts(case: Case, counts: Tensor | None, seconds: float) -> list[AuditedAttack]:
    """Every attack that applies, the cheapest first, in equal shares of the seconds that are left."""
    observation, found = case.observation, list[AuditedAttack]()
    if observation is None:
        names = ["IG"] if case.public is None else ["IG", "GGL"]
        return [AuditedAttack(name, "not applicable", case.lacking) for name in names]
    searches = _searches(case, counts)
    for place, (name, search) in enumerate(searches.items()):
        waiting = len(searches) - place + (case.public is not None)
        share = (seconds - sum(each.seconds for each in found)) / waiting
        found.append(_searched(case, observation, name, search, share))
    if case.public is not None:
        left = seconds - sum(each.seconds for each in found)
        found.append(_generative(case, observation, case.public, counts, left))
    return found


def _searches(case: Case, counts: Tensor | None) -> dict[str, Search]:
    """By name, the cheapest first; what needs public images is not among them."""
    if case.update.is_gradient:
        return {"IG": _inverting(case, counts)}
    found: dict[str, Search] = {}
    if (case.steps or 1) > 1:
        found["SME"] = _surrogate(counts)
    found["IG on updates"] = _inverting(case, counts)
    if case.recipe.epochs > 1:
        found["DLF"] = _federated(counts)
    return found


def _rule(counts: Tensor | None) -> LabelInference:
    return Automatic() if counts is None else Known(found=tuple(counts.tolist()))


def _inverting(case: Case, counts: Tensor | None) -> InvertingGradients:
    smooth = 0.01 if case.steps == 1 else 1e-6
    optimizer = Adam(lr=0.1, signed=True, schedule="step")
    return InvertingGradients(
        labels=_rule(counts), optimizer=optimizer, steps=ITERATIONS, total_variation=smooth, engine="loop"
    )


def _surrogate(counts: Tensor | None) -> SurrogateModelExtension:
    optimizer = Adam(lr=1.0, schedule="step")
    return SurrogateModelExtension(
        labels=_rule(counts), optimizer=optimizer, steps=SURROGATE_STEPS, engine="loop"
    )


def _federated(counts: Tensor | None) -> DLF:
    optimizer = Adam(lr=0.1, schedule="exponential")
    return DLF(labels=_rule(counts), optimizer=optimizer, steps=400, engine="loop")


def _generative(
    case: Case, observation: Observation, public: Tensor, counts: Tensor | None, seconds: float
) -> AuditedAttack:
    """GGL by its authors' settings for Adam, but for the distance: D2 does not see the learning rate."""
    optimizer = Adam(lr=0.1, signed=True, schedule="step")
    search = GGL(
        labels=_rule(counts),
        optimizer=optimizer,
        steps=LATENT_STEPS,
        distance="cosine",
        per_tensor=False,
        start="normal",
        engine="loop",
    )
    if reason := _beyond(case, search):
        return AuditedAttack("GGL", "not applicable", reason)
    began = time.perf_counter()
    try:
        prior = learnt(public, PRIOR * seconds)
    except UserError as error:
        return AuditedAttack("GGL", "not applicable", str(error), time.perf_counter() - began)
    knowledge = replace(observation.knowledge, prior=prior.generator)
    left = seconds - (time.perf_counter() - began)
    found = _searched(case, replace(observation, knowledge=knowledge), "GGL", search, left)
    return replace(found, reason=f"{prior.origin}; {found.reason}", seconds=time.perf_counter() - began)


def _beyond(case: Case, search: Search) -> str:
    """Why a client is beyond a search that unrolls its steps; empty where it is not."""
    unrolled = 1 if isinstance(search, SurrogateModelExtension) else case.steps or 1
    if (case.recipe.examples or 0) <= MOST_IMAGES and unrolled <= MOST_STEPS:
        return ""
    return f"{case.recipe.examples} images in {case.steps} local steps are beyond any search that is known of"


def _searched(
    case: Case, observation: Observation, name: str, search: Search, seconds: float
) -> AuditedAttack:
    if reason := _beyond(case, search):
        return AuditedAttack(name, "not applicable", reason)
    began = time.perf_counter()
    try:
        (_,) = replace(search, steps=TRIAL)([Problem(0, observation, 0)])
        cost = (time.perf_counter() - began) / TRIAL
        steps = min(search.steps, int((seconds - (time.perf_counter() - began)) / cost))
        if steps < LEAST:
            reason = f"{LEAST} iterations would take {LEAST * cost:.0f} s, more than is left of the budget"
            return AuditedAttack(name, "not run", reason, time.perf_counter() - began)
        found = next(iter(replace(search, steps=steps)([Problem(0, observation, 0)])))
    except (UserError, Unreadable) as error:
        return AuditedAttack(name, "not applicable", str(error), time.perf_counter() - began)
    spent = time.perf_counter() - began
    if found.status in ("failed", "diverged"):
        return AuditedAttack(name, "failed", f"the search {found.status}", spent)
    losses = _losses(case, search, observation, found.x)
    return AuditedAttack(name, "done", _told(losses, steps), spent, found.x, losses)


def _losses(case: Case, search: Search, observation: Observation, found: Tensor) -> dict[str, float]:
    """The attacker's own loss at what it found, at other photographs, at flat grey and at noise."""
    known = search.prepare(observation)
    images = {
        "found": found,
        "other images": case.others(observation.n),
        "grey": torch.full_like(found, 0.5),
        "noise": torch.rand(found.shape, generator=torch.Generator().manual_seed(1)),
    }
    return {name: _mismatch(search, observation, known, x) for name, x in images.items()}


def _mismatch(search: Search, observation: Observation, known: dict[str, Tensor], x: Tensor) -> float:
    if isinstance(search, GGL):
        trial = trial_update(Batch(x, known["labels"]), observation, known)
        return float(search.mismatch(trial, observation).detach())
    units = observation.model.normalize(x)
    sets = len(observation.protocol.epochs(observation.n)) if isinstance(search, DLF) else 1
    # What is searched for beside images stays where it begins: it is no part of a picture.
    beside = search.initial(observation, torch.Generator().manual_seed(0))
    return search.score(beside | {"images": units.repeat(sets, 1, 1, 1)}, observation, known, 0.0)


def _told(losses: dict[str, float], steps: int) -> str:
    """Whether the attacker itself can tell a match from a picture that only looks like one."""
    least = min(value for name, value in losses.items() if name != "found")
    if least <= ROUNDING:
        return f"{steps} iterations; other images explain the update as well as any: it says next to nothing of them"
    quotient = losses["found"] / least
    words = "explains the update far better" if quotient < 0.1 else "explains the update better"
    if quotient > 0.7:
        words = "explains the update no better"
    return f"{steps} iterations; what was found {words} than other images ({quotient:.2g} of their loss)"


def batch_of_others(case: Case, count: int, client: int = 0) -> Batch:
    """Images that the client has not, under labels drawn evenly, others for each client."""
    y = torch.randint(case.classes, (count,), generator=torch.Generator().manual_seed(2 + client))
    return Batch(case.others(count, skip=client * count), y)
