"""What scripts and notebooks say, and what they see."""

import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.core import UserError


def test_the_package_is_light_until_something_runs() -> None:
    code = "import sys, harness; harness.__version__; assert 'torch' not in sys.modules and 'hydra' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_earlier_names_stay() -> None:
    from harness.run import run  # type: ignore[import-not-found]
    from harness.runs import run as now

    assert run is now.run
    assert {"compose", "execute", "frame", "__version__"} <= {*dir(harness)}
    with pytest.raises(AttributeError, match="no attribute 'exceute'"):
        harness.exceute  # type: ignore[attr-defined] # noqa: B018


def test_a_run_has_rows_images_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ("attack.steps=2", "trials=2", "logger=none", "model=mlp", "dataset=digits32", "report=last")
    found = harness.execute(harness.compose("attack=dlg", *settings))
    assert list(found.rows["image"]) == [0, 0]
    assert {name: tuple(x.shape) for name, x in found.images.items()} == {
        "truth": (2, 1, 32, 32),
        "reconstruction": (2, 1, 32, 32),
    }
    assert repr(found).startswith("<dlg on digits32: 2 images, PSNR ")
    assert "\n" not in repr(found)
    assert 'src="data:image/png;base64,' in found._repr_html_()
    (found.folder / "gallery.png").unlink()
    assert "<img" not in found._repr_html_()
    assert list(harness.frame("runs")["run"].unique()) == [found.id]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("attack=igg", "attack=igg: there is no such attack; did you mean 'ig'?"),
        ("attack.stesp=3", "attack.stesp: there is no such setting; did you mean 'steps'?"),
        ("trials=0", "trials"),
    ],
)
def test_mistakes_are_told_as_on_the_command_line(override: str, said: str) -> None:
    with pytest.raises(UserError) as told:
        harness.compose(override)
    assert said in str(told.value)
    assert told.value.__suppress_context__ or told.value.__cause__ is not None
