"""The report of feedback blending: Figures 3 to 5, and every method beside its base, the paper and the controls."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.base.files import slug, write_atomically
from harness.base.numbers import Count, Steps
from harness.base.rows import pipes
from harness.base.schema import EXPERIMENTS
from harness.base.statistics import FEWEST
from harness.core import component
from harness.papers.feedback.figures import Family, curves_csv, draw_curves, draw_iterations, iterations_csv
from harness.papers.feedback.methods import Method, gather
from harness.papers.feedback.settings import (
    Settings,
    controls,
    draw_settings,
    gains,
    recovered,
    settings_csv,
)
from harness.papers.feedback.strip import draw_strips, strips, strips_csv
from harness.papers.feedback.tables import (
    Numbers,
    controls_table,
    measures_table,
    methods_table,
    orders_table,
    published_table,
    slips,
)
from harness.plots import pictures
from harness.store.records import Store
from harness.tables.layout import BLOCK, Reference
from harness.tables.measurement import Outcome
from harness.tables.reference import read
from harness.tables.supplement import Supplement


@component
class FeedbackReport(Supplement):
    """report.md and figure3, figure4 and figure5 as .csv and .png.

    A table of several columns has figure3 and the report for each, named after it, and a report.md that sets the
    columns side by side: settings.png is figure4 of all.
    """

    families: list[Family]
    """Each base attack with its variants and controls."""
    reference: Reference
    attacked: Count = 1200
    """How many images the paper probably attacked: it does not say, but 1187 were recovered."""
    strip: str
    """The method of Figure 5."""
    images: Count = 3
    steps: list[Steps]
    """The iterations that Figure 5 shows beside the first and the last."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        columns = {outcome.cell.column: None for outcome in outcomes}
        parts = {column: [one for one in outcomes if one.cell.column == column] for column in columns}
        names = [name for family in self.families for name in family.names]
        settings = {column: gather(part, names) for column, part in parts.items()}
        for column, methods in settings.items():
            several = len(settings) > 1
            suffix, title = (f"-{slug(column)}", f"{dataset}, {column}") if several else ("", dataset)
            self._column(dataset, title, methods, directory, suffix)
        if len(settings) > 1:
            self._settings(dataset, settings, directory)
        else:
            done = [one for one in outcomes if one.record and one.cell.row == self.strip]
            self._strips(done, store, directory)

    def _column(
        self, dataset: str, title: str, methods: Mapping[str, Method], directory: Path, suffix: str
    ) -> None:
        """The report and Figure 3 of one column, and Figure 4 of the only one."""
        shown = [method for method in methods.values() if method.rows]
        if not shown:
            return
        curves, iterations = curves_csv(shown), iterations_csv(shown)
        files = {
            f"figure3{suffix}.csv": curves.encode(),
            f"figure3{suffix}.png": draw_curves(
                curves, self.families, f"Cumulative recovered images, {title}"
            ),
            f"report{suffix}.md": self.markdown(dataset, methods, title, suffix).encode(),
        }
        if not suffix:
            files["figure4.csv"] = iterations.encode()
            files["figure4.png"] = draw_iterations(
                iterations, self.families, f"Iterations to success, {title}"
            )
        for name, content in files.items():
            write_atomically(directory / name, content)

    def _settings(self, dataset: str, settings: Settings, directory: Path) -> None:
        """report.md, settings.csv and settings.png, where there are several columns."""
        blocks = [
            f"# Feedback blending on {dataset}, in several settings",
            _READING,
            recovered(settings, self.families),
            "![Rates and iterations](settings.png)",
            "## What does feedback gain over the base attack?",
            gains(settings, self.families),
            "## Is it the blend?",
            _CONTROLS,
            controls(settings, self.families),
            "## Each setting by itself",
            *(f"- [{column}](report-{slug(column)}.md)" for column in settings),
        ]
        values = settings_csv(settings)
        files = {
            "settings.csv": values.encode(),
            "settings.png": draw_settings(values, self.families, f"Feedback blending on {dataset}"),
            "report.md": ("\n\n".join(blocks) + "\n").encode(),
        }
        for name, content in files.items():
            write_atomically(directory / name, content)

    def _strips(self, done: Sequence[Outcome], store: Store, directory: Path) -> None:
        """Figure 5, of the first finished run; not again when it is there."""
        if not done:
            return
        outcome, path = done[0], directory / "figure5.csv"
        if path.exists() and f"\n{outcome.id}," in path.read_text(encoding="utf-8"):
            return
        assert outcome.record is not None
        assert outcome.experiment is not None
        found = strips(outcome.experiment, outcome.record, outcome.images(store), self.images, self.steps)
        write_atomically(path, strips_csv(outcome.id, found).encode())
        if found:
            pictures.save(draw_strips(found), directory / "figure5.png")

    def published(self, dataset: str) -> Numbers:
        """The paper's numbers about the dataset that ours stands for."""
        theirs = self.reference.dataset(dataset)
        found = read(EXPERIMENTS / self.reference.file).get(theirs or "", {})
        return {(row, metric): value for (row, _, metric), value in found.items()}

    def markdown(
        self, dataset: str, methods: Mapping[str, Method], title: str | None = None, suffix: str = ""
    ) -> str:
        """report.md, whose pictures' names end in `suffix`."""
        published, theirs = self.published(dataset), self.reference.dataset(dataset)
        methods = {name: method for name, method in methods.items() if method.rows}
        orders = sorted({seed for method in methods.values() for seed in method.orders})
        blocks = [
            f"# Feedback blending on {title or dataset}",
            f"{_READING} {_orders(len(orders))}",
            pipes(methods_table(self.families, methods)),
        ]
        if len(orders) > 1:
            blocks += ["## Order by order, recovered", pipes(orders_table(methods, orders))]
        if published:
            blocks += [f"## Published beside measured ({self.reference.name}, {theirs})"]
            blocks += [pipes(published_table(self.families, methods, published, self.attacked))]
            blocks += slips(self.families, published, self.attacked)
        blocks += ["## Is it the blend?", _CONTROLS, pipes(controls_table(self.families, methods))]
        blocks += ["## Success by another measure", pipes(measures_table(self.families, methods)), _MEASURES]
        blocks += [f"![Cumulative recovered images](figure3{suffix}.png)"]
        if not suffix:
            blocks += [
                "![Iterations to success](figure4.png)",
                f"{self.strip}, from the blend that each search began at:",
                "![Strips](figure5.png)",
            ]
        return "\n\n".join(blocks) + "\n"


_READING = (
    "Recovered: the matching loss, which the attacker sees, fell below the tolerance within the budget. Rates with "
    "Wilson's 95 % interval, as if images were independent; more recovered is the mean of paired differences from the "
    "base on the same images, in points; iterations are means over the recovered images. A search that begins where "
    f"earlier ones ended is not independent of them, so that intervals of differences and iterations are over blocks "
    f"of {BLOCK} successive images (a bootstrap, BCa, over all sequences); below {FEWEST} blocks there is none, and "
    "the means of the blocks stand in its place."
)


def _orders(count: int) -> str:
    if count == 1:
        return (
            "They say how far other images would change a number; one order of the images and one seed say nothing of "
            "other orders."
        )
    return f"There are {count} orders of images, of a seed each, which draws the networks too."


_CONTROLS = (
    "The blend is a start within the range of images, while N(0, 1) is far outside it. The controls have such a start "
    "too, but know nothing of earlier images (the last one knows a single one). Positive: feedback needs fewer."
)
_MEASURES = (
    "The attacker sees the loss alone; the true MSE (1e-3 is 30 dB, 1e-2 is 20 dB) audits it. A search stops at its "
    "tolerance, so that smaller losses can't be counted: another tolerance is another run."
)
