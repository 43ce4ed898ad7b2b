"""Markdown as safe HTML: what stands in a text, tags too, is shown and not obeyed."""

from functools import cache
from pathlib import PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup


def render(text: str) -> Markup:
    """HTML of a text with tables. Links to another text of the results lead to the page that shows it."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in (child for parent in tokens for child in parent.children or ()):
        _redirect(token)
    return Markup(parser.renderer.render(tokens, parser.options, {}))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _redirect(token: Token) -> None:
    """`mnist-medium/report.md` stands on the page `mnist-medium/index.html`, `bench.md` on a page of its own."""
    address = PurePosixPath(str(token.attrs.get("href", "")))
    if token.type == "link_open" and address.suffix == ".md" and "://" not in str(token.attrs["href"]):
        page = "index.html" if address.stem in ("README", "report", "table") else f"{address.stem}.html"
        token.attrSet("href", str(address.with_name(page)))
