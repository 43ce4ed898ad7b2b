"""Values of settings, checked by annotations that are read, not imported: a mistake is told without torch."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
from omegaconf import MISSING
from typing_extensions import TypedDict

from harness.base.aliases import current
from harness.base.errors import UserError, explain_validation

ROOT = Path(__file__).parents[1]
LIGHT = ("typing", "collections.abc", "pathlib", "pydantic", "harness.base")
"""Modules that may be imported for the types in them."""
BUILTIN = {kind.__name__: kind for kind in (int, float, bool, str, list, dict, tuple, set)}
CONFIG = pydantic.ConfigDict(allow_inf_nan=False)
Members = dict[str, ast.stmt]


def check_early(values: Mapping[str, Any], of: str) -> None:
    """Check the settings of a component of class `of`, and of those below it, as far as their types can be read.

    What can't is left to the whole check, whose words these are. Raises UserError.
    """
    _check("", values, of)
    for path, node in _components("", values):
        _check(path, node, current(str(node["_target_"])))


def _check(path: str, node: Mapping[str, Any], target: str) -> None:
    known = annotations(target)
    given = {
        key: value
        for key, value in node.items()
        if key in known and value != MISSING and not any(_components("", {"": value}))
    }
    made: Any = TypedDict  # whose fields mypy wants to see written
    kind = made("Early", {key: known[key] for key in given})
    kind.__pydantic_config__ = CONFIG
    try:
        pydantic.TypeAdapter(kind).validate_python(given)
    except pydantic.ValidationError as error:
        raise UserError(explain_validation(error, object, path)) from error


def _components(path: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping below a value that names a component, with its place."""
    items = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in items:
        place = f"{path}.{key}" if path else str(key)
        if isinstance(item, Mapping) and "_target_" in item:
            yield place, item
        yield from _components(place, item)


def annotations(target: str) -> dict[str, Any]:
    """The types of a class's settings, its bases' too, by name: those that can be told without importing torch."""
    module, _, name = target.rpartition(".")
    home, node = _definition(module, name) or (module, None)
    if not isinstance(node, ast.ClassDef):
        return {}
    types: dict[str, Any] = {}
    for base in reversed(node.bases):
        if isinstance(base, ast.Name):
            types |= annotations(f"{home}.{base.id}")
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            types.pop(line.target.id, None)
            if not ast.unparse(line.annotation).startswith("ClassVar"):
                with suppress(LookupError):
                    types[line.target.id] = _type(home, line.annotation)
    return types


def _type(module: str, node: ast.expr) -> Any:
    """What an annotation in a module stands for. Raises LookupError for what is no type of light modules, nor made of
    those: a class, or what only torch knows."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return _named(module, node.id)
        case ast.Tuple():
            return tuple(_type(module, each) for each in node.elts)
        case ast.Subscript():
            return _type(module, node.value)[_type(module, node.slice)]
        case ast.BinOp(op=ast.BitOr()):
            return _type(module, node.left) | _type(module, node.right)
    raise LookupError(ast.unparse(node))


def _named(module: str, name: str) -> Any:
    if name in BUILTIN:
        return BUILTIN[name]
    home, node = _definition(module, name) or (module, None)
    if home.startswith(LIGHT):
        return getattr(importlib.import_module(home), name)
    if isinstance(node, ast.Assign):
        return _type(home, node.value)
    raise LookupError(name)


def _definition(module: str, name: str) -> tuple[str, ast.stmt | None] | None:
    """The module that defines a name which another may have from it, and the statement; None where neither is ours."""
    if module.startswith(LIGHT):
        return module, None
    if not module.startswith("harness."):
        return None
    node = _members(module).get(name)
    if isinstance(node, ast.ImportFrom) and node.module:
        (once,) = (each.name for each in node.names if (each.asname or each.name) == name)
        return _definition(node.module, once)
    return (module, node) if node else None


@cache
def _members(module: str) -> Members:
    """The statements at the top of a module by the names that they give."""
    parts = module.split(".")
    place = ROOT.parent.joinpath(*parts)
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not all(map(str.isidentifier, parts)) or not path.exists():
        return {}
    found: Members = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.ImportFrom():
                found |= {each.asname or each.name: node for each in node.names}
            case ast.ClassDef():
                found[node.name] = node
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = node
    return found
