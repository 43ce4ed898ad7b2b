"""What clients' checks see: of honest and of malicious servers, and of a gate before sending."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from harness.base.files import write_atomically
from harness.base.rows import Row, pipes, to_csv
from harness.base.statistics.intervals import wilson
from harness.core import component
from harness.store.records import Store
from harness.tables.detection import signs
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement

CLEAR = 20.0
"""dB from which an image counts as recovered."""


@component
class DetectionReport(Supplement):
    """detection.csv and detection.md: of the honest models together how many raise an alarm, and of each malicious
    server's how many do, with Wilson's interval and the signs."""

    honest: list[str]
    """The columns of honest servers."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        columns: dict[str, list[Row]] = {}
        for outcome in outcomes:
            if outcome.record:
                clients = {row["problem"]: row for row in outcome.record.rows}
                columns.setdefault(outcome.cell.column, []).extend(clients.values())
        together = [row for column in self.honest for row in columns.get(column, [])]
        groups = ({"All honest": together} if together else {}) | columns
        lines = [(name, *counted(rows)) for name, rows in groups.items()]
        names = ("server", "models", "alarms", "rate", "low", "high", "signs")
        write_atomically(directory / "detection.csv", to_csv([names, *lines]).encode())
        shown = [
            (name, str(n), str(k), f"{rate:.1%} ({low:.1%} to {high:.1%})", signs)
            for name, n, k, rate, low, high, signs in lines
        ]
        table = pipes([("server", "models", "alarms", "rate (95 %)", "by"), *shown])
        write_atomically(directory / "detection.md", f"## Alarms of clients\n\n{table}\n".encode())


def counted(rows: Sequence[Row]) -> tuple[int, int, float, float, float, str]:
    """How many models there are, how many raise an alarm, that rate with Wilson's interval, and how often each sign."""
    alarms = [row for row in rows if row["detected"]]
    low, high = wilson(len(alarms), len(rows))
    told = ", ".join(f"{sign} {count}" for sign, count in signs(alarms))
    return len(rows), len(alarms), len(alarms) / len(rows), low, high, told


@component
class GateReport(Supplement):
    """gate.csv and gate.md: of the images behind updates that a gate lets pass, and of those behind the others, how
    many the server's attack recovers; and the seconds of the gate beside those of the attack."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        lines = [
            (outcome.cell.row, outcome.cell.column, outcome.cell.seed, *split(outcome.record.rows))
            for outcome in outcomes
            if outcome.record
        ]
        names = (
            "row",
            "column",
            "seed",
            "images",
            "held",
            "recovered_sent",
            "recovered_held",
            "gate_seconds",
            "attack_seconds",
        )
        write_atomically(directory / "gate.csv", to_csv([names, *lines]).encode())
        shown = [
            (
                row,
                column,
                f"{held} of {n}",
                f"{sent} of {n - held}",
                f"{kept} of {held}",
                f"{gate:.2f}",
                f"{attack:.2f}",
            )
            for row, column, _, n, held, sent, kept, gate, attack in lines
        ]
        head = (
            "",
            "",
            "held back",
            f"recovered (≥ {CLEAR:.0f} dB) of what is sent",
            "of what is held back",
            "gate, s",
            "attack, s",
        )
        text = f"## What a gate holds back\n\n{pipes([head, *shown])}\n"
        write_atomically(directory / "gate.md", text.encode())


def split(rows: Sequence[Row]) -> tuple[int, int, int, int, float, float]:
    """Images, those held back, those recovered of the sent and of the held, and the mean seconds of gate and attack."""
    held = [row for row in rows if row["detected"]]
    sent = [row for row in rows if not row["detected"]]
    return (
        *(len(rows), len(held), _recovered(sent), _recovered(held)),
        *(fmean(row["gate_seconds"] for row in rows), fmean(row["seconds"] for row in rows)),
    )


def _recovered(rows: Iterable[Row]) -> int:
    return sum((row["psnr_unit"] or 0.0) >= CLEAR for row in rows)
