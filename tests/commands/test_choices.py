"""What can be chosen is listed from the files and the classes themselves."""

import sys

import pytest

from harness.base.schema import CONF, PLANS
from harness.commands import front
from harness.commands.choices import GROUPS, files, main, meanings, summary
from harness.core import component


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_every_group_and_every_choice_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
    parts = {"imprint", "network", "search"}  # of which models and attacks are made: nobody chooses them
    assert set(GROUPS.values()) == (folders - parts) | set(PLANS)
    page = told(capsys)
    for group in GROUPS.values():
        assert set(files(group)) <= set(page.replace(",", " ").split()), group


@pytest.mark.parametrize("group", [*GROUPS.values()])
def test_every_choice_says_what_it_is(group: str) -> None:
    for name, path in files(group).items():
        assert len(summary(path)) > 5, f"{group}={name} has no comment at its head"


def test_attacks_have_the_letter_of_their_attacker(capsys: pytest.CaptureFixture[str]) -> None:
    lines = {
        line.split()[0]: line.split()[1]
        for line in told(capsys, "attacks").splitlines()
        if line[:1].isalpha()
    }
    assert {name: lines[name] for name in ("dlg", "ig", "dlf", "ggl", "ggl_cma", "rtf")} == {
        "dlg": "A",
        "ig": "B",
        "dlf": "C",
        "ggl": "D",
        "ggl_cma": "D",
        "rtf": "F",
    }


def test_a_choice_is_shown_with_its_settings_and_their_meanings(capsys: pytest.CaptureFixture[str]) -> None:
    page = told(capsys, "attacks", "ig")
    assert "Geiping et al. 2020, eq. 4" in page
    assert " ".join(page.split()).count("attack.steps 4800 Outer iterations of one attempt.") == 1
    assert "attack.optimizer.lr" in page
    assert max(map(len, page.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["atacks"], "did you mean 'attacks'?"),
        (["attacks", "igg"], "attack=igg: there is no such attack; did you mean 'ig'?"),
    ],
)
def test_what_is_not_there_gets_the_nearest(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_texts_below_fields_are_their_meanings() -> None:
    @component
    class Parent:
        one: int = 1
        """The first."""
        two: int = 2
        """The second,
        over two lines."""

    @component
    class Child(Parent):
        three: int = 3
        two: int = 4
        """Another."""

    assert meanings(Child) == {"one": "The first.", "two": "Another."}


def test_help_beside_choices_explains_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as done:
        front.main(["attack=ig", "defense=clipping", "--help"])
    assert not done.value.code
    page = capsys.readouterr().out
    assert "attack.total_variation" in page
    assert "defense.bound" in page
    with pytest.raises(SystemExit) as done:
        front.main(["attack=igg", "--help"])
    assert done.value.code == 2


def test_help_by_itself_has_commands_groups_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        front.main(["--help"])
    assert not done.value.code
    page = capsys.readouterr().out
    assert [
        page.count(part) for part in ("query      ask the store", "attack=    ci_net", "trials: 4  #")
    ] == [1] * 3
    assert "_target_" not in page
    assert max(map(len, page.splitlines())) <= 120


def test_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        front.main(["--version"])
    assert capsys.readouterr().out.startswith("harness 0.")


def test_tables_are_listed_without_torch() -> None:
    import subprocess

    code = "import sys; from harness.commands.choices import main; main(['tables']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
