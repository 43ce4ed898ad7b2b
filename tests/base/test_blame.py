"""An error in the code of a declared package is told by its line; pydantic's words for a class never are."""

import sys
import tempfile
from pathlib import Path

import pytest

from harness.base.blame import culprit
from harness.base.command import answered
from harness.base.components import build
from harness.base.errors import UserError

FILE = "of_theirs.py"
HEAD = """from harness.core import Defense, component


@component
class Mine(Defense):
    strength: {kind} = 1

    def __post_init__(self) -> None:
        {body}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one module of a package that is declared, and is another in each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HARNESS_PLUGINS", "of_theirs")
    monkeypatch.delitem(sys.modules, "of_theirs", raising=False)
    return tmp_path / "of_theirs.py"


def make() -> None:
    build("defense", {"_target_": "of_theirs.Mine"})


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("int", '{}["a"]', ["KeyError: 'a'", "of_theirs.py:9, in __post_init__", '{}["a"]']),
        ("int", "pass\nhere", ["NameError: name 'here' is not defined", "of_theirs.py:10, in <module>", "here"]),
        ("int", "def (", ["SyntaxError: invalid syntax (of_theirs.py, line 9)", f"{FILE}:9, in <module>", "def ("]),
    ],
)  # fmt: skip
def test_the_authors_own_line_is_told(
    package: Path, capsys: pytest.CaptureFixture[str], kind: str, body: str, told: list[str]
) -> None:
    package.write_text(HEAD.format(kind=kind, body=body))
    assert answered(make) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"harness: {told[0]}"
    assert [line.strip().rpartition("/")[2] for line in lines[1:3]] == told[1:]
    assert len(lines) == 4
    log = Path(lines[3].partition("all of it is in ")[2].partition(";")[0])
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("int", 'raise ValueError("No good")', "defense: no good"),
        ('"Unknowable"', "pass", "defense: of_theirs.Mine has a setting of a type that can't be checked (Unknowable)"),
        ("int", "int('x')", "defense: invalid literal for int() with base 10: 'x'"),
    ],
)  # fmt: skip
def test_the_words_of_pydantic_do_not_show(
    package: Path, capsys: pytest.CaptureFixture[str], kind: str, body: str, told: str
) -> None:
    package.write_text(HEAD.format(kind=kind, body=body))
    assert answered(make) == 2
    assert capsys.readouterr().err == f"harness: {told}\n"


def test_the_harness_is_not_taken_for_a_package_of_theirs(package: Path) -> None:
    with pytest.raises(UserError) as told:
        build("defense", {"_target_": 3})
    assert culprit(told.value) is None
