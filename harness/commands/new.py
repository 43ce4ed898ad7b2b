"""Begin a package of one's own: `harness new attack mine`."""

import argparse
import keyword
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from string import Template

from harness.base.command import answered
from harness.base.errors import UserError, nearest
from harness.base.files import write_atomically
from harness.commands.choices import files

TEMPLATES = Path(__file__).parent / "templates" / "new"
KINDS = {
    "attack": "harness table=table3 scale=smoke 'rows.Mine=[attack=$name]'",
    "defense": "harness table=table3 scale=smoke 'columns.Mine=[defense=$name]'",
    "model": "harness attack=ig model=$name trials=2 scale=smoke",
    "dataset": "harness table=table3 scale=smoke dataset=$name",
    "labels": "harness attack=ig labels@attack.labels=$name trials=2 scale=smoke",
    "metric": "harness attack=ig metric=$name trials=2 scale=smoke",
}
"""What can be begun, and the command that shows it."""


def create(kind: str, name: str, folder: Path) -> list[str]:
    """Write the package NAME below a folder. Returns the commands that come next.

    Raises UserError for a name that is no module's, or is taken, and where something is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"{name}: a name of small letters, digits and _ is wanted, which a module may have")
    if name in files(kind):
        raise UserError(f"{kind}={name} is there already: harness list {kind} {name}")
    root = folder / name
    if root.exists():
        raise UserError(f"{root} is there already")
    if find_spec(name) is not None:
        raise UserError(f"{name}: Python knows a module of that name already")
    title = "".join(part.capitalize() for part in name.split("_"))
    command = Template(KINDS[kind]).substitute(name=name)
    values = {"name": name, "title": title, "kind": kind, "command": command}
    for target, source in _files(kind, name).items():
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        text = Template((TEMPLATES / source).read_text(encoding="utf-8")).substitute(values) if source else ""
        write_atomically(path, text.encode())
    return [f"cd {root}", "pip install --no-build-isolation --no-deps -e .", command, "pytest"]


def _files(kind: str, name: str) -> dict[str, str]:
    """The files of a package, and the templates that they are made of; none for an empty one."""
    return {
        "README.md": "README.txt",
        "pyproject.toml": "pyproject.txt",
        f"{name}/__init__.py": "",
        f"{name}/{name}.py": f"{kind}/component.txt",
        f"{name}/conf/{kind}/{name}.yaml": f"{kind}/component.yaml",
        f"tests/test_{name}.py": f"{kind}/test.txt",
    }


def run(options: argparse.Namespace) -> None:
    """Write, and say what comes next. Raises UserError."""
    if options.kind not in KINDS:
        raise UserError(f"{options.kind}: no such kind of component{nearest(options.kind, KINDS)}")
    print("\n".join(create(options.kind, options.name, options.folder)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness new", description=(__doc__ or "").split(":")[0])
    parser.add_argument("kind", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("name", help="of the module, as my_attack")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the package goes (default: here)")
    options = parser.parse_args(arguments)
    return answered(lambda: run(options))
