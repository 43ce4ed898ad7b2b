"""The figures and the report of feedback blending hold what the records say, and nothing else."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.core import Record
from harness.papers.feedback.figures import curves_csv, draw_curves, draw_iterations, iterations_csv
from harness.papers.feedback.methods import Method, Pair, gather
from harness.papers.feedback.report import FeedbackReport
from harness.store.records import Store
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome
from harness.tables.spec import Table, parse


@pytest.fixture(scope="module")
def dlgfb() -> Table:
    config = OmegaConf.load(EXPERIMENTS / "table" / "dlgfb.yaml")
    return parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report(dlgfb: Table) -> FeedbackReport:
    (only,) = dlgfb.supplements
    assert isinstance(only, FeedbackReport)
    return only


def outcome(name: str, iterations: list[int | None], seed: int = 0, column: str = "Random order") -> Outcome:
    """A run in which None is a failure."""
    rows = [
        {"problem": k, "image": 0, "target": k, "converged": n is not None, "iterations_to_converge": n,
         "loss": 5e-5 if n else 20.0, "mse": 5e-4 if n else 0.3}
        for k, n in enumerate(iterations)
    ]  # fmt: skip
    identity = f"{name}{seed}{column}"
    record = Record(identity, {}, rows, {}, {})
    return Outcome(Cell(name, column, seed, ()), identity, {}, record)


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_curves_are_the_running_counts_of_the_records() -> None:
    found = gather(
        [outcome("A", [9, None, 7]), outcome("A", [None, 5, 3], seed=1), outcome("B", [4])], ["A", "B"]
    )
    rows = lines(curves_csv(list(found.values())))
    # The first image of both seeds, then the second of both, then the third.
    assert [row["A"] for row in rows] == ["1", "1", "1", "2", "3", "4"]
    assert [row["B"] for row in rows] == ["1", "", "", "", "", ""]
    assert [row["attacked"] for row in rows] == ["1", "2", "3", "4", "5", "6"]


def test_iterations_are_those_of_the_recovered_images_alone() -> None:
    found = gather([outcome("A", [10, None, 14]), outcome("B", [None])], ["A", "B", "C"])
    one, other, absent = lines(iterations_csv(list(found.values())))
    assert (one["method"], one["recovered"], float(one["mean"])) == ("A", "2", 12)
    assert one["ci_low"] == "", "one block of images says nothing of others"
    assert (other["recovered"], other["mean"]) == ("0", "")
    assert absent["recovered"] == "0"


def test_a_pair_compares_the_images_that_both_attacked() -> None:
    found = gather([outcome("A", [5, None, 6, 8, 9]), outcome("B", [10, 7, None, 9])], ["A", "B"])
    pair = Pair.of(found["A"], found["B"])
    assert pair.discordant == (1, 1)
    assert pair.more is not None
    assert pair.more.mean == 0
    assert (pair.one.recovered, pair.other.recovered) == (3, 3), "the fifth image is A's alone"
    assert pair.gain == 0
    assert pair.saved == pytest.approx(1 - (19 / 3) / (26 / 3))
    assert pair.fewer is not None
    assert (pair.fewer.n, pair.fewer.mean) == (2, 3)


def test_images_of_a_sequence_are_drawn_in_blocks() -> None:
    """A gain that comes in runs is less sure than the same gain image by image."""
    base = [outcome("B", [None, 5] * 150)]
    runs = gather([outcome("A", ([None, 5] * 25 + [5, 5] * 25) * 3), *base], ["A", "B"])
    each = gather([outcome("A", [None, 5, 5, 5] * 75), *base], ["A", "B"])
    one, other = Pair.of(runs["A"], runs["B"]).more, Pair.of(each["A"], each["B"]).more
    assert one is not None
    assert other is not None
    assert one.mean == other.mean == 0.25
    assert one.low is not None
    assert one.high is not None
    assert one.high - one.low > 0.3
    assert other.low is not None
    assert other.high is not None
    assert other.high - other.low < 0.05


def test_a_method_without_successes_divides_by_nothing() -> None:
    found = gather([outcome("A", [None, None])], ["A", "B"])
    pair = Pair.of(found["B"], found["A"])
    assert (pair.gain, pair.saved, pair.fewer, pair.more) == (None, None, None, None)
    assert found["B"].rate is None


def test_pictures_are_drawn_from_the_csv(report: FeedbackReport) -> None:
    methods = [Method(name, {}) for family in report.families for name in family.names]
    filled = list(
        gather([outcome(m.name, [4, None, 6]) for m in methods], [m.name for m in methods]).values()
    )
    for text, draw in ((curves_csv(filled), draw_curves), (iterations_csv(filled), draw_iterations)):
        with Image.open(io.BytesIO(draw(text, report.families, "title"))) as picture:
            assert picture.width > 800


def test_the_report_shows_published_beside_measured_and_the_slip(report: FeedbackReport) -> None:
    outcomes = [outcome("DLG", [50, None, 40, None]), outcome("DLG-FB", [20, 30, 40, None])]
    methods = gather(outcomes, [name for family in report.families for name in family.names])
    text = report.markdown("cifar100", methods)
    assert "| DLG-FB | 3 of 4 | 75.0% (30.1 to 95.4) | +50.0 % | 1 / 0 | +25.0 % | 30.0 | +33.3 % |" in text
    assert re.search(r"\| DLG \| 769 \| 64.1% \| 50.0% ", text)
    assert "908 / 769 is +18.08%. With 796 it is +14.07%" in text
    mnist = report.markdown("mnist", methods)
    assert "| DLG | 929 |" in mnist
    assert "swapped" not in mnist
    assert "Published beside measured" not in report.markdown("digits32", methods)


def test_a_method_that_was_not_measured_is_left_out(report: FeedbackReport) -> None:
    outcomes = [outcome("DLG", [50, None]), outcome("DLG-FB", [20, 30]), outcome("iDLG-FB", [3, 4])]
    methods = gather(outcomes, [name for family in report.families for name in family.names])
    text = report.markdown("mnist", methods)
    assert "DLG mean image" not in text
    assert "0 of 0" not in text
    assert "| iDLG-FB | 2 of 2 | 100.0% (34.2 to 100.0) | | | | 3.5 | |" in text


def test_several_orders_are_told_apart(report: FeedbackReport) -> None:
    first, other = outcome("DLG", [50, None]), outcome("DLG", [None, None, 7], seed=1)
    one = report.markdown("mnist", gather([first], ["DLG"]))
    assert "one order of the images" in one
    assert "Order by order" not in one
    both = report.markdown("mnist", gather([first, other], ["DLG"]))
    assert "There are 2 orders of images" in both
    assert "| DLG | 1 of 2 | 1 of 3 |" in both


def test_several_columns_are_kept_apart(report: FeedbackReport, tmp_path: Path) -> None:
    found = {
        ("DLG", "Random order"): [12, None, 9, None],
        ("DLG-FB", "Random order"): [6, 8, 7, None],
        ("DLG", "tau 1e-6"): [None, None, 20, None],
        ("DLG-FB", "tau 1e-6"): [14, None, 10, 12],
        ("DLG grey", "tau 1e-6"): [15, None, 12, 15],
    }
    outcomes = [outcome(row, values, column=column) for (row, column), values in found.items()]
    replace(report, strip="iDLG-FB").write("mnist", outcomes, Store(tmp_path / "runs"), tmp_path)
    settings = lines((tmp_path / "settings.csv").read_text())
    for line in settings:
        values = found.get((line["method"], line["column"]), [])
        hits = [value for value in values if value]
        assert (int(line["attacked"]), int(line["recovered"])) == (len(values), len(hits))
        assert (float(line["mean"]) == sum(hits) / len(hits)) if hits else (line["mean"] == "")
    last = lines((tmp_path / "figure3-tau-1e-6.csv").read_text())[-1]
    assert (last["DLG"], last["DLG-FB"]) == ("1", "3")
    assert lines((tmp_path / "figure3-random-order.csv").read_text())[-1]["DLG"] == "2"
    text = (tmp_path / "report.md").read_text()
    assert "| DLG-FB | 3 of 4 (7.0) | 3 of 4 (12.0) |" in text
    assert "| DLG-FB v DLG | tau 1e-6 | 3 v 1 | 2 / 0 | +50.0 % | +40.0 % |" in text
    assert "| DLG-FB v DLG grey | - | +2.0 |" in text
    for link in re.findall(r"\]\((.*?)\)", text):
        assert (tmp_path / link).exists()
    assert re.findall(r"\]\((.*?)\)", (tmp_path / "report-tau-1e-6.md").read_text()) == [
        "figure3-tau-1e-6.png"
    ]
    assert not (tmp_path / "figure3.csv").exists()


def test_every_setting_composes() -> None:
    """The table of settings is that of the figures, with other columns beside its own."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from harness.base.schema import CONF, prepare_hydra

    prepare_hydra()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra_compose("config", ["table=dlgfb_settings"], return_hydra_config=True)
    table = parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]
    assert next(iter(table.columns)) == "Random order"
    last = {cell.column: cell for cell in table.cells("digits32", "small")}
    found = {column: compose(*cell.overrides) for column, cell in last.items()}
    assert found["One class"].order == "same_class"
    assert found["One class"].trials == 12
    assert not found["One network"].model.fresh
    assert {experiment.attack.tolerance for experiment in found.values()} == {1e-3, 1e-4, 1e-5, 1e-6}  # type: ignore[attr-defined]
    assert len({experiment.id for experiment in found.values()}) == len(table.columns)


def test_every_method_composes_and_differs_in_attack_or_start_alone(dlgfb: Table) -> None:
    paper = {cell.row: compose(*cell.overrides) for cell in dlgfb.cells("digits32", "smoke")}
    assert len({experiment.id for experiment in paper.values()}) == len(dlgfb.rows) == 14
    assert len({experiment.group_key for experiment in paper.values()}) == 2
    (cell,) = [cell for cell in dlgfb.cells("mnist", "paper") if cell.row == "DLG-FB"]
    experiment = compose(*cell.overrides)
    assert (experiment.trials, experiment.attack.steps) == (1200, 300)
    assert experiment.attack.tolerance == 1e-4  # type: ignore[attr-defined]


def test_the_whole_table_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.commands import main as cli

    keep = {"iDLG", "iDLG-FB", "iDLG grey"}
    config = OmegaConf.load(EXPERIMENTS / "table" / "dlgfb.yaml")
    sweeper = config.hydra.sweeper
    sweeper.rows = {name: overrides for name, overrides in sweeper.rows.items() if name in keep}
    sweeper.claims = []
    sweeper.supplements[0].update(strip="iDLG-FB", steps=[1])
    (tmp_path / "own" / "table").mkdir(parents=True)
    text = OmegaConf.to_yaml(config)
    (tmp_path / "own" / "table" / "few.yaml").write_text(f"# @package _global_\n{text}")
    monkeypatch.chdir(tmp_path)
    arguments = ["scale=small", "trials=4", "attack.steps=20", "attack.tolerance=1e-2", "logger=none"]
    monkeypatch.setattr("sys.argv", ["harness", "--config-dir", "own", "table=few", *arguments])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert not done.value.code
    folder = tmp_path / "results" / "dlgfb" / "digits32-small"
    records = {r.config["choices"]["start"]: r for r in Store(tmp_path / "runs").records()}
    last = lines((folder / "figure3.csv").read_text())[-1]
    for row, start in (("iDLG", "random"), ("iDLG-FB", "feedback"), ("iDLG grey", "constant_grey")):
        assert int(last[row]) == sum(image["converged"] for image in records[start].rows)
        hits = [image["iterations_to_converge"] for image in records[start].rows if image["converged"]]
        (bar,) = [line for line in lines((folder / "figure4.csv").read_text()) if line["method"] == row]
        assert float(bar["mean"]) == pytest.approx(sum(hits) / len(hits))
    strip = lines((folder / "figure5.csv").read_text())
    assert {line["run"] for line in strip} == {records["feedback"].id}
    rows = {image["target"]: image for image in records["feedback"].rows}
    last = {int(line["target"]): line for line in strip}  # type: ignore[misc]
    assert last
    for target, line in last.items():  # the last picture of every strip is what the record has
        assert int(line["iteration"]) == rows[target]["iterations"]
        assert float(line["loss"]) == pytest.approx(rows[target]["loss"])
        assert float(line["mse"]) == pytest.approx(rows[target]["mse"], rel=1e-5)
    for name in ("figure3.png", "figure4.png", "figure5.png", "report.md"):
        assert (folder / name).stat().st_size > 500
