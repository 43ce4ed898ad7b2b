"""What the generators of a table are worth, beside real images."""

from pathlib import Path

from PIL import Image

from harness.base.rows import read_csv
from tests.command import Main
from tests.command import main as main


def test_a_table_says_how_good_its_generators_are(main: Main, tmp_path: Path) -> None:
    rows = "rows=[Fig. 15 GGL,Fig. 47 GGL untrained generator]"
    given = ("table=noteasy", "scale=smoke", "logger=none", rows)
    assert main(*given) == 0
    folder = tmp_path / "results" / "noteasy" / "digits32-smoke"
    lines = read_csv(folder / "generators.csv")
    assert [line["images"].partition(",")[0] for line in lines] == [
        "other real images",
        "wgan_gp_small",
        "untrained",
    ]
    real, *made = (float(line["frechet"]) for line in lines)
    assert 0 < real < min(made)
    assert "over that of real images" in (folder / "generators.md").read_text()
    with Image.open(folder / "generators.png") as drawn:
        assert drawn.width > drawn.height


def test_none_is_trained_to_be_judged(main: Main, tmp_path: Path) -> None:
    given = ("table=noteasy", "scale=smoke", "logger=none", "rows=[Fig. 15 GGL]")
    assert main(*given) == 0
    folder = tmp_path / "results" / "noteasy" / "digits32-smoke"
    (folder / "generators.md").unlink()
    for weights in (tmp_path / "runs" / "priors").glob("*/generator.safetensors"):
        weights.unlink()
    assert main(*given) == 0
    assert not (folder / "generators.md").exists()
    assert not [*(tmp_path / "runs" / "priors").glob("*/generator.safetensors")]
