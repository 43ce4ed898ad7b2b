"""Plot the store: harness plot lines --x fl.batch_size --y psnr_unit --by attack --out figure.png"""

import argparse
import dataclasses
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import pydantic

from harness import plots
from harness.base.command import answered, expanded
from harness.base.errors import UserError, explain_validation
from harness.commands.query import names, stored
from harness.plots.plot import Plot


def kinds() -> dict[str, type[Plot]]:
    """Every kind of plot by the name of its file in harness/plots."""
    modules = [module.name for module in pkgutil.iter_modules(plots.__path__)]
    return {
        name: value
        for name in modules
        for value in vars(importlib.import_module(f"{plots.__name__}.{name}")).values()
        if isinstance(value, type) and issubclass(value, Plot) and value is not Plot
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    options = vars(_parser().parse_args(arguments))
    kind, runs, out = options.pop("kind"), options.pop("runs"), options.pop("out")
    settings = {name: value for name, value in options.items() if value is not None}
    return answered(lambda: _draw(kinds()[kind], settings, runs, out))


def _draw(kind: type[Plot], settings: dict[str, Any], runs: Path, out: Path) -> None:
    plot = _build(kind, settings | {"name": out.stem})
    if out.suffix != ".png":
        raise UserError(f"{out}: a plot is a .png file")
    for note in plot.write(stored(runs), out.parent):
        print(f"warning: {note}", file=sys.stderr)
    print(f"{out}\n{out.with_suffix('.csv')}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness plot", description=__doc__)
    chosen = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, cls in kinds().items():
        summary = " ".join((cls.__doc__ or "").partition("\n\n")[0].split()).replace("%", "%%")
        one = chosen.add_parser(kind, help=summary, description=summary)
        hints = get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if field.name != "name":
                _add(one, field, hints[field.name])
        one.add_argument("--runs", type=expanded, default=Path("runs"), help="the store (runs)")
        one.add_argument("--out", type=expanded, required=True, help="the .png file; the .csv goes beside it")
    return parser


def _add(parser: argparse.ArgumentParser, field: "dataclasses.Field[object]", hint: object) -> None:
    """One option: the settings of a plot are its options, and the component checks their values."""
    info = field.default if isinstance(field.default, pydantic.fields.FieldInfo) else None
    required, explained = info is not None and info.is_required(), info and info.description
    option = f"--{field.name}"
    if hint is bool:
        parser.add_argument(option, action="store_const", const=True, help=explained)
    else:
        several = names if get_origin(hint) is list else str
        parser.add_argument(option, type=several, required=required, help=explained)


def _build(cls: type[Plot], settings: dict[str, Any]) -> Plot:
    try:
        return cls(**settings)
    except pydantic.ValidationError as error:
        raise UserError(explain_validation(error, cls, "")) from error
