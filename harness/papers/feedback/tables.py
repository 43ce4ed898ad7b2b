"""The tables of feedback blending's report: every method beside its base, the paper, the controls and itself."""

from collections.abc import Iterator, Mapping, Sequence

from harness.papers.feedback.figures import Family
from harness.papers.feedback.methods import Method, Pair
from harness.papers.feedback.text import mean, percent, points

Families = Sequence[Family]
Methods = Mapping[str, Method]
"""Those that were measured, by their names."""
Numbers = Mapping[tuple[str, str], float]
"""Published numbers by (row, metric)."""


def methods_table(families: Families, methods: Methods) -> Iterator[list[str]]:
    """How many images each method recovered and how fast, beside its base attack."""
    yield [
        "method",
        "recovered",
        "rate",
        "gain over base",
        "only it / only base",
        "more recovered",
        "iterations",
        "saved",
    ]
    for name, base in _measured(families, methods):
        method = methods[name]
        own = [name, f"{method.recovered} of {len(method)}", _rate(method)]
        pair = _pair(methods, name, base)
        versus = (
            [""] * 3
            if pair is None
            else [percent(pair.gain), "{} / {}".format(*pair.discordant), points(pair.more)]
        )
        yield [*own, *versus, mean(method.iterations), "" if pair is None else percent(pair.saved)]


def _measured(families: Families, methods: Methods) -> Iterator[tuple[str, str]]:
    """Each method that was measured, in the order of the families, with the base attack of its own."""
    for family in families:
        yield from ((name, family.base) for name in family.names if name in methods)


def _pair(methods: Methods, name: str, base: str) -> Pair | None:
    return Pair.of(methods[name], methods[base]) if base in methods and name != base else None


def published_table(
    families: Families, methods: Methods, published: Numbers, attacked: int
) -> Iterator[list[str]]:
    """The paper's numbers beside ours, where it has any; `attacked`: of how many images its counts probably are."""
    yield [
        *("method", "recovered, published", f"rate if of {attacked}", "rate, measured"),
        *("gain, published", "gain, measured", "iterations saved, published", "measured"),
    ]
    controls = {name for family in families for name in family.controls}
    for name, base in _measured(families, methods):
        if name in controls:
            continue
        count = published.get((name, "recovered"))
        gain, saved = published.get((name, "gain_pct")), published.get((name, "iterations_saved_pct"))
        pair = _pair(methods, name, base)
        yield [
            name,
            "not stated" if count is None else f"{count:.0f}",
            "" if count is None else f"{count / attacked:.1%}",
            _rate(methods[name]),
            "" if gain is None else f"{gain:+.2f} %",
            "" if pair is None else percent(pair.gain),
            "" if saved is None else f"{saved:+.2f} %",
            "" if pair is None else percent(pair.saved),
        ]


def slips(families: Families, published: Numbers, attacked: int) -> Iterator[str]:
    """The paper's arithmetic, where two of its numbers contradict a third."""
    for family in families:
        printed, read_as = (published.get((family.base, m)) for m in ("recovered", "recovered_corrected"))
        with_feedback, gain = (published.get((family.feedback, m)) for m in ("recovered", "gain_pct"))
        if printed and read_as and with_feedback and gain:
            yield (
                f"The paper prints {printed:.0f} for {family.base} and a gain of {gain:.2f} %, but "
                f"{with_feedback:.0f} / {printed:.0f} is {with_feedback / printed - 1:+.2%}. With {read_as:.0f} "
                f"it is {with_feedback / read_as - 1:+.2%}: two digits were probably swapped. The rate would then "
                f"be {read_as / attacked:.1%}."
            )


def controls_table(families: Families, methods: Methods) -> Iterator[list[str]]:
    """Feedback beside each start that knows nothing of a blend."""
    yield [
        "pair",
        "recovered",
        "only the first / only the second",
        "more recovered",
        "iterations fewer, both recovered",
    ]
    for family in families:
        for name in family.controls:
            pair = _pair(methods, family.feedback, name) if family.feedback in methods else None
            if pair is None:
                continue
            yield [
                f"{family.feedback} v {name}",
                f"{pair.one.recovered} v {pair.other.recovered}",
                "{} / {}".format(*pair.discordant),
                points(pair.more),
                mean(pair.fewer, sign="+"),
            ]


def measures_table(families: Families, methods: Methods) -> Iterator[list[str]]:
    """How many images count as recovered by other thresholds, on the loss and on the truth."""
    measures = [("loss", 1e-3), ("loss", 1e-4), ("mse", 1e-2), ("mse", 1e-3)]
    yield [
        "method",
        "of",
        *(f"{'true MSE' if name == 'mse' else name} < {limit:g}" for name, limit in measures),
    ]
    for name, _ in _measured(families, methods):
        method = methods[name]
        yield [name, str(len(method)), *(str(method.below(of, limit)) for of, limit in measures)]


def orders_table(methods: Methods, orders: Sequence[int]) -> Iterator[list[str]]:
    """How many images each method recovered in the order of each seed."""
    yield ["method", *(f"seed {seed}" for seed in orders)]
    for name, method in methods.items():
        counts = (method.orders.get(seed) for seed in orders)
        yield [name, *("-" if found is None else "{} of {}".format(*found) for found in counts)]


def _rate(method: Method) -> str:
    if method.rate is None:
        return "-"
    low, high = method.rate
    return f"{method.recovered / len(method):.1%} ({100 * low:.1f} to {100 * high:.1f})"
