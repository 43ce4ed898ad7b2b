"""What README and docs/ say is there: their commands compose or answer, their targets, files and choices exist."""

import re
import shlex
from pathlib import Path

import pytest

from harness.base.threat import MEANING
from harness.bench.store import write
from harness.commands.front import COMMANDS, main
from harness.config.composition import compose

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")),
]
TEXTS = {page: (ROOT / page).read_text() for page in PAGES}
BLOCKS = [block for text in TEXTS.values() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
LINES = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
FRONT = [line for line in LINES if line.startswith("python -m harness ")]
QUESTIONS = [line for line in FRONT if line.split()[3] in ("query", "plot")]
OTHERS = [line for line in FRONT if line.split()[3] in COMMANDS and line not in QUESTIONS]
RUNS = [line for line in FRONT if line not in (*QUESTIONS, *OTHERS) and "--help" not in line]
EXPERIMENTS = ("table", "sweep")
REFERENCE = TEXTS["docs/reference.md"]


def test_the_readme_is_short() -> None:
    assert len(TEXTS["README.md"].encode()) <= 6000


def test_every_command_is_one_that_a_test_knows() -> None:
    """What starts otherwise is a target of the Makefile, or named here with the test that runs it."""
    elsewhere = {
        "torchrun": "tests/machine/test_ranks.py",
        "HARNESS_PLUGINS=my_attacks": "tests/docs/test_extend.py",
        "pre-commit": ".pre-commit-config.yaml",
        ".venv/bin/python": "tests/docs/test_readme.py",
    }
    assert all((ROOT / file).exists() for file in elsewhere.values())
    for line in LINES:
        assert line.startswith(("make ", "python -m harness ", "#", *elsewhere)), line


@pytest.mark.parametrize("command", RUNS)
def test_commands_compose(command: str) -> None:
    _, _, _, *arguments = shlex.split(command, comments=True)
    values = [argument.split(",")[0] for argument in arguments if argument != "-m"]
    named = [value.split("=") for value in values if value.split("=")[0] in EXPERIMENTS]
    assert all((ROOT / "experiments" / kind / f"{name}.yaml").exists() for kind, name in named)
    compose(*(value for value in values if value.split("=")[0] not in EXPERIMENTS))


@pytest.mark.parametrize("command", OTHERS)
def test_other_commands_take_their_arguments(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that isn't there is a mistake of the user's: not of the command line's, whose usage would be shown."""
    monkeypatch.chdir(tmp_path)
    _, _, _, *arguments = shlex.split(command, comments=True)
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code in (0, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in it."""
    found = tmp_path_factory.mktemp("work")
    (found / "runs").mkdir()
    write(found / "runs", 16)
    return found


@pytest.mark.parametrize("command", QUESTIONS)
def test_questions_and_plots_are_answered(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    _, _, _, *arguments = shlex.split(command, comments=True)
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 0
    assert capsys.readouterr().err == ""


RESULTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("experiments/results/**/*.md"))


@pytest.mark.parametrize("page", [*PAGES, *RESULTS])
def test_targets_and_links_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE))
    assert mentioned <= targets
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert all((ROOT / page).parent.joinpath(link).exists() for link in links if "://" not in link)


def test_links_lead_to_headings_that_are_there() -> None:
    for page, text in TEXTS.items():
        for link, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", text):
            target = (ROOT / page).parent / link if link else ROOT / page
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


def test_every_choice_of_a_group_is_listed() -> None:
    listed = {
        match[1]: set(re.findall(r"`([\w]+)`", match[2]))
        for match in re.finditer(r"^\| `(\w+)` \| (.*) \|$", REFERENCE, re.MULTILINE)
    }
    for group in ("attack", "defense", "fl", "model", "dataset", "prior", "logger", "scale"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            family = any(path.stem.startswith(name) for name in listed[group])
            assert path.stem in listed[group] or family, f"{group}={path.stem} is not in docs/reference.md"


def test_commands_and_letters_are_listed_in_the_reference() -> None:
    assert all(f"| `{name}` | {command.summary}" in REFERENCE for name, command in COMMANDS.items())
    assert all(f"| {mark} | {meaning} |" in REFERENCE for mark, meaning in MEANING.items())
