"""A file is data: none of it is executed, and no secret gets into one."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.base import secrecy
from harness.config.composition import compose
from harness.core import UserError
from harness.priors.training import finished_steps
from harness.priors.wgan_gp import WGANGP
from harness.store.cache import Entry
from harness.tables.latex import escape
from tests.command import QUICK, Main, write_table
from tests.command import main as main
from tests.commands.test_main import clean_environment

PACKAGE = Path(__file__).parents[2] / "harness"
SECRET = "c0ffee" * 8
UNSAFE = {
    "torch.load without weights_only=True": r"(?<!safetensors\.)torch\.load\((?![^\n]*weights_only=True)",
    "pickle": r"pickle\.(loads?|Unpickler)\b",
    "joblib": r"joblib\.load\b",
    "numpy with pickles": r"allow_pickle\s*=\s*True",
    "YAML with objects": r"yaml\.(load|unsafe_load|full_load)\(",
    "eval": r"(?<![\w.])(eval|exec)\(",
    "a shell": r"shell\s*=\s*True|os\.system\(",
}


@pytest.mark.parametrize("name", UNSAFE)
def test_the_package_reads_no_file_that_could_hold_code(name: str) -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {match[0]}"
        for path in PACKAGE.rglob("*.py")
        for match in re.finditer(UNSAFE[name], path.read_text())
    ]
    assert not found


class Planted:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("planted"),)


def test_code_in_a_checkpoint_or_a_generator_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"global_step": Planted()}, "training.ckpt")
    with pytest.raises(UserError, match="is damaged"):
        finished_steps(Path("training.ckpt"), WGANGP(steps=1))
    entry = Entry.of("cache", "Test", {})
    torch.save(Planted(), entry.weights)
    with pytest.raises(UserError, match="is damaged"):
        entry.load(torch.nn.Linear(1, 1))
    assert not Path("planted").exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "harness.store.provenance.subprocess.run",
        "harness.base.files.write_atomically",
        "harness.config.composition.restore",
        "harness.core.seeds.torch.load",
        "harness.core.UserError",
        "harnessed.Attack",
        "harness",
        "",
        "[os.system]",
    ],
)
@pytest.mark.parametrize("place", ["attack", "attack.optimizer", "metric.metrics.mse"])
def test_a_configuration_names_nothing_but_components(target: str, place: str) -> None:
    with pytest.raises(UserError, match=r"not a component|can't be imported") as error:
        compose(f"{place}._target_='{target}'")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["_args_", "_partial_"])
def test_a_configuration_does_not_steer_how_components_are_made(key: str) -> None:
    with pytest.raises(UserError, match=f"{key} is not for configurations"):
        compose(f"+attack.optimizer.{key}=[1]")


def test_a_list_of_components_is_looked_through(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"os\.getcwd is not a component"):
        compose("defense=clipping_noise", "defense.defenses=[{_target_:os.getcwd}]")


def test_no_callback_of_hydras_can_be_named(main: Main, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(*QUICK, "+hydra.callbacks.mine._target_=shutil.copyfile") == 2
    assert "hydra.callbacks" in capfd.readouterr().err


def test_yaml_tags_make_no_objects(main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own" / "attack").mkdir()
    (tmp_path / "own" / "attack" / "evil.yaml").write_text(
        "_target_: harness.attacks.dlg.DLG\nsteps: !!python/object/apply:os.mkdir [planted]\n"
    )
    assert main(*QUICK, "attack=evil") == 2
    assert "can't be read" in capfd.readouterr().err
    assert not (tmp_path / "planted").exists()


OWN = """
from harness.attacks.dlg import DLG
from harness.core import component


@component
class Mine(DLG):
    steps: int = 2
"""


def test_a_declared_package_may_bring_components(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "foreign_attacks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    command = (*QUICK, "attack=dlg", "attack._target_=foreign_attacks.Mine", "attack.steps=1", "trials=1")
    assert main(*command) == 2
    assert "HARNESS_PLUGINS=PACKAGE declares your own" in capfd.readouterr().err
    assert "foreign_attacks" not in sys.modules
    monkeypatch.setenv("HARNESS_PLUGINS", "other,foreign_attacks")
    assert main(*command) == 0
    assert main(*command[:-3], "attack._target_=foreign_attacks.Mien") == 2
    assert "did you mean 'Mine'" in capfd.readouterr().err


@pytest.mark.parametrize(
    "override",
    ["label.name=${oc.env:WANDB_API_KEY}", f"+logger.key={SECRET}", "model.seed=${oc.env:WANDB_API_KEY}"],
)
def test_a_secret_is_refused_and_not_repeated(
    override: str, main: Main, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    assert main(*QUICK, override) == 2
    err = capfd.readouterr().err
    assert "holds the value of $WANDB_API_KEY" in err
    assert SECRET not in err


def test_messages_name_secrets_without_telling_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    monkeypatch.setenv("SHORT_KEY", "abc")
    assert secrecy.redact(f"abc {SECRET}") == "abc $SOME_TOKEN"


@pytest.mark.slow
def test_no_secret_is_in_any_file_nor_in_what_is_said(tmp_path: Path) -> None:
    """With W&B as the logger, whose service is another process, and with a cell that fails."""
    (tmp_path / "own").mkdir()
    logged = ["model=lenet", "trials=1", "logger=wandb", "attack=dlg", "attack.steps=1"]
    broken = ["model=resnet18", "model.width=65536"]
    write_table(tmp_path, "toy", base=logged, rows={"Mouse": [], "Monster": broken})
    command = [sys.executable, "-m", "harness", "--config-dir", "own", "table=toy"]
    environment = clean_environment() | {"WANDB_API_KEY": SECRET, "MY_PASSWORD": SECRET[::-1]}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("wandb" in path.parts for path in files)
    written = [path.read_bytes() for path in files] + [done.stdout, done.stderr]
    assert not any(secret.encode() in content for secret in (SECRET, SECRET[::-1]) for content in written)


NAME = "<script>alert(1)</script>|$x_1$&`a`\\input{/etc/passwd}%"


def test_names_are_no_markup_in_any_form_of_a_table(main: Main, tmp_path: Path) -> None:
    write_table(tmp_path, "toy", title=NAME, source=NAME, rows={NAME: []}, columns={NAME: ["defense=none"]})
    assert main("table=toy") == 0
    (folder,) = tmp_path.glob("results/toy/*")
    page, text, tex = ((folder / f"table.{kind}").read_text() for kind in ("html", "md", "tex"))
    assert "<script" not in page + text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\\|\\$x" in text or "\\|$x" in text
    commands = [line for line in tex.splitlines() if not line.startswith("%")]
    assert not any("\\input" in line for line in commands)
    assert escape(NAME) in tex


def test_every_loader_of_weights_is_among_those_that_are_tested() -> None:
    """A new place that reads a file of weights has to be looked at, and added here."""
    found: dict[str, Any] = {
        str(path.relative_to(PACKAGE)): None
        for path in PACKAGE.rglob("*.py")
        if re.search(r"torch\.load\(|safetensors\.torch\.load|ckpt_path=", path.read_text())
    }
    assert set(found) == {
        "simulation/simulation.py",
        "models/checkpoints.py",
        "priors/biggan.py",
        "store/cache.py",
        "store/contents.py",
        "machine/lightning.py",
        "priors/training.py",
    }
