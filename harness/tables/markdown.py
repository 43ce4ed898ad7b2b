"""A table as Markdown, for the README."""

from harness.base.rows import pipes
from harness.tables.claims.verdict import Verdict
from harness.tables.document import Document, direction
from harness.tables.view import Section, Shown


def markdown(document: Document, gallery: bool = False) -> str:
    """table.md: one pipe table per metric; `gallery`: whether gallery.png lies beside it."""
    blocks = [f"# {_plain(document.title)}", _plain(document.source), _bullets(document.caption)]
    for section in document.sections:
        blocks += [f"### {_plain(direction(section))}", _table(document.columns, section)]
    if document.verdicts:
        rows = ([_plain(v.text), _verdict(v), "<br>".join(map(_plain, v.figures))] for v in document.verdicts)
        blocks += ["### Claims", pipes([("claim", "here", "figures"), *rows])]
    blocks += [_bullets(document.notes)]
    if gallery:
        blocks += ["![Originals, and what each attack makes of them](gallery.png)"]
    blocks += [f"![{_plain(title)}]({name}.png)" for name, title in document.plots]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _table(columns: tuple[str, ...], section: Section) -> str:
    rows = ([_plain(name), *map(_cell, cells)] for name, cells in section.rows)
    return pipes([["", *map(_plain, columns)], *rows])


def _cell(shown: Shown) -> str:
    mean = f"**{shown.mean}**" if shown.best else _plain(shown.mean)
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
