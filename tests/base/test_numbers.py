"""Every setting that is a number is finite, and has a cap that the message names."""

import importlib
import math
import pkgutil
from collections.abc import Iterator
from typing import Any, get_type_hints

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base import numbers
from harness.base.component import Component
from harness.config.composition import compose
from harness.config.execution import Scale
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.tables.layout import Delta, MetricColumn
from harness.tables.spec import Table

GROUPS = (
    "tables.claims",
    "attacks",
    "datasets",
    "defenses",
    "federated",
    "labels",
    "loggers",
    "metrics",
    "models",
    "plots",
    "priors",
    "starts",
)
TYPES = {name: kind for name, kind in vars(numbers).items() if hasattr(kind, "__metadata__")}


def components() -> Iterator[type]:
    for group in GROUPS:
        package = importlib.import_module(f"harness.{group}")
        for module in pkgutil.walk_packages(package.__path__, f"harness.{group}."):
            if "._" not in module.name:  # native code is no module
                importlib.import_module(module.name)
    waiting: list[type] = [Component, Experiment, Scale, Table, Delta, MetricColumn]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("harness."):
            yield kind


def numeric(schema: Any) -> Iterator[dict[str, Any]]:
    """Every number in a JSON schema."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number") and not {"enum", "const"} & set(schema):
            yield schema
        for value in schema.values():
            yield from numeric(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from numeric(value)


def test_every_number_of_every_component_has_bounds() -> None:
    looked_at = 0
    for kind in components():
        for name, hint in get_type_hints(kind, include_extras=True).items():
            field = getattr(kind, "__pydantic_fields__", {}).get(name)
            if field is None:
                continue
            try:
                schema = pydantic.TypeAdapter(hint).json_schema()
            except (
                pydantic.errors.PydanticInvalidForJsonSchema,
                pydantic.errors.PydanticSchemaGenerationError,
            ):
                continue  # components, which have settings of their own
            for number in numeric(schema):
                looked_at += 1
                where = f"{kind.__name__}.{name}"
                assert {"maximum", "exclusiveMaximum", "le", "lt"} & set(number), (
                    f"{where} has no cap: see harness/base/numbers.py"
                )
                assert {"minimum", "exclusiveMinimum", "ge", "gt"} & set(number), (
                    f"{where} has no lower bound"
                )
    assert looked_at > 80


@pytest.mark.parametrize("name", TYPES)
@given(
    value=st.sampled_from(
        [math.inf, -math.inf, math.nan, "inf", "nan", "-inf", 1e39, -1e39, 10**400, True, False]
    )
)
def test_no_type_takes_what_is_not_finite(name: str, value: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(TYPES[name]).validate_python(value)


@pytest.mark.parametrize("name", TYPES)
@given(value=st.one_of(st.floats(), st.integers(), st.booleans(), st.text()))
def test_what_a_type_takes_is_a_finite_number_within_its_bounds(name: str, value: object) -> None:
    kind = pydantic.TypeAdapter(TYPES[name])
    try:
        found = kind.validate_python(value)
    except pydantic.ValidationError:
        return
    (number,) = numeric(kind.json_schema())
    assert math.isfinite(found)
    assert number.get("minimum", -math.inf) <= found <= number.get("maximum", math.inf)


@pytest.mark.parametrize(
    ("override", "cap"),
    [
        ("threads=100000000", "1024"),
        ("ranks=1000000", "1024"),
        ("attack.restarts=9223372036854775808", "10000"),
        ("model.seed=-1", "greater than or equal to 0"),
        ("seed=-1", "greater than or equal to 0"),
        ("trials=99999999999999999999999", "1000000"),
        ("lease.expiry=inf", "finite"),
        ("lease.expiry=1e39", str(10**38)),
        ("attack.steps=nan", "finite"),
        ("attack.steps=true", "a number is wanted"),
        ("attack.tolerance=inf", "finite"),
    ],
)
def test_the_cap_stands_in_the_message(override: str, cap: str) -> None:
    with pytest.raises(UserError) as error:
        compose(override)
    assert cap in str(error.value)
    assert override.partition("=")[0] in str(error.value)


def test_values_are_cut() -> None:
    with pytest.raises(UserError) as error:
        compose(f"attack.steps=[{'1,' * 500}1]")
    assert len(str(error.value)) < 200
