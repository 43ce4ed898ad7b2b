"""What would change the verdict: the same client under other conditions, simulated on photographs of nobody's."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from harness.audit.attempts import batch_of_others
from harness.audit.case import PREFIX, Case, protocol
from harness.audit.exact import exact
from harness.audit.inputs import Update
from harness.audit.labels import GUESS, infer, share_right
from harness.base.errors import UserError
from harness.core import Defense, Knowledge, Observation, Unreadable, generator, normalized
from harness.core.gradient import gradient
from harness.defenses.clipping import Clipping
from harness.defenses.noise import Noise
from harness.defenses.none import NoDefense
from harness.defenses.soteria import Soteria
from harness.defenses.sparsification import Sparsification

MOST = 2000
"""Images that a simulated client may train on, over all epochs."""


@dataclass(frozen=True)
class Condition:
    """What leaks under it: images or inputs recovered exactly, and the share of labels by the rule that agrees most
    with the others beside that of the balanced guess. None: it can't be told, for a reason."""

    name: str
    exact: int | None = None
    labels: float | None = None
    guess: float | None = None
    reason: str = ""


def conditions(case: Case, seconds: float) -> list[Condition]:
    """As it was, with a batch twice as large, five times as many epochs, and under each defence."""
    if case.observation is None:
        return [Condition("every condition", reason=case.lacking)]
    variants = dict(_variants(case))
    return [_tried(name, *variant, seconds / len(variants)) for name, variant in variants.items()]


def _variants(case: Case) -> Iterator[tuple[str, tuple[Case, Defense | None]]]:
    recipe = case.recipe
    assert recipe.examples is not None
    yield "as it was", (case, None)
    doubled = replace(recipe, examples=2 * recipe.examples, order=None)
    if recipe.batch_size is not None:
        doubled = replace(doubled, batch_size=2 * recipe.batch_size)
    yield "batch and examples x 2", (replace(case, recipe=doubled), None)
    if not case.update.is_gradient:
        yield (
            "epochs x 5",
            (replace(case, recipe=replace(recipe, epochs=5 * recipe.epochs, order=None)), None),
        )
    norm = float(torch.cat([value.flatten() for value in case.update.change.values()]).norm())
    size = norm / sum(value.numel() for value in case.update.change.values()) ** 0.5
    yield "clipping to half its norm", (case, Clipping(bound=norm / 2))
    yield "noise as large as a tenth of the update", (case, Noise(sigma=size / 10))
    yield "noise as large as the update", (case, Noise(sigma=size))
    yield "sparsification by 90 %", (case, Sparsification(percent=90))
    yield "Soteria by 80 %", (case, Soteria(percent=80))


def _tried(name: str, case: Case, defense: Defense | None, seconds: float) -> Condition:
    assert case.recipe.examples is not None
    if case.recipe.examples * case.recipe.epochs > MOST:
        return Condition(name, reason=f"more than {MOST} images would be trained on")
    try:
        simulated, counts = _simulated(case, defense)
        certified = [each for each in exact(simulated, min(seconds, 3.0)) if each.inputs is not None]
        labels = infer(simulated)
    except (UserError, Unreadable) as error:
        return Condition(name, reason=str(error))
    best, guess = labels.best, next((each for each in labels.found if each.rule == GUESS), None)
    return Condition(
        name,
        max((len(each.inputs) for each in certified if each.inputs is not None), default=0),
        None if best is None or best.counts is None else share_right(best.counts, counts),
        None if guess is None or guess.counts is None else share_right(guess.counts, counts),
    )


def _simulated(case: Case, defense: Defense | None) -> tuple[Case, torch.Tensor]:
    """The case of a client that holds photographs, as its defence sends them; and how many it has of each class."""
    assert case.recipe.examples is not None
    assert case.observation is not None
    batch = batch_of_others(case, case.recipe.examples)
    params, made, rng = case.observation.params, protocol(case), generator("audit", "conditions")
    defense = defense or NoDefense()
    batch, order = defense.on_batch(batch, rng), made.order(rng)
    sent = made.update(case.model, params, batch, order, gradient=defense.on_gradient(gradient, rng))
    with normalized(case.model, made.normalization):
        sent = defense.on_update(sent, case.model, params, batch, rng)
    sent = {name: value.detach() for name, value in sent.items()}
    change = {name.removeprefix(PREFIX): value.double() for name, value in sent.items()}
    update = Update(case.update.before, change, {}, case.update.is_gradient, case.update.half)
    observation = Observation(
        model=case.model,
        params=params,
        update=sent,
        protocol=made,
        n=case.recipe.examples,
        shape=case.recipe.input,
        classes=case.classes,
        knowledge=Knowledge(),
    )
    return replace(case, update=update, observation=observation), torch.bincount(
        batch.y, minlength=case.classes
    )
