"""The rooms of docs/rooms.md: imports go from later ones to earlier ones, and never in a circle."""

import ast
import re
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = re.findall(r"^\| (\w+) \| (?!what)", (ROOT / "docs" / "rooms.md").read_text(), re.MULTILINE)
MOST = 6
"""Files directly in harness/."""


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in (ROOT / "harness").rglob("*.py")}


def _imported(path: Path) -> set[str]:
    """The modules that a file imports: those for types and those inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: names are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names & set(MODULES)


IMPORTS = {module: _imported(path) for module, path in MODULES.items()}


def _room(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def test_every_room_is_in_the_table() -> None:
    folders = {path.name for path in (ROOT / "harness").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders - {"conf", "experiments"} == set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))


def test_few_files_stand_outside_the_rooms() -> None:
    assert len(list((ROOT / "harness").glob("*.py"))) <= MOST


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_those_before_it_alone(room: str) -> None:
    before = ROOMS[: ROOMS.index(room) + 1]
    upwards = {
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if _room(module) == room and _room(other) in ROOMS and _room(other) not in before
    }
    assert not upwards


TWICE = {"IDLG"}
"""A paper's name, of its attack and of its label rule."""


def test_a_class_has_a_name_of_its_own() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES.values()]
    names = Counter(node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1 and not name.startswith("_")} == TWICE


def test_no_files_import_each_other_in_a_circle() -> None:
    """A package's own file only hands names on."""
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    try:
        TopologicalSorter({m: others - packages - {m} for m, others in IMPORTS.items()}).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))
