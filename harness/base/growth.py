"""YAML files whose aliases repeat each other: a few lines can stand for more than any memory holds."""

from pathlib import Path

import yaml

from harness.base.errors import UserError

LARGEST = 100_000
"""Values that a file may come to, each alias counted as all it stands for."""


def check_growth(path: Path) -> None:
    """Raises UserError for a file whose aliases come to more values than that, or hold themselves.

    What else is wrong with it is left to whoever reads it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if "&" not in text or "*" not in text:
            return
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return
    if root is not None and _size(root, {}) > LARGEST:
        raise UserError(f"{path}: its aliases come to more than {LARGEST:,} values, or hold themselves")


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for; infinity for one that holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # until all inside is counted
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for each in inner for part in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
