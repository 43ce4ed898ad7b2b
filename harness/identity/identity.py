"""Components as plain data: whole, for a record, or only what the numbers depend on, for a run's id."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import PydanticUndefined

from harness.base.component import HARNESS, Component
from harness.base.components import find
from harness.identity.digests import code, content


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
    """What the numbers depend on, as JSON types: nothing of it is a path, on disk or in Python.

    Of a component its stable name, its version and its settings, less those that are what their absence means and those
    that are but a way of execution. Of a path, a digest of the content behind it.
    """
    if isinstance(value, Path):
        return content(value)
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, Component):
        return _heading(type(value)) | {"version": value.revision(), "settings": _settings(value)}
    return _settings(value) if dataclasses.is_dataclass(value) else value


def _settings(value: Any) -> dict[str, Any]:
    parts = [f for f in dataclasses.fields(value) if f.name not in getattr(value, "execution", ())]
    found = ((f, getattr(value, f.name)) for f in parts)
    named = ((f, item, canonical(item)) for f, item in found)
    return {_name(f): plainly for f, item, plainly in named if item != absence(f) or _revised(plainly)}


def components(value: Any) -> Iterator[Component]:
    """Every component in a value, itself included."""
    if isinstance(value, Component):
        yield value
    if dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            yield from components(getattr(value, f.name))
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from components(item)


def _revised(node: Any) -> bool:
    """Whether there is a component in it that was not the same from the beginning: that is never left out."""
    return any(part.get("version", 1) != 1 or "code" in part for part in _named(node))


def _named(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        if "component" in node:
            yield node
        for item in node.values():
            yield from _named(item)
    elif isinstance(node, list):
        for item in node:
            yield from _named(item)


def absence(part: "dataclasses.Field[Any]") -> Any:
    """What it means that a setting is not named; `dataclasses.MISSING` where it must be."""
    default = part.default
    if isinstance(default, pydantic.fields.FieldInfo):
        default = default.get_default(call_default_factory=True)
        default = dataclasses.MISSING if default is PydanticUndefined else default
    if part.default_factory is not dataclasses.MISSING:
        default = part.default_factory()
    return part.metadata.get("absence", default)


def absences(cls: type) -> dict[str, Any]:
    """What the settings of a class were where a stored configuration does not name them, as plain data."""
    found = {f.name: absence(f) for f in dataclasses.fields(cls)}
    return {name: plain(value) for name, value in found.items() if value is not dataclasses.MISSING}


def stored(name: str, value: Any) -> Any:
    """What a stored configuration holds, as it is said today: settings that were renamed by their present name,
    and those that came later as what it means that they are not there."""
    if isinstance(value, list):
        return [stored(name, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    items = {key: stored(f"{name}.{key}", item) for key, item in value.items()}
    if "_target_" not in items:
        return items
    kind = find(name, items["_target_"])
    names = {f.metadata["once"]: f.name for f in dataclasses.fields(kind) if "once" in f.metadata}
    return absences(kind) | {names.get(key, key): item for key, item in items.items()}


def _name(part: "dataclasses.Field[Any]") -> str:
    return str(part.metadata.get("once", part.name))


def stable_name(cls: type[Component]) -> str:
    """Kind and name of a component, wherever its file is: `Attack/DLG`, or `Attack/PACKAGE.DLG` from elsewhere.

    The kind is the class right below `Component` that it derives from.
    """
    lineage = cls.__mro__
    kind = lineage[lineage.index(Component) - 1]
    named = cls.__dict__.get("once") or cls.__qualname__
    return f"{_own_name(kind)}/{named}" if is_native(cls) else f"{_own_name(kind)}/{package(cls)}.{named}"


def _own_name(cls: type) -> str:
    return cls.__dict__.get("once") or cls.__qualname__


def package(cls: type) -> str:
    """The top-level package of a class."""
    return cls.__module__.partition(".")[0]


def is_native(cls: type) -> bool:
    """Whether a class is one of the harness's, whose `version` says when its numbers change."""
    return package(cls) == HARNESS


def _heading(cls: type[Component]) -> dict[str, Any]:
    """Of a class from elsewhere its code too, for nothing obliges its author to raise a version."""
    return {"component": stable_name(cls)} | ({} if is_native(cls) else {"code": code(cls)})


def class_path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
