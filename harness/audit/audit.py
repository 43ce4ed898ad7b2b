"""The whole way from an update to what it gives away."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.audit.attempts import AuditedAttack, attempts
from harness.audit.case import Case, open_case
from harness.audit.checks import Check, check
from harness.audit.conditions import Condition, conditions
from harness.audit.estimates import estimated
from harness.audit.exact import Exact, exact
from harness.audit.inputs import Files
from harness.audit.labels import Labels, infer
from harness.audit.own import own_data
from harness.audit.recipe import read_recipe
from harness.audit.truth import read_public, read_truth
from harness.base.threat import Need, letter
from harness.core import Batch

SHARE = 0.15
"""Of the budget, the most that SPEAR takes, and the most that other conditions take."""


@dataclass(frozen=True, eq=False)
class Audit:
    """All that was found out about one update."""

    case: Case
    checks: list[Check]
    labels: Labels
    exact: list[Exact]
    attempts: list[AuditedAttack]
    conditions: list[Condition]
    truth: Batch | None
    seconds: float

    @property
    def threat(self) -> str:
        """The letter of the attacker that was played."""
        training = set() if self.case.update.is_gradient else {Need.TRAINING}
        public = set() if self.case.public is None else {Need.GENERATOR}
        return letter({Need.BASICS, *training, *public})

    @property
    def verdict(self) -> str:
        """In one sentence, what leaks."""
        recovered = [each for each in self.exact if each.inputs is not None]
        parts = [_recovered(each) for each in recovered] or ["no image is recovered exactly"]
        parts += [f"{each.name}: {each.reason}" for each in self.attempts if each.status == "done"]
        return "; ".join([*parts, self.labels.verdict])


def _recovered(found: Exact) -> str:
    assert found.inputs is not None
    what = "images" if found.images else f"inputs of {found.layer}"
    return f"{len(found.inputs)} {what} recovered exactly ({found.name})"


def _is_whole(found: Exact, case: Case) -> bool:
    """Whether every image is recovered."""
    return found.images and found.inputs is not None and len(found.inputs) == case.recipe.examples


@sdpa_kernel(SDPBackend.MATH)  # fused attention has no second derivative
def audit(
    files: Files,
    recipe: Path | None,
    budget: float,
    truth: Path | None,
    own: Path | None = None,
    public: Path | None = None,
) -> Audit:
    """Check, count, solve and search, the cheapest first, within a budget of seconds.

    `truth` is for scoring alone, and `own` for the check of the recipe: no attack sees either. `public` are images that
    the attacker has. Raises UserError.
    """
    began = time.perf_counter()
    case = open_case(files, read_recipe(recipe, files.facts))
    known = None if truth is None else read_truth(truth, case.recipe.input)
    if public is not None:
        case = replace(case, public=read_public(public, case.recipe.input))
    checks = check(case)
    solved = exact(case, SHARE * budget)
    case = estimated(case, solved)
    if own is not None:
        checks.append(own_data(case, read_truth(own, case.recipe.input, "--own-data", numbered=True)))
    whole = next((each for each in solved if _is_whole(each, case)), None)
    labels = infer(case, None if whole is None else whole.labels)
    left = (1 - SHARE) * budget - (time.perf_counter() - began)
    counts = None if labels.best is None else labels.best.counts
    if whole is not None:
        reason = "every image is recovered exactly: there is nothing left to search for"
        names = ["IG"] if public is None else ["IG", "GGL"]
        tried = [AuditedAttack(name, "not run", reason) for name in names]
    else:
        with torch.random.fork_rng(devices=[]):
            tried = attempts(case, counts, left)
    changed = conditions(case, SHARE * budget)
    return Audit(case, checks, labels, solved, tried, changed, known, time.perf_counter() - began)
