"""Which classes a configuration may name, and the components that are made of them."""

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import pydantic
from omegaconf import MISSING
from pydantic.dataclasses import is_pydantic_dataclass

from harness.base.aliases import current
from harness.base.blame import culprit
from harness.base.errors import UserError, explain_validation, nearest, shortened
from harness.base.packages import PLUGINS, packages

RESERVED = ("_args_", "_partial_", "_recursive_", "_convert_")


def listed(name: str, node: Any) -> list[Any]:
    """A list of components, before they are built. Raises UserError where it is none."""
    if not isinstance(node, list):
        raise UserError(f"{name}: a list is wanted, not {shortened(node)}")
    return node


def build(name: str, node: Any) -> Any:
    """The component of one group.

    Raises UserError naming the key, the mistake and what is allowed; of the code of a declared package, its error.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"{name}: nothing is chosen; say {name}=NAME, of a file that names a _target_")
    for inner in nodes(node):
        if reserved := [key for key in RESERVED if key in inner]:
            raise UserError(f"{name}: {reserved[0]} is not for configurations of the harness")
        if "_target_" in inner:
            find(name, inner["_target_"])
    return _made(name, node)


def _made(path: str, value: Any) -> Any:
    """The value with a component in the place of every mapping that names one.

    Hydra's own `instantiate` does the same by way of its configurations, and takes fifty times as long.
    """
    if value == MISSING:
        raise UserError(f"{path}: a value must be given")
    if isinstance(value, list):
        return [_made(f"{path}.{place}", item) for place, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    made = {key: _made(f"{path}.{key}", item) for key, item in value.items() if key != "_target_"}
    return _component(path, value["_target_"], made) if "_target_" in value else made


def _component(path: str, target: object, settings: Mapping[Any, Any]) -> Any:
    kind = find(path, target)
    try:
        return kind(**{str(key): value for key, value in settings.items()})
    except pydantic.ValidationError as error:
        raise UserError(explain_validation(error, kind, path)) from error
    except pydantic.PydanticUserError as error:
        raise UserError(_unchecked(path, target, error)) from error
    except Exception as error:  # a component may raise anything
        if culprit(error):
            raise
        raise UserError(f"{path}: {(str(error) or type(error).__name__).splitlines()[0]}") from error


def _unchecked(name: str, target: object, error: pydantic.PydanticUserError) -> str:
    """What to say of a class of which a setting has a type that is not defined, or that nothing can be checked by."""
    named = re.search(r"define `(\w+)`|for (.+?)\. ", f"{error.message} ")
    kind = f" ({named[1] or named[2]})" if named else ""
    frame = culprit(error)
    where = f": {frame.filename}:{frame.lineno}" if frame else ""
    return f"{name}: {target} has a setting of a type that can't be checked{kind}{where}"


def nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in a configuration."""
    if isinstance(value, Mapping):
        yield value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for child in children:
        yield from nodes(child)


def find(name: str, target: object) -> type:
    """The component class that a `_target_` names.

    Raises UserError for anything else, before it is imported unless its package is the harness's or a declared one.
    """
    module, _, word = current(str(target)).rpartition(".")
    if not _declared(module):
        raise UserError(
            f"{name}: {target} is not a component of the harness; {PLUGINS}=PACKAGE declares your own"
        )
    try:
        there = vars(importlib.import_module(module))
    except ImportError as error:
        raise UserError(f"{name}: {target} can't be imported ({error})") from error
    except pydantic.PydanticUserError as error:
        raise UserError(_unchecked(name, target, error)) from error
    found = there.get(word)
    if not _is_component(found):
        components = [key for key, value in there.items() if _is_component(value)]
        raise UserError(f"{name}: {target} is not a component of the harness{nearest(word, components)}")
    return found


def _is_component(value: object) -> TypeGuard[type]:
    return isinstance(value, type) and is_pydantic_dataclass(value) and _declared(value.__module__)


def _declared(module: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages())
