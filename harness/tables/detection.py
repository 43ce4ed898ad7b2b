"""What clients have seen of a table's servers: a column that says it, and what must be said beside it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.base import threat
from harness.base.rows import Row, read_csv
from harness.base.schema import EXPERIMENTS
from harness.tables.layout import TableLayout
from harness.tables.measurement import Outcome
from harness.tables.view import NOTHING, Section, Shown

COLUMN = "detected by"
MEANING = (
    "Detected by: of how many clients the checks raise an alarm about a malicious server, and by which signs (a "
    f"number: so many of the alarms). About an honest one alarms are false. {NOTHING}: no client looks."
)
PUBLISHED = EXPERIMENTS / "results" / "survey_checks"
"""Where the false alarms about many honest models are."""


def detections(table: TableLayout, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """What each row's clients have seen; nothing where no server is malicious and nobody looks for one."""
    told = {row: _told([each for each in outcomes if each.cell.row == row]) for row in table.rows}
    return told if any(map(_malicious, outcomes)) or any(text != NOTHING for text in told.values()) else {}


def beside(section: Section, seen: Mapping[str, str]) -> Section:
    """A section with what was seen in a last column."""
    rows = ((row, (*cells, Shown(seen[row], "", "", best=False))) for row, cells in section.rows)
    return replace(section, rows=tuple(rows))


def false_alarms(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """How often checks are wrong about honest models, as published, for honest rows in which nobody looks."""
    if all(_malicious(each) or _looks(each) for each in outcomes):
        return
    for path in sorted(PUBLISHED.glob("*/detection.csv")):
        for line in read_csv(path):
            if line["server"] == "All honest":
                rate, low, high = (f"{float(line[name]):.1%}" for name in ("rate", "low", "high"))
                yield (
                    f"Honest servers, where no client looks: in {PUBLISHED.name}, {path.parent.name}, the checks raise "
                    f"false alarms about {line['alarms']} of {line['models']} honest models, {rate} ({low} to {high})."
                )


def signs(alarms: Sequence[Row]) -> list[tuple[str, int]]:
    """How often each sign is among some alarms, the most frequent first."""
    return Counter(sign for row in alarms for sign in str(row["detected_by"]).split(", ")).most_common()


def _malicious(outcome: Outcome) -> bool:
    return threat.malicious(outcome.config)


def _looks(outcome: Outcome) -> list[Row]:
    """A row of each client that has looked at its server: a gate holds back what leaks, whoever asked."""
    rows = outcome.record.rows if outcome.record else []
    clients = {row["problem"]: row for row in rows if "detected" in row and "gate_leakage" not in row}
    return list(clients.values())


def _told(outcomes: Sequence[Outcome]) -> str:
    """Of malicious servers, then of honest ones."""
    parts = []
    for malicious, kind in ((True, ""), (False, "false alarms: ")):
        runs = {each.id: each for each in outcomes if _malicious(each) is malicious}
        if rows := [row for each in runs.values() for row in _looks(each)]:
            parts.append(kind + _counted(rows))
    return "; ".join(parts) or NOTHING


def _counted(rows: Sequence[Row]) -> str:
    """`12 of 12 (parallel rows, D-SNR 3)`."""
    alarms = [row for row in rows if row["detected"]]
    named = ", ".join(sign if n == len(alarms) else f"{sign} {n}" for sign, n in signs(alarms))
    return f"{len(alarms)} of {len(rows)}" + (f" ({named})" if named else "")
