"""What all plots look like: few strong colours that differ in lightness too, no frame, the legend below the data."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.base.errors import UserError
from harness.core import columns

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PALE = "#1a1a1a", "#767676"
BLUE, RED, GREEN, OCHRE, PURPLE = "#1f6fb4", "#c23b22", "#2e8b57", "#b8860b", "#7b4fa3"
COLOURS = (BLUE, RED, GREEN, OCHRE, PURPLE, INK, PALE)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Series differ in their markers as well: colour alone says nothing to many readers."""
LINES = ("-", "--", ":")
MAP = "cividis"
"""Of a heat map: as light as its values are high, with or without colours."""
PANEL = (4.4, 3.3)
"""Inches of one panel."""
LONG = 6
"""Characters of a name on an axis that stand beside each other without slant."""
RATE = ", rate"
"""How the label of a share ends."""

SETTINGS = {
    "fl.batch_size": "batch size, images",
    "fl.local_epochs": "local epochs",
    "fl.examples_per_client": "images of a client",
    "attack.steps": "steps of the attack",
    "defense.sigma": "standard deviation of the noise",
    "defense.bound": "clipping bound",
    "defense.percent": "pruned, %",
}
"""What an axis calls a setting; others have their own names."""


def label(name: str) -> str:
    """What an axis calls a column or a setting, with its unit."""
    return SETTINGS.get(name) or columns.label(name)


@dataclass(frozen=True)
class Look:
    """How one series is drawn."""

    colour: str
    marker: str
    line: str


def series(count: int) -> list[Look]:
    """The looks of so many series. Raises UserError when they could not be told apart."""
    if count > len(COLOURS) * len(LINES):
        raise UserError(f"{count} series can't be told apart: choose some with a condition (where)")
    places = [(place % len(COLOURS), place // len(COLOURS)) for place in range(count)]
    return [Look(COLOURS[colour], MARKERS[colour], LINES[line]) for colour, line in places]


def panels(
    count: int, title: str, size: tuple[float, float] = PANEL, across: int = 3
) -> tuple["Figure", list["Axes"]]:
    """A figure with so many panels, at most `across` of them beside each other."""
    from matplotlib.figure import Figure

    wide, high = min(count, across), -(-count // across)
    figure = Figure(figsize=(size[0] * wide, size[1] * high), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=10)
    places = list(figure.subplots(high, wide, squeeze=False).flat)
    for axes in places:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in places[count:]:
        axes.set_visible(False)
    return figure, places[:count]


def placed(numbers: "pandas.DataFrame", column: str) -> tuple["pandas.DataFrame", dict[float, str]]:
    """Numbers with places on an axis for the values of a column, and what stands there: a number where it is, anything
    else one after the other, by its name."""
    import pandas

    values = numbers[column]
    numeric = pandas.api.types.is_numeric_dtype(values) and not pandas.api.types.is_bool_dtype(values)
    if numeric and not values.isna().any():
        return numbers, {float(value): f"{value:g}" for value in sorted(values.unique())}
    names = values.map(told)
    order = {name: float(place) for place, name in enumerate(dict.fromkeys(told(v) for v in ordered(values)))}
    return numbers.assign(**{column: names.map(order)}), {place: name for name, place in order.items()}


def mark(axes: "Axes", ticks: Mapping[float, str]) -> None:
    """Write on the horizontal axis what stands where, aslant where the names are long."""
    long = any(len(name) > LONG for name in ticks.values())
    slant: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks([*ticks], [*ticks.values()], **slant)
    axes.minorticks_off()


def ordered(values: "pandas.Series[Any]") -> list[Any]:
    """The values of a column in their order, without a repetition, those that are missing last."""
    return [*values.dropna().drop_duplicates().sort_values(), *([None] if values.isna().any() else [])]


def told(value: object) -> str:
    """What stands on an axis for a value."""
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def legend(figure: "Figure", names: Sequence[str]) -> None:
    """One legend for all panels, below them: it covers no data. None where there is but one unnamed series."""
    if any(names):
        drawn: dict[str, Any] = {}
        for axes in figure.axes:
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                drawn.setdefault(name, handle)
        figure.legend(
            [*drawn.values()],
            [*drawn],
            loc="outside lower center",
            ncols=min(len(names), 4),
            frameon=False,
            fontsize=8,
        )


def png(figure: "Figure") -> bytes:
    """A figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
