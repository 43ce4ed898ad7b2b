"""Components as plain data: whole, for a record, or only what the numbers depend on, for a run's id."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from harness.core import Component


def plain(value: Any) -> Any:
    """Components and their values as JSON types; a component names its class under `_target_`."""
    if dataclasses.is_dataclass(value):
        named = {"_target_": class_path(type(value))} if isinstance(value, Component) else {}
        return named | {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def canonical(value: Any) -> Any:
    """As `plain`, with the class's version, and without what has its default value or is but a way of execution."""
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if not dataclasses.is_dataclass(value):
        return [canonical(item) for item in value] if isinstance(value, list | tuple) else plain(value)
    kept = {
        f.name: canonical(getattr(value, f.name))
        for f in dataclasses.fields(value)
        if getattr(value, f.name) != _default(f) and f.name not in getattr(value, "execution", ())
    }
    return {"class": class_path(type(value)), "version": getattr(value, "version", 1)} | kept


def _default(part: "dataclasses.Field[Any]") -> Any:
    default = part.default
    if isinstance(default, pydantic.fields.FieldInfo):
        default = default.get_default(call_default_factory=True)
    return part.default_factory() if part.default_factory is not dataclasses.MISSING else default


def class_path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
