"""The methods in several settings, the columns of a table: what each recovered, and what feedback gains there."""

from collections.abc import Iterator, Mapping, Sequence

from harness.base.rows import parse_csv, pipes, to_csv
from harness.papers.feedback.figures import Family, styles
from harness.papers.feedback.methods import Method, Pair
from harness.papers.feedback.text import mean, percent, points
from harness.plots.style import panels, png

Settings = Mapping[str, Mapping[str, Method]]
"""The methods by name, under each column."""

COLUMNS = ("column", "method", "attacked", "recovered", "rate_low", "rate_high", "mean", "ci_low", "ci_high")


def settings_csv(settings: Settings) -> str:
    """settings.csv: under each column what figure4.csv holds, and the rate of recovery with Wilson's 95 % interval."""
    lines: list[list[object]] = [[*COLUMNS]]
    for column, methods in settings.items():
        for method in methods.values():
            rate, s = method.rate or (None, None), method.iterations
            iterations = [s.mean, s.low, s.high] if s else [None] * 3
            lines.append([column, method.name, len(method), method.recovered, *rate, *iterations])
    return to_csv(lines)


def draw_settings(text: str, families: Sequence[Family], title: str) -> bytes:
    """settings.png from its CSV: rates above iterations, one panel per base attack, columns from left to right."""
    lines = parse_csv(text)
    columns = list(dict.fromkeys(line["column"] for line in lines))
    count = len(families)
    figure, places = panels(2 * count, title, (5.2, 3.6), across=count)
    for above, below, family in zip(places[:count], places[count:], families, strict=True):
        for number, (name, style) in enumerate(styles(family)):
            own = {columns.index(line["column"]): line for line in lines if line["method"] == name}
            shift = (number - len(family.names) / 2) / (1.5 * len(family.names))
            for axes, value, low, high in (
                (above, "rate", "rate_low", "rate_high"),
                (below, "mean", "ci_low", "ci_high"),
            ):
                points = [(place + shift, *_interval(line, value, low, high)) for place, line in own.items()]
                for x, y, bottom, top in points:
                    axes.plot([x, x], [bottom, top], color=str(style["color"]), linewidth=1)
                    axes.plot(x, y, "o", color=str(style["color"]), markersize=4)
            above.plot([], [], "o", color=str(style["color"]), markersize=4, label=name)
        for axes, label in ((above, "rate of recovery"), (below, "iterations to success")):
            axes.set(ylabel=label, ylim=(0, None))
            axes.set_xticks(range(len(columns)), columns, fontsize=8)
        above.legend(frameon=False, fontsize=7, ncols=2)
    return png(figure)


def _interval(line: Mapping[str, str], value: str, low: str, high: str) -> tuple[float, float, float]:
    """A value with its interval; not a number where there is none."""
    rate = int(line["recovered"]) / int(line["attacked"]) if int(line["attacked"]) else None
    middle = rate if value == "rate" else float(line[value] or "nan")
    middle = float("nan") if middle is None else middle
    return middle, float(line[low] or middle), float(line[high] or middle)


def recovered(settings: Settings, families: Sequence[Family]) -> str:
    """A table of methods by columns: recovered of attacked, and the mean iterations to success."""

    def lines() -> Iterator[list[str]]:
        yield ["recovered (iterations)", *settings]
        for family in families:
            for name in family.names:
                yield [name, *(_found(methods[name]) for methods in settings.values())]

    return pipes(lines())


def _found(method: Method) -> str:
    s = method.iterations
    return (
        f"{method.recovered} of {len(method)} ({s.mean:.1f})" if s else f"{method.recovered} of {len(method)}"
    )


def gains(settings: Settings, families: Sequence[Family]) -> str:
    """A table of what feedback gains over the base attack, column by column."""

    def lines() -> Iterator[list[str]]:
        yield [
            "pair",
            "column",
            "recovered",
            "only the first / only the second",
            "more recovered",
            "iterations saved",
        ]
        for family in families:
            for column, methods in settings.items():
                pair = Pair.of(methods[family.feedback], methods[family.base])
                yield [
                    f"{family.feedback} v {family.base}",
                    column,
                    f"{pair.one.recovered} v {pair.other.recovered}",
                    "{} / {}".format(*pair.discordant),
                    points(pair.more),
                    percent(pair.saved),
                ]

    return pipes(lines())


def controls(settings: Settings, families: Sequence[Family]) -> str:
    """A table of how many iterations fewer feedback needs than each control, where both recovered the image."""

    def lines() -> Iterator[list[str]]:
        yield ["iterations fewer", *settings]
        for family in families:
            for name in family.controls:
                pairs = [Pair.of(methods[family.feedback], methods[name]) for methods in settings.values()]
                yield [f"{family.feedback} v {name}", *(mean(pair.fewer, sign="+") for pair in pairs)]

    return pipes(lines())
