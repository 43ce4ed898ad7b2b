"""How many images of each class: every rule that applies, beside the balanced guess."""

import time
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from harness.audit.case import Case
from harness.core import LabelInference, Observation, Unreadable, UserError
from harness.labels.analytic import Analytic
from harness.labels.controls import Balanced
from harness.labels.dimitrov import Dimitrov
from harness.labels.geng import Geng
from harness.labels.idlg import IDLG
from harness.labels.ilrg import ILRG
from harness.labels.llg import LLG
from harness.labels.llg_star import LLGStar
from harness.labels.yin import Yin

SLOWEST = 20_000
"""Images that LLG* may simulate, over all its dummy updates."""
GUESS = "balanced guess"


@dataclass(frozen=True, eq=False)
class Counted:
    """What one rule reads off the update; `counts` [classes] is None where it does not apply, for a reason."""

    rule: str
    counts: Tensor | None
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Labels:
    """All rules, and whether they say more than a guess: `agreement` of one with another, `guess` with the guess."""

    found: list[Counted]
    agreement: float | None
    guess: float | None
    verdict: str
    certified: Tensor | None = None
    """Counts [classes] that are known exactly, because every image is."""

    @property
    def best(self) -> Counted | None:
        """What is known exactly, else the rule that agrees most with the others."""
        if self.certified is not None:
            return Counted("SPEAR", self.certified)
        rules = _rules(self.found)
        return max(rules, key=lambda each: _agreed(each, rules), default=None)


def infer(case: Case, certified: Tensor | None = None) -> Labels:
    """Counts by every rule, and a verdict that needs no truth: rules that differ from each other as much as from the
    balanced guess say nothing beyond it. `certified` [n] are the labels of images that are all recovered exactly."""
    if certified is not None:
        counts = torch.bincount(certified, minlength=case.classes)
        return replace(
            infer(case),
            certified=counts,
            verdict="the label of every image is read off exactly, with the image",
        )
    if case.observation is None:
        return Labels(
            [Counted("every rule", None, case.lacking)], None, None, f"not inferred: {case.lacking}"
        )
    found = [_counted(name, rule, case.observation) for name, rule in _applying(case).items()]
    rules, guess = _rules(found), next(each for each in found if each.rule == GUESS)
    if case.recipe.examples == 1 and rules:
        return Labels(found, None, None, "the label of a single image is read off exactly")
    if len(rules) < 2:
        return Labels(found, None, None, "too few rules apply to tell whether they beat a guess")
    pairs = sorted(_share(one, other) for one, other in combinations(rules, 2))
    agreement = pairs[len(pairs) // 2]
    guessed = sorted(_share_of_a_guess(one, guess) for one in rules)[len(rules) // 2]
    beyond = agreement - guessed > max(0.05, 0.5 * (1 - agreement))
    words = "label counts leak" if beyond else "nothing beyond guessing"
    steps = f" after {case.steps} local steps" if not beyond and case.steps and case.steps > 1 else ""
    why = f"rules agree on {agreement:.0%} of the labels with each other, on {guessed:.0%} with the balanced guess"
    return Labels(found, agreement, guessed, f"{words}{steps}: {why}")


def share_right(counts: Tensor, truth: Tensor) -> float:
    """The share of labels that two multisets [classes] have in common."""
    return float(torch.minimum(counts, truth).sum()) / float(truth.sum())


def _applying(case: Case) -> dict[str, LabelInference | str]:
    """Rules by name, or why one is left out."""
    recipe, steps = case.recipe, case.steps or 1
    assert recipe.examples is not None
    simulated = LLGStar().passes * recipe.examples * recipe.epochs
    rules: dict[str, LabelInference | str] = {GUESS: Balanced()}
    if recipe.examples == 1:
        rules["iDLG"] = IDLG()
    return rules | {
        "analytic": Analytic() if recipe.examples > 1 else "for several images",
        "LLG": LLG(),
        "LLG*": LLGStar() if simulated <= SLOWEST else f"it would simulate {simulated} images: too slow",
        "GradInversion": Yin() if recipe.examples <= case.classes else "it finds distinct labels only",
        "Geng": Geng(),
        "Dimitrov": Dimitrov() if steps > 1 else "for several local steps",
        "iLRG": ILRG(),
    }


def _counted(name: str, rule: LabelInference | str, observation: Observation) -> Counted:
    if isinstance(rule, str):
        return Counted(name, None, rule)
    began = time.process_time()
    try:
        counts = rule.counts(observation)
    except (UserError, Unreadable) as error:
        return Counted(name, None, str(error))
    return Counted(name, counts, seconds=time.process_time() - began)


ASSUMING = ("analytic", "GradInversion", "LLG", GUESS)
"""Rules that assume something about the labels, and so have no say in the verdict."""


def _rules(found: list[Counted]) -> list[Counted]:
    return [each for each in found if each.counts is not None and each.rule not in ASSUMING]


def _share(one: Counted, other: Counted) -> float:
    assert one.counts is not None
    assert other.counts is not None
    return share_right(one.counts, other.counts)


def _share_of_a_guess(one: Counted, guess: Counted) -> float:
    """The share that the balanced guess has in the mean over all orders of the classes: which of them a guess of fewer
    images than classes begins with is a matter of their numbering."""
    assert one.counts is not None
    assert guess.counts is not None
    overlaps = torch.minimum(one.counts[:, None], guess.counts[None, :]).double()
    return float(overlaps.mean(1).sum() / guess.counts.sum())


def _agreed(one: Counted, rules: list[Counted]) -> float:
    return sum(_share(one, other) for other in rules)
