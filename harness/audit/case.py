"""One update that is audited: the model as it was sent, what came back, and what an attacker makes of both."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.audit.dense import Dense
from harness.audit.inputs import Files, Update, open_update, said
from harness.audit.layers import DenseLayer, dense_layers
from harness.audit.network import classes_of, open_network
from harness.audit.others import drawn, photographs
from harness.audit.recipe import Recipe
from harness.base.components import build
from harness.base.errors import UserError, nearest
from harness.base.schema import CONF
from harness.config.composition import part
from harness.core import (
    Adaptation,
    Classifier,
    Defense,
    Knowledge,
    Normalization,
    Observation,
    Protocol,
    batch_norms,
)
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD

PREFIX = "network."
"""Of the user's names, behind the normalisation."""


@dataclass(frozen=True, eq=False)
class Case:
    """`observation` is None where too little is known for an attack: `lacking` says what."""

    recipe: Recipe
    model: Classifier
    update: Update
    digests: dict[str, str]
    notes: list[str]
    layers: list[DenseLayer]
    observation: Observation | None = None
    lacking: str = ""
    public: Tensor | None = None
    """Images [n, c, h, w] in bytes that the attacker has, where the user gives some."""

    def others(self, count: int, skip: int = 0) -> Tensor:
        """Images [count, c, h, w] in [0, 1] that the client has not, others for each `skip`."""
        shape = self.recipe.input
        return photographs(shape, count, skip) if self.public is None else drawn(self.public, count, skip)

    @property
    def steps(self) -> int | None:
        """Local steps behind the update; a gradient counts as one. None: the recipe does not say."""
        return 1 if self.update.is_gradient else self.recipe.steps

    @property
    def classes(self) -> int:
        return classes_of(self.model)

    @property
    def coupled(self) -> bool:
        """Whether an image's gradient depends on the others of its batch."""
        return self.recipe.mode == "train" and bool(batch_norms(self.model))

    def dense(self, layer: DenseLayer) -> Dense | None:
        """A dense layer's part of the update, in float64; None where it was not sent, or did not move."""
        names = [layer.name.removeprefix(PREFIX) + f".{part}" for part in ("weight", "bias")]
        if not all(name in self.update.change for name in names):
            return None
        weight, bias = (self.update.before[name].double() for name in names)
        slope, slope_bias = (self.update.change[name] for name in names)
        return Dense(layer.name, weight, bias, slope, slope_bias, self._roundings(names))

    def _roundings(self, names: list[str]) -> Tensor | None:
        """[units, inputs + 1]: of a layer's weight and bias, side by side; None of a gradient.

        A step has been rounded itself, to the digits of what its unit's inputs add up to, before it moves a weight.
        """
        if self.update.is_gradient:
            return None
        after = [self.update.before[name].double() - self.update.change[name] for name in names]
        sent, moved = (
            torch.cat([weight, bias[:, None]], 1)
            for weight, bias in (after, [self.update.change[name] for name in names])
        )
        step = moved.square().mean(1, keepdim=True).sqrt() * 2.0**-SINGLE
        return (roundings(sent, self.update.half).square() + step.square()).sqrt() * math.sqrt(
            self.steps or 1
        )

    def rounding_of(self, name: str) -> float:
        """The deviation that rounding leaves in a tensor of the update; 0 of a gradient."""
        if self.update.is_gradient:
            return 0.0
        steps: int = self.steps or 1
        return rounding(self.update.before[name].double(), self.update.half) * math.sqrt(steps)


SINGLE, HALF = 23, 10
"""Binary digits behind the first, of single and of half precision."""


def roundings(weight: Tensor, half: bool) -> Tensor:
    """The deviation of each weight by its rounding: ulp(W) / sqrt(12)."""
    exponent = torch.frexp(weight.abs().clamp_min(1e-30))[1].double() - 1
    return torch.exp2(exponent - (HALF if half else SINGLE)) / math.sqrt(12)


def rounding(weight: Tensor, half: bool) -> float:
    """The deviation of a difference of weights by their rounding: rms(ulp(W)) / sqrt(12)."""
    return float(roundings(weight, half).square().mean().sqrt())


def open_case(files: Files, recipe: Recipe) -> Case:
    """Bring files and recipe together. Raises UserError where they contradict each other."""
    model = open_network(recipe)
    update = open_update(files, model.network)
    if (recipe.sent == "gradient" and not update.is_gradient) or (
        update.is_gradient and recipe.sent == "weights"
    ):
        raise UserError(f"sent: the recipe says {recipe.sent}, and the files hold another kind")
    state = model.network.state_dict()
    known = {name: value.to(state[name].dtype) for name, value in update.before.items()}
    model.network.load_state_dict(state | known)
    case = Case(recipe, model, update, dict(files.digests), said(update), dense_layers(model, recipe))
    _check_counter(case)
    case = _with_examples(case)
    if case.recipe.examples == 1:  # which is all of a batch, whatever its size
        case = replace(case, recipe=replace(case.recipe, batch_size=case.recipe.batch_size or 1))
    _assume(case)
    return observed(case)


def observed(case: Case) -> Case:
    """The case with what its attacker sees, or with what of the recipe is lacking."""
    observation, lacking = _observed(case)
    return replace(case, observation=observation, lacking=lacking)


def _check_counter(case: Case) -> None:
    """Raises UserError where batch norm counted other steps than the recipe has."""
    names = [name for name in case.update.buffers if name.endswith("num_batches_tracked")]
    if not names or case.update.is_gradient or case.recipe.mode == "eval":
        return
    counted = int((case.update.buffers[names[0]].double() - case.update.before[names[0]].double()).round())
    if counted < 0:
        raise UserError(f"{names[0]} counts {-counted} steps backwards: before and after are swapped")
    steps = case.recipe.steps
    if steps is None:
        case.notes.append(f"batch norm counted {counted} local steps")
    elif counted != steps:
        raise UserError(
            f"{names[0]} counted {counted} local steps, and the recipe makes {steps}: "
            "are examples, batch_size and epochs right?"
        )


def _with_examples(case: Case) -> Case:
    """Count distinct inputs where the recipe does not say how many examples there were."""
    if case.recipe.examples is not None:
        return case
    for layer in (each for each in case.layers[:1] if each.images or case.update.is_gradient):
        dense = case.dense(layer)
        if dense is not None and not case.coupled and (found := dense.rank):
            case.notes.append(f"examples: taken to be {found}, the rank of the gradient of {layer.name}")
            return replace(case, recipe=replace(case.recipe, examples=found))
    return case


def _assume(case: Case) -> None:
    recipe = case.recipe
    if recipe.normalization is None:
        case.notes.append("normalization is not given: the network is taken to see images in [0, 1]")
    if recipe.augmentation:
        case.notes.append(
            "augmentation: what is recovered are the images as they were drawn, not as they are stored"
        )
    if any(isinstance(module, torch.nn.Dropout) and module.p for module in case.model.modules()):
        case.notes.append("dropout is drawn anew by an attacker: what depends on it is not reproduced")
    if case.update.missing:
        case.notes.append("what was not sent is taken to stay as it was")


def _observed(case: Case) -> tuple[Observation | None, str]:
    recipe = case.recipe
    lacking = [name for name in _needed(case) if getattr(recipe, name) is None]
    if lacking:
        return None, f"the recipe does not say {', '.join(lacking)}"
    assert recipe.examples is not None
    params = {f"{PREFIX}{name}": case.update.before[name].float() for name in case.update.change}
    order = None if recipe.order is None else [torch.tensor(step) for step in recipe.order]
    observation = Observation(
        model=case.model,
        params=params,
        update={f"{PREFIX}{name}": value.float() for name, value in case.update.change.items()},
        protocol=protocol(case),
        n=recipe.examples,
        shape=recipe.input,
        classes=case.classes,
        knowledge=Knowledge(order=order, adaptations=_adaptations(recipe)),
    )
    return observation, ""


def _adaptations(recipe: Recipe) -> tuple[Adaptation, ...]:
    """What an attacker does about the defence, whose kind the recipe names. Raises UserError for an unknown one."""
    if recipe.defense is None:
        return ()
    path = CONF / "defense" / f"{recipe.defense}.yaml"
    if not path.is_file():
        known = [file.stem for file in path.parent.glob("*.yaml")]
        raise UserError(f"defense: there is no {recipe.defense}{nearest(recipe.defense, known)}")
    defense: Defense = build("defense", part("defense", recipe.defense))
    return defense.adaptations()


def _needed(case: Case) -> tuple[str, ...]:
    return ("examples",) if case.update.is_gradient else ("examples", "batch_size", "lr")


def protocol(case: Case) -> Protocol:
    """What the client did, as attackers simulate it."""
    recipe = case.recipe
    assert recipe.examples is not None
    normalization: Normalization = "train" if case.coupled else "eval"
    if case.update.is_gradient:
        return FedSGD(batch_size=recipe.examples, normalization=normalization)
    assert recipe.batch_size is not None
    assert recipe.lr is not None
    return FedAvg(
        examples_per_client=recipe.examples,
        batch_size=min(recipe.batch_size, recipe.examples),
        local_epochs=recipe.epochs,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        normalization=normalization,
    )
