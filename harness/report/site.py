"""Build the site: a page per result, a file of data per run, and the pages that bring them together."""

import functools
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from plotly.offline import get_plotlyjs

from harness.base.errors import omit
from harness.base.files import writing
from harness.base.progress import task
from harness.core import UserError
from harness.report import pages
from harness.report.drawn import Drawn
from harness.report.results import FOLDERS, MARK, Result, find
from harness.report.runs import Listed, Place, page_data
from harness.store.frames import finished
from harness.store.integrity import Damaged, StoredRun

ASSETS = Path(__file__).parent / "assets"

Places = Mapping[str, Sequence[Place]]


@dataclass(frozen=True)
class Site:
    """What was built."""

    index: Path
    results: int
    runs: int


def build(to: Path, results: Path, published: Path, runs: Path) -> Site:
    """Write the whole site, and only then put it in the place of the old one, whose runs it takes where it can.

    Raises UserError when there is nothing to show, or when `to` holds something else than a site.
    """
    if to.exists() and not (to / MARK).exists():
        raise UserError(f"{to} is there and is no report: say another place with --to")
    found = [*find(results, "made here"), *find(published, "published")]
    names = finished(runs)
    if not found and not names:
        raise UserError(f"nothing to show in {results}, {published} and {runs}: say make table3 first")
    fresh = to.with_name(f".{to.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        listed = _write(fresh, found, Drawn(to, fresh), [runs / name for name in names], published)
        shutil.rmtree(to, ignore_errors=True)
        fresh.rename(to)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Site(to / "index.html", len(found), len(listed))


def _write(
    to: Path, results: Sequence[Result], drawn: Drawn, runs: Sequence[Path], published: Path
) -> list[Listed]:
    with writing(to):
        (to / "runs").mkdir(parents=True)
        shutil.copytree(ASSETS, to / "assets")
        (to / "assets" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    places = _places(results)
    listed = _runs(to, drawn, runs, places)
    known = {run.id for run in listed}
    for result in results:
        _page(to, f"{result.folder}/index.html", functools.partial(pages.result, result=result, known=known))
        for file in dict.fromkeys((*result.downloads, *result.figures, *result.tables)):
            with writing(to):
                shutil.copyfile(file, to / result.folder / file.name)
    texts = _texts(to, published, results)
    overview = functools.partial(pages.overview, results=results, texts=texts, runs=len(listed))
    _page(to, "index.html", overview)
    _page(to, "runs.html", functools.partial(pages.runs, records=listed, places=places))
    _page(to, "run.html", pages.run)
    _page(to, "compare.html", pages.compare)
    drawn.keep()
    return listed


def _page(to: Path, place: str, render: Callable[[str], str]) -> None:
    """Write a page; it is rendered with the way from it to the site's root."""
    path, text = to / place, render("../" * place.count("/"))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _places(results: Sequence[Result]) -> Places:
    """The cells of tables behind which each run stands."""
    found: dict[str, list[Place]] = defaultdict(list)
    for result in results:
        for cell in result.cells:
            table = f"{result.title}, {result.name}"
            found[cell.run].append(Place(result.address, table, cell.row, cell.column, cell.seed))
    return found


def _runs(to: Path, drawn: Drawn, runs: Sequence[Path], places: Places) -> list[Listed]:
    """Draw what has changed; the others are as they were. Those that are damaged are left out, and said."""
    listed: list[Listed] = []
    shared: dict[str, Any] = {}
    with task("report", len(runs)) as bar:
        for directory in runs:
            try:
                stored = StoredRun.open(directory)
                if not drawn.take(directory, places.get(directory.name, ())):
                    _draw(to, stored, places.get(directory.name, ()))
                listed.append(Listed.of(stored, pages.HEADLINE, shared))
            except Damaged as damage:
                drawn.leave(directory.name)
                omit(str(damage))
            bar.advance("")
    return listed


def _draw(to: Path, stored: StoredRun, places: Sequence[Place]) -> None:
    data, picture = page_data(stored, places)
    path = to / "runs" / stored.directory.name
    with writing(path):
        path.with_suffix(".js").write_text(pages.script(path.name, data), encoding="utf-8")
        picture.save(path.with_suffix(".png"))


def _texts(to: Path, published: Path, results: Sequence[Result]) -> dict[str, str]:
    """Write a page for each text about published results. Returns their titles by address."""
    families = {result.directory.parent for result in results}
    written = {path: f"{path.stem}.html" for path in sorted(published.glob("*.md"))}
    written |= {
        path: f"{path.parent.name}/index.html"
        for path in sorted(published.glob("*/README.md"))
        if path.parent in families
    }
    titles = {}
    for path, place in written.items():
        text = path.read_text(encoding="utf-8")
        title = text.partition("\n")[0].lstrip("# ")
        address = f"{FOLDERS['published']}/{place}"
        _page(to, address, functools.partial(pages.text, title=title, text=text))
        titles[quote(address)] = title
    return titles
