"""What would change the verdict: the same client under other conditions, simulated on photographs of nobody's."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from harness.audit.attempts import batch_of_others
from harness.audit.case import PREFIX, Case, protocol
from harness.audit.exact import exact
from harness.audit.inputs import Update
from harness.audit.labels import GUESS, Counted, infer, share_right
from harness.audit.truth import images_of, scored
from harness.base.errors import UserError, first_line
from harness.base.statistics.intervals import bootstrap
from harness.core import Batch, Defense, Knowledge, Observation, Unreadable, generator, normalized
from harness.core.gradient import gradient
from harness.defenses.augmentation import Augmentation
from harness.defenses.clipping import Clipping
from harness.defenses.composed import Composed
from harness.defenses.dpsgd import DPSGD
from harness.defenses.noise import Noise
from harness.defenses.none import NoDefense
from harness.defenses.soteria import Soteria
from harness.defenses.sparsification import Sparsification

MOST = 2000
"""Images that a simulated client may train on, over all epochs."""
CLIENTS = 5
"""That are simulated under each condition, where there is time: from so many on there is an interval."""
SHORTEST, LONGEST = 0.5, 3.0
"""Seconds for the closed forms on one client."""


@dataclass(frozen=True)
class Condition:
    """What leaks under it, in the mean over simulated `clients`, and 95 % intervals where there are enough of them.

    `exact`: images or inputs recovered exactly; `worst`: the PSNR in dB of the image that is recovered best, of all
    clients; `labels`: the share by the rule that agrees most with the others, beside that of the balanced guess. None:
    it can't be told, for a reason.
    """

    name: str
    clients: int = 0
    exact: float | None = None
    exact_interval: tuple[float, float] | None = None
    worst: float | None = None
    labels: float | None = None
    labels_interval: tuple[float, float] | None = None
    guess: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Leak:
    """Of one simulated client."""

    exact: int
    worst: float | None
    labels: float | None
    guess: float | None


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
    both: list[Defense] = [Clipping(bound=norm / 2), Noise(sigma=size / 20)]
    yield "clipping to half its norm, and noise as large as a tenth of that", (case, Composed(defenses=both))
    yield "sparsification by 90 %", (case, Sparsification(percent=90))
    yield "Soteria by 80 %", (case, Soteria(percent=80))
    yield "augmentation by random crops and flips", (case, Augmentation())
    if not case.coupled:  # where batch norm mixes images, none has a gradient of its own
        step = norm if case.update.is_gradient else norm / ((recipe.lr or 1.0) * (case.steps or 1))
        yield (
            "DP-SGD: each image clipped to the norm of a step, noise multiplier 1",
            (case, DPSGD(bound=step, noise=1.0)),
        )


def _tried(name: str, case: Case, defense: Defense | None, seconds: float) -> Condition:
    """As many clients as there is time for, at least one."""
    assert case.recipe.examples is not None
    if case.recipe.examples * case.recipe.epochs > MOST:
        return Condition(name, reason=f"more than {MOST} images would be trained on")
    began, leaks = time.process_time(), list[_Leak]()
    try:
        while not leaks or (len(leaks) < CLIENTS and time.process_time() - began < seconds):
            leaks.append(
                _leak(*_simulated(case, defense, len(leaks)), min(max(seconds / CLIENTS, SHORTEST), LONGEST))
            )
    except (UserError, Unreadable) as error:
        return Condition(name, reason=str(error))
    except RuntimeError as error:  # a network of the user's that torch can't differentiate image by image
        return Condition(name, reason=f"the network can't be trained so ({first_line(error)})")
    exactly, labels, guesses = (
        [getattr(each, part) for each in leaks] for part in ("exact", "labels", "guess")
    )
    return Condition(
        name,
        len(leaks),
        *_mean(exactly),
        max((each.worst for each in leaks if each.worst is not None), default=None),
        *_mean(labels),
        _mean(guesses)[0],
    )


def _mean(values: list[float | None]) -> tuple[float | None, tuple[float, float] | None]:
    """The mean over clients, and its interval where all clients are there; None where one has no value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None, None
    return sum(known) / len(known), bootstrap(known) if len(known) >= CLIENTS else None


def _leak(case: Case, truth: Batch, seconds: float) -> _Leak:
    found = [each for each in exact(case, seconds) if each.inputs is not None]
    labels, counts = infer(case), torch.bincount(truth.y, minlength=case.classes)
    guess = next((each for each in labels.found if each.rule == GUESS), None)
    recovered = [images_of(each, case.model, case.recipe.input) for each in found]
    quality = [psnr for images in recovered if images is not None for psnr in scored(images, truth)[0]]
    return _Leak(
        max((len(each.inputs) for each in found if each.inputs is not None), default=0),
        max((psnr for psnr in quality if psnr is not None), default=None),
        _right(labels.best, counts),
        _right(guess, counts),
    )


def _right(found: Counted | None, counts: torch.Tensor) -> float | None:
    return None if found is None or found.counts is None else share_right(found.counts, counts)


def _simulated(case: Case, defense: Defense | None, client: int) -> tuple[Case, Batch]:
    """The case of a client that holds photographs, as its defence sends them; and those photographs."""
    assert case.recipe.examples is not None
    assert case.observation is not None
    truth = batch_of_others(case, case.recipe.examples, client)
    params, made, rng = case.observation.params, protocol(case), generator("audit", "conditions", client)
    defense = defense or NoDefense()
    batch, order = defense.on_batch(truth, rng), made.order(rng)
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
    return replace(case, update=update, observation=observation), Batch(truth.x.double(), truth.y)
