"""What a command line says to a sweep."""

from collections.abc import Sequence

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext

from harness.base.errors import UserError
from harness.cells.plan import spread
from harness.sweeps.spec import Grid, Overrides, Sweep, Value


def user(context: HydraContext, sweep: Sweep, arguments: Sequence[str], scale: str) -> tuple[Grid, Overrides]:
    """The axes that the user names (lists of values, and a value of an axis), and the user's other overrides.

    A list of one value that is none of the sweep's axes is a setting of every point.

    Raises UserError for a range without steps, and for a list of data sets or scales under a sweep's name.
    """
    axes: dict[str, Sequence[Value]] = {}
    fixed: Overrides = []
    for override in OverridesParser.create(config_loader=context.config_loader).parse_overrides(
        list(arguments)
    ):
        name, line = override.get_key_element(), str(override.input_line)
        if name in ("table", "sweep", "tune"):
            continue
        if name in ("dataset", "scale") and sweep.name:
            if override.is_sweep_override():
                raise UserError(f"{line}: {sweep.name} is made of one {name} at a time")
        elif override.is_sweep_override():
            values = _values(override)
            if len(values) > 1 or name in sweep.axes(scale, {}):
                axes[name] = values
            else:
                fixed += [f"{name}={each}" for each in spread(override)]
        elif name in sweep.axes(scale, {}):
            axes[name] = [_scalar(override.get_value_element_as_str())]
        else:
            fixed.append(line)
    return axes, fixed


def _values(override: Override) -> list[Value]:
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: a grid takes values, not an interval: say range(1,9,2) or a list"
        )
    return [_scalar(value) for value in spread(override)]


def _scalar(text: str) -> Value:
    """A value as YAML would read it, where that writes it as it was; else its text."""
    value = yaml.safe_load(text)
    return value if isinstance(value, bool | int | float) and str(value) == text else text
