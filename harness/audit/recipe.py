"""How a client trained, as far as the auditor knows it: a typed YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field

from harness.base.component import component
from harness.base.errors import UserError, explain_validation
from harness.base.numbers import Count, NonNegative, Positive, ProperFraction, Real, Side, Steps

KEYS = ("model", "input")
"""Without which there is no network to read an update with."""


@component
class Pixels:
    """How images in [0, 1] become what the network sees: (x - mean) / std by channel."""

    mean: tuple[Real, ...]
    std: tuple[Positive, ...]
    place: Literal["outside", "inside"] = "outside"
    """inside: the network does it itself, and is given images in [0, 1]."""


@component
class Recipe:
    """What a client did. What is unknown is left out."""

    model: str
    """package.module:Class of any torch.nn.Module, a model of the harness, or a name of timm's."""
    input: tuple[Count, Side, Side]
    """Channels, height and width."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Of the model's constructor."""
    classes: Annotated[Count, Field(ge=2)] | None = None
    normalization: Pixels | None = None
    examples: Count | None = None
    batch_size: Count | None = None
    epochs: Steps = 1
    lr: Positive | None = None
    momentum: ProperFraction = 0.0
    weight_decay: NonNegative = 0.0
    mode: Literal["train", "eval"] = "train"
    augmentation: bool = False
    """Whether images were cropped, mirrored or the like at random before they were trained on."""
    sent: Literal["weights", "difference", "gradient"] | None = None
    """null: as the file shows."""
    defense: str | None = None
    """The name of a defence of the harness, whose kind the attacker then knows."""
    order: list[list[int]] | None = None
    """The numbers of the examples in each local step."""

    @property
    def steps(self) -> int | None:
        """Local steps of SGD; None where the recipe does not say."""
        if self.order is not None:
            return len(self.order)
        if self.batch_size is None or self.examples is None:
            return None
        return self.epochs * -(-self.examples // self.batch_size)


def read_recipe(path: Path | None, facts: Mapping[str, Any]) -> Recipe:
    """The recipe of a file and of what the recorder knew, which may not contradict each other. Raises UserError."""
    said = {} if path is None else _yaml(path)
    for key, value in facts.items():
        if key in said and said[key] != value:
            raise UserError(f"{key}: the recipe says {said[key]!r}, and the recorder of the update {value!r}")
    known = {**facts, **said}
    if missing := [key for key in KEYS if known.get(key) is None]:
        where = "--recipe FILE.yaml" if path is None else str(path)
        raise UserError(f"{missing[0]} is missing: say it in {where}, as {_EXAMPLES[missing[0]]}")
    try:
        found = Recipe(**known)
    except pydantic.ValidationError as error:
        raise UserError(explain_validation(error, Recipe, "")) from error
    _check(found)
    return found


_EXAMPLES = {"model": "model: package.module:Class", "input": "input: [3, 32, 32]"}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the recipe {path} can't be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"the recipe {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"the recipe {path} is to name keys, as model: package.module:Class")
    return {str(key): value for key, value in content.items()}


def _check(recipe: Recipe) -> None:
    channels = recipe.input[0]
    if (pixels := recipe.normalization) and not len(pixels.mean) == len(pixels.std) == channels:
        raise UserError(
            f"normalization: {channels} channels, but {len(pixels.mean)} means and {len(pixels.std)} deviations"
        )
    if recipe.order is not None and recipe.examples is not None:
        numbers = {number for step in recipe.order for number in step}
        if not numbers <= set(range(recipe.examples)):
            raise UserError(f"order: the examples are numbered from 0 to {recipe.examples - 1}")
    if recipe.order is not None and recipe.batch_size is not None:
        _check_order(recipe.order, recipe.batch_size, recipe.examples, recipe.epochs)


def _check_order(order: list[list[int]], batch_size: int, examples: int | None, epochs: int) -> None:
    if (largest := max(map(len, order))) > batch_size:
        raise UserError(f"order: a step has {largest} examples, and batch_size is {batch_size}")
    if examples is None:
        return
    every = epochs * -(-examples // batch_size)
    without_rest = epochs * (examples // batch_size)
    if len(order) not in (every, without_rest):
        raise UserError(
            f"order: {len(order)} local steps are listed, and examples, batch_size and epochs make {every}"
        )
