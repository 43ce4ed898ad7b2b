"""What the README says is there: its commands compose, its targets and files exist, its example attack runs."""

import importlib
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from harness.bench.store import write
from harness.config import compose
from harness.core import Batch, Problem
from tests.conftest import Observe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(?:sh|python)\n(.*?)```", README, re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("python -m harness ")]
QUESTIONS = [line for line in LINES if re.match(r"python -m harness\.(query|plot) ", line)]
EXPERIMENTS = ("table", "sweep")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command: str) -> None:
    _, _, module, *arguments = shlex.split(command, comments=True)
    if module != "harness":  # what it does, tests/test_<module>.py says
        assert find_spec(module)
        assert (ROOT / "tests" / f"test_{module.rpartition('.')[2]}.py").exists()
        return
    values = [argument.split(",")[0] for argument in arguments if argument != "-m"]
    named = [value.split("=") for value in values if value.split("=")[0] in EXPERIMENTS]
    assert all((ROOT / "experiments" / kind / f"{name}.yaml").exists() for kind, name in named)
    compose(*(value for value in values if value.split("=")[0] not in EXPERIMENTS))


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
    _, _, module, *arguments = shlex.split(command, comments=True)
    assert importlib.import_module(module).main(arguments) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("page", ["README.md", "experiments/results/dashboards/README.md"])
def test_targets_and_links_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE))
    assert mentioned
    assert mentioned <= targets
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    assert all((ROOT / page).parent.joinpath(link).exists() for link in links if "://" not in link)


def test_every_choice_of_a_group_is_listed() -> None:
    listed = {
        match[1]: set(re.findall(r"`([\w]+)`", match[2]))
        for match in re.finditer(r"^\| `(\w+)` \| (.*) \|$", README, re.MULTILINE)
    }
    for group in ("attack", "defense", "fl", "model", "dataset", "prior", "logger", "scale"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            family = any(path.stem.startswith(name) for name in listed[group])
            assert path.stem in listed[group] or family, f"{group}={path.stem} is not in the README"


def test_the_example_attack_works_as_it_stands(observe: Observe, batch: Batch) -> None:
    example = next(block for block in BLOCKS if "class Mine" in block)
    names: dict[str, object] = {"__name__": "mine"}
    imports = (
        "from pydantic import NonNegativeFloat\nfrom torch import Tensor\n"
        "from harness.attacks.images import ImageSearch\n"
        "from harness.attacks.matching import squared_distance, total_variation, trial_update\n"
        "from harness.attacks.solvers.engine import Variables\n"
        "from harness.core import Batch, Observation, Params, component\n"
    )
    exec(imports + example, names)
    from harness.attacks.solvers.adam import Adam
    from harness.labels.llg_star import LLGStar

    attack = names["Mine"](steps=5, optimizer=Adam(lr=0.1), labels=LLGStar())  # type: ignore[operator]
    (found,) = attack([Problem(0, observe(batch), seed=0)])
    assert bool(torch.isfinite(found.x).all())
    assert found.loss <= found.trace[0]["loss"]
