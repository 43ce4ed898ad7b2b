"""A table as one HTML file that needs nothing else."""

from base64 import b64encode
from html import escape

from harness.tables.document import Document, direction
from harness.tables.view import Section, Shown

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 72rem; margin: auto; padding: 1rem }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .8rem; text-align: right }
th:first-child, td:first-child, .claims td { text-align: left; vertical-align: top }
thead th { border-top: 2px solid; border-bottom: 1px solid }
tbody:last-child tr:last-child td { border-bottom: 2px solid }
.metric td { border-top: 1px solid; font-style: italic } .std, .published { color: #767676 }
.holds { color: #1b6e3c } .does { color: #a3262a } .not { color: #767676 } img { max-width: 100% }
"""


def html(document: Document, gallery: bytes | None) -> str:
    """table.html, with the gallery (a PNG) inside."""
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(document.title)}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(document.title)}</h1><p>{escape(document.source)}</p>",
        _list(document.caption),
        "<table><thead><tr><th></th>",
        *(f"<th>{escape(column)}</th>" for column in document.columns),
        "</tr></thead>",
        *(_body(section, len(document.columns)) for section in document.sections),
        "</table>",
        _claims(document),
        _list(document.notes),
    ]
    if gallery is not None:
        data = b64encode(gallery).decode()
        parts.append(f'<img alt="Originals and reconstructions" src="data:image/png;base64,{data}">')
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _body(section: Section, width: int) -> str:
    title = f'<tr class="metric"><td colspan="{width + 1}">{escape(direction(section))}</td></tr>'
    rows = [f"<tr><td>{escape(name)}</td>{''.join(map(_cell, cells))}</tr>" for name, cells in section.rows]
    return "\n".join(["<tbody>", title, *rows, "</tbody>"])


def _cell(shown: Shown) -> str:
    mean = f"<b>{shown.mean}</b>" if shown.best else escape(shown.mean)
    std = f' <span class="std">± {shown.std}</span>' if shown.std else ""
    published = f' <span class="published">({shown.paper})</span>' if shown.published else ""
    return f"<td>{mean}{std}{published}</td>"


def _claims(document: Document) -> str:
    if not document.verdicts:
        return ""
    rows = [
        f'<tr><td>{escape(v.text)}</td><td class="{v.status.split()[0]}">{escape(v.said)}</td>'
        f"<td>{'<br>'.join(map(escape, v.figures))}</td></tr>"
        for v in document.verdicts
    ]
    head = "<thead><tr><th>claim</th><th>here</th><th>figures</th></tr></thead>"
    return "\n".join(['<table class="claims">', head, "<tbody>", *rows, "</tbody></table>"])


def _list(lines: tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""
