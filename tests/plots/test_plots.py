"""Every kind of plot: the numbers that it shows, and a figure that shows them."""

from itertools import pairwise
from pathlib import Path

import numpy
import pandas
import pytest

from harness.base.errors import UserError
from harness.plots.bars import Bars
from harness.plots.boxes import Boxes
from harness.plots.heatmap import Heatmap
from harness.plots.lines import Lines
from harness.plots.plot import Plot, caption, write_all
from harness.plots.scatter import Scatter
from harness.plots.style import COLOURS, LINES, png, series
from harness.store.frames import SETTINGS

SETTING = ["attack", "fl.batch_size", "fl.local_epochs", "seed"]


@pytest.fixture
def table() -> pandas.DataFrame:
    """Two attacks, three batch sizes, two epochs, two seeds, two images: PSNR falls with both settings."""
    lines = [
        {"run": f"{a}{b}{e}{s}", "dataset": "digits32", "attack": a, "fl.batch_size": b, "fl.local_epochs": e,
         "seed": s, "problem": i, "image": 0, "target": 10 * s + i, "psnr_unit": 20.0 - b - e + s + i / 4,
         "loss": b / 10, "ssim": 0.5, "success": i == 0, "lpips_vgg": float("nan")}
        for a in ("dlg", "ig") for b in (1, 2, 4) for e in (1, 2) for s in (0, 1) for i in (0, 1)
    ]  # fmt: skip
    found = pandas.DataFrame(lines)
    found.attrs[SETTINGS] = SETTING
    return found


def test_lines_have_means_and_intervals_of_every_group(table: pandas.DataFrame) -> None:
    plot = Lines(x="fl.batch_size", y=["psnr_unit", "success"], by=["attack", "fl.local_epochs"], log=True)
    more = pandas.concat(
        [table, table.assign(run=table["run"] + "x", target=table["target"] + 100)], ignore_index=True
    )
    more.attrs = table.attrs
    drawing = plot.draw(more)
    assert not drawing.notes
    first = drawing.numbers.iloc[0]
    assert (first["attack"], first["fl.local_epochs"], first["fl.batch_size"]) == ("dlg", 1, 1)
    assert (first["mean"], first["n"], first["targets"]) == (18.625, 8, 8)
    assert first["ci_low"] < first["mean"] < first["ci_high"]
    axes = drawing.figure.axes
    assert [one.get_ylabel() for one in axes] == ["PSNR, dB", "recovered, rate"]
    assert {one.get_xlabel() for one in axes} == {"batch size, images"}
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["1", "2", "4"]
    lines = [container.lines[0] for container in axes[0].containers]  # type: ignore[attr-defined]
    assert list(lines[0].get_ydata()) == [18.625, 17.625, 15.625]
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 4
    (legend,) = drawing.figure.legends
    assert legend.get_texts()[0].get_text() == "dlg, local epochs 1"
    assert png(drawing.figure).startswith(b"\x89PNG")
    below = legend.get_window_extent().y1
    assert all(one.get_window_extent().y0 >= below for one in axes), "the legend covers a panel"


def test_fewer_than_five_images_are_shown_themselves(table: pandas.DataFrame) -> None:
    drawing = Lines(x="fl.batch_size", y=["psnr_unit"], by=["attack", "fl.local_epochs"]).draw(table)
    first = drawing.numbers.iloc[0]
    assert numpy.isnan(first["ci_low"])
    assert first["values"] == "18 18.25 19 19.25"
    dots = [list(line.get_ydata()) for line in drawing.figure.axes[0].lines if line.get_marker() == "."]
    assert [18.0, 18.25, 19.0, 19.25] in dots


def test_what_is_averaged_over_is_told(table: pandas.DataFrame) -> None:
    drawing = Lines(x="fl.batch_size", y=["psnr_unit"], by=["attack"]).draw(table)
    assert drawing.notes == ("fl.local_epochs differs within what is shown as one",)
    chosen = Lines(x="fl.batch_size", y=["psnr_unit"], by=["attack"], where="fl.local_epochs == 2")
    assert not chosen.draw(table).notes


@pytest.fixture
def many(table: pandas.DataFrame) -> pandas.DataFrame:
    """The same with twice the images, which are enough for intervals; one attack has no run at four images."""
    other = table.assign(
        run=table["run"] + "x", target=table["target"] + 100, psnr_unit=table["psnr_unit"] + 1
    )
    found = pandas.concat([table, other], ignore_index=True)
    found = found[(found["attack"] == "dlg") | (found["fl.batch_size"] < 4)]
    found.attrs = table.attrs
    return found


def test_bars_have_means_intervals_and_a_point_for_each_image(many: pandas.DataFrame) -> None:
    drawing = Bars(
        x="attack", y=["psnr_unit", "success"], by=["fl.batch_size"], where="fl.local_epochs == 1"
    ).draw(many)
    assert not drawing.notes
    axes = drawing.figure.axes
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["dlg", "ig"]
    numbers = drawing.numbers[drawing.numbers["metric"] == "psnr_unit"]
    heights = sorted(bar.get_height() for bar in axes[0].patches)  # type: ignore[attr-defined]
    assert heights == sorted(numbers["mean"])
    points = [numpy.asarray(line.get_ydata()) for line in axes[0].lines if line.get_marker() == "."]
    images = many[(many["fl.local_epochs"] == 1)]["psnr_unit"]
    assert sorted(numpy.concatenate(points)) == pytest.approx(sorted(images))
    assert not [line for line in axes[1].lines if line.get_marker() == "."], "a rate has no points"
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"batch size, images {b}" for b in (1, 2, 4)]


def test_bars_stand_beside_each_other(many: pandas.DataFrame) -> None:
    (axes,) = Bars(x="attack", y=["ssim"], by=["fl.batch_size", "fl.local_epochs"]).draw(many).figure.axes
    sides = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)  # type: ignore[attr-defined]
    assert len(sides) == 10
    assert all(right <= left for (_, right), (left, _) in pairwise(sides))


def test_boxes_have_the_quartiles_of_the_images(many: pandas.DataFrame) -> None:
    chosen = many[(many["attack"] == "dlg") & (many["fl.batch_size"] == 1)]
    chosen.attrs = many.attrs
    (axes,) = Boxes(x="attack", y=["psnr_unit"]).draw(chosen).figure.axes
    lines = [list(line.get_ydata()) for line in axes.lines]
    assert [float(numpy.median(chosen["psnr_unit"]))] * 2 in lines


def test_what_is_no_number_stands_on_the_axis_by_its_name(many: pandas.DataFrame) -> None:
    many.loc[many["attack"] == "ig", "attack"] = None
    many.loc[many["seed"] == 1, "attack"] = "sparsification"
    drawing = Lines(x="attack", y=["ssim"], by=["fl.batch_size", "fl.local_epochs"]).draw(many)
    (axes,) = drawing.figure.axes
    labels = axes.get_xticklabels()
    assert [text.get_text() for text in labels] == ["dlg", "sparsification", "none"]
    assert {text.get_rotation() for text in labels} == {30.0}


@pytest.mark.parametrize("kind", [Bars, Boxes, Lines])
def test_the_csv_is_all_that_a_picture_needs(
    kind: type[Bars] | type[Boxes] | type[Lines], many: pandas.DataFrame, tmp_path: Path
) -> None:
    plot = kind(name="a", x="attack", y=["psnr_unit"], by=["fl.batch_size", "fl.local_epochs"])
    plot.write(many, tmp_path)
    again = png(plot.figure(pandas.read_csv(tmp_path / "a.csv")))
    assert again == (tmp_path / "a.png").read_bytes()


def test_a_heat_map_has_a_panel_for_each_group(table: pandas.DataFrame) -> None:
    plot = Heatmap(x="fl.batch_size", y="fl.local_epochs", value="psnr_unit", by=["attack"])
    figure = plot.draw(table).figure
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert [axes.get_title() for axes in panels] == ["dlg", "ig"]
    (image,) = panels[0].get_images()
    assert numpy.array_equal(
        numpy.asarray(image.get_array()), [[18.625, 17.625, 15.625], [17.625, 16.625, 14.625]]
    )
    assert len({image.get_clim() for axes in panels for image in axes.get_images()}) == 1
    assert [text.get_text() for text in panels[0].texts][:2] == ["18.6", "17.6"]


def test_a_heat_map_leaves_out_what_was_not_run(table: pandas.DataFrame) -> None:
    plot = Heatmap(x="fl.batch_size", y="fl.local_epochs", where="fl.batch_size < 4 or fl.local_epochs == 1")
    (panel, _) = plot.draw(table).figure.axes
    assert len(panel.texts) == 5


def test_a_scatter_has_a_point_for_each_image(table: pandas.DataFrame) -> None:
    table.loc[0, "loss"] = None
    drawing = Scatter(x="loss", y="psnr_unit", by=["attack"], log=True).draw(table)
    assert not drawing.notes
    assert len(drawing.numbers) == len(table) - 1
    (axes,) = drawing.figure.axes
    assert [len(points.get_offsets()) for points in axes.collections] == [23, 24]
    assert axes.get_xscale() == "log"


WRONG: dict[str, tuple[Plot, str]] = {
    "no LPIPS": (Lines(x="fl.batch_size", y=["lpips_vgg"]), "lpips_vgg: none of these 48 images has a value"),
    "no such x": (Lines(x="fl.batchsize", y=["ssim"]), "did you mean 'fl.batch_size'"),
    "no such y": (Scatter(x="loss", y="psnr"), "did you mean 'psnr_unit'"),
    "no such group": (Lines(x="fl.batch_size", y=["ssim"], by=["atack"]), "did you mean 'attack'"),
    "powers of names": (Lines(x="attack", y=["ssim"], log=True), "attack: its values are no numbers"),
    "bars of names": (Bars(x="seed", y=["attack"]), "attack: its values are no numbers"),
    "nothing chosen": (Heatmap(x="fl.batch_size", y="seed", where="seed == 7"), "no image fulfils"),
    "a call": (Heatmap(x="fl.batch_size", y="seed", where="seed.max() == 7"), "has no place in a condition"),
    "no logarithm": (Scatter(x="seed", y="ssim", log=True), "a value of 0 has no logarithm"),
    "no power of two": (Lines(x="seed", y=["ssim"], log=True), "a value of 0 is no power of two"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cant_be_drawn_is_said_in_one_line(name: str, table: pandas.DataFrame) -> None:
    plot, message = WRONG[name]
    with pytest.raises(UserError) as refused:
        plot.draw(table)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_can_be_drawn_is_written_and_the_rest_is_noted(table: pandas.DataFrame, tmp_path: Path) -> None:
    plots = [
        Lines(name="good", title="Good", x="fl.batch_size", y=["ssim"], by=["attack", "fl.local_epochs"]),
        Lines(name="none", x="fl.batch_size", y=["lpips_vgg"]),
    ]
    drawn, notes = write_all(plots, table, tmp_path / "new")
    assert drawn == {"good": "Good"}
    assert notes == [
        "none is not drawn: lpips_vgg: none of these 48 images has a value (it was not measured)."
    ]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"good.png", "good.csv"}
    numbers = pandas.read_csv(tmp_path / "new" / "good.csv")
    assert plots[0].figure(numbers).axes, "the CSV is all that the picture needs"


def test_series_differ_until_there_are_too_many() -> None:
    most = len(COLOURS) * len(LINES)
    assert len(set(series(most))) == most
    with pytest.raises(UserError, match="can't be told apart"):
        series(most + 1)


def test_a_caption_says_what_a_number_counts() -> None:
    by = ["attack", "fl.local_epochs", "fl.batch_size"]
    assert caption(["ig", 2.0, float("nan")], by) == "ig, local epochs 2, no batch size, images"
