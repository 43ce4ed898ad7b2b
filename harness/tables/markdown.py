"""A table as Markdown, for the README."""

from collections.abc import Iterable

from harness.tables.claims.verdict import Verdict
from harness.tables.document import Document, direction
from harness.tables.view import Section, Shown


def markdown(document: Document) -> str:
    """table.md: one pipe table per metric."""
    blocks = [f"# {_plain(document.title)}", _plain(document.source), _bullets(document.caption)]
    for section in document.sections:
        blocks += [f"### {_plain(direction(section))}", _table(document.columns, section)]
    if document.verdicts:
        rows = [
            f"| {_plain(v.text)} | {_verdict(v)} | {'<br>'.join(map(_plain, v.figures))} |"
            for v in document.verdicts
        ]
        head = ["| the paper's claim | here | figures |", "|---|---|---|"]
        blocks += ["### Claims", "\n".join([*head, *rows])]
    blocks += [_bullets(document.notes)]
    if document.unit == "image":
        blocks += ["![Originals, and what each attack makes of them](gallery.png)"]
    blocks += [f"![{_plain(title)}]({name}.png)" for name, title in document.plots]
    return "\n\n".join(block for block in blocks if block) + "\n"


def pipes(rows: Iterable[list[str]]) -> str:
    """A pipe table of cells that are markup already; the first row is the head."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *body])


def _table(columns: tuple[str, ...], section: Section) -> str:
    head = "| | " + " | ".join(map(_plain, columns)) + " |"
    rule = "|---" * (len(columns) + 1) + "|"
    rows = [f"| {_plain(name)} | " + " | ".join(map(_cell, cells)) + " |" for name, cells in section.rows]
    return "\n".join([head, rule, *rows])


def _cell(shown: Shown) -> str:
    mean = f"**{shown.mean}**" if shown.best else shown.mean
    return mean + (f" ± {shown.std}" if shown.std else "") + (f" ({shown.paper})" if shown.published else "")


def _verdict(verdict: Verdict) -> str:
    return f"*{verdict.status}*" + (f", {_plain(verdict.note)}" if verdict.note else "")


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _plain(text: str) -> str:
    """Names and sentences as they are: nothing in them is markup."""
    for sign in "\\`*_|[]#":
        text = text.replace(sign, "\\" + sign)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
