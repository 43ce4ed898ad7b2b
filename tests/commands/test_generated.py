"""Command lines and YAML files that nobody would write: each is taken as it stands or refused in two lines.

`make hostile` tries 1,000 of each; the suite a few.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException
from hydra.types import HydraContext
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.base import command
from harness.base.errors import UserError
from harness.base.growth import check_growth
from harness.base.schema import CONF
from harness.base.sealing import SealedLoader
from harness.cells.composer import Composer
from harness.config.experiment import Experiment
from tests.cells.test_composer import load
from tests.command import Main
from tests.command import main as main
from tests.generated import check_said, nodes, texts, tried, values

WHOLE = 0.25
"""Of whole command lines, which take half a second each, fewer are tried."""
GROUPS = {
    "attack": ["dlg", "ig", "gi", "dlf", "idlg", "ggl", "labels", "rtf"],
    "defense": ["none", "noise", "clipping_noise", "soteria"],
    "fl": ["fedsgd", "fedavg"],
    "model": ["lenet", "mlp", "cnn3", "resnet18"],
    "dataset": ["digits32", "image_folder", "mnist"],
    "scale": ["smoke", "small", "paper"],
    "start": ["random", "uniform"],
    "metric": ["default", "thresholds"],
    "prior": ["none", "untrained", "wgan_gp"],
}  # fmt: skip


def keys_of(node: object, path: str = "") -> Iterator[str]:
    """The dotted names of all settings."""
    if path:
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from keys_of(value, f"{path}.{key}" if path else str(key))


@pytest.fixture(scope="module")
def composer() -> Composer:
    context, config = load("logger=none")
    return Composer(
        HydraContext(SealedLoader(create_config_search_path(str(CONF))), context.callbacks), config
    )


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The settings of many components."""
    found: set[str] = set()
    _, config = load(
        "logger=none", "attack=ig", "defense=clipping_noise", "fl=fedavg", "model=resnet18", "prior=wgan_gp"
    )
    for each in (config, load("logger=none")[1]):
        content = OmegaConf.to_container(each, resolve=False)
        assert isinstance(content, dict)
        found |= set(keys_of({key: value for key, value in content.items() if key != "hydra"}))
    return sorted(found)


def numbers_of(node: object) -> Iterator[float]:
    if isinstance(node, float):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    for child in children:
        yield from numbers_of(child)


def check_finite(experiment: Experiment) -> None:
    """No number that is infinite, or none, was taken, by its configuration or where it counts for nothing."""
    assert all(map(math.isfinite, numbers_of(experiment.config)))
    assert math.isfinite(experiment.lease.expiry)


Told = Callable[..., tuple[int, str, float]]


@pytest.fixture
def told(main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Give a command line whose runs are not carried out: the status, what stderr says, and the seconds."""

    def unforeseen(error: Exception) -> int:
        raise AssertionError("nobody foresaw it") from error

    def run(experiment: Experiment) -> SimpleNamespace:
        check_finite(experiment)
        return SimpleNamespace(id="run")

    monkeypatch.setattr(command, "unforeseen", unforeseen)
    monkeypatch.setattr("harness.runs.run.run", run)
    monkeypatch.setattr("harness.sweeps.sweep.launch", lambda *_: "not carried out")
    monkeypatch.setattr("harness.tables.sweep.launch", lambda *_: "not carried out")

    def give(*arguments: str) -> tuple[int, str, float]:
        capsys.readouterr()
        begun = time.process_time()
        status = main(*arguments)
        return status, capsys.readouterr().err, time.process_time() - begun

    return give


def check(found: tuple[int, str, float]) -> None:
    status, said, seconds = found
    assert status in (0, 1, 2)
    assert seconds < 10
    assert "Traceback" not in said
    assert status != 2 or 1 <= len([line for line in said.splitlines() if line.startswith("harness:")]) <= 2
    assert all(len(line) < 1000 for line in said.splitlines())


@tried()
@given(st.data())
def test_a_setting_is_taken_or_refused_in_a_line(
    composer: Composer, names: list[str], data: st.DataObject
) -> None:
    """Hundreds of settings with odd values, on all kinds of components."""
    chosen = [f"{group}={data.draw(st.sampled_from(options))}" for group, options in GROUPS.items()]
    given = data.draw(st.lists(st.tuples(st.sampled_from(names), values), min_size=1, max_size=3))
    overrides = [
        *chosen,
        *(f"{data.draw(st.sampled_from(['', '', '+', '++']))}{key}={value}" for key, value in given),
    ]
    begun = time.process_time()
    try:
        check_finite(composer(overrides))
    except UserError as error:
        check_said(error)
    except (HydraException, OmegaConfBaseException):
        pass  # which the command line puts into its own words
    assert time.process_time() - begun < 10


@tried(WHOLE)
@given(st.data())
def test_a_command_line_is_carried_out_or_refused(told: Told, names: list[str], data: st.DataObject) -> None:
    override = st.builds(
        "{}{}={}".format,
        st.sampled_from(["", "", "+", "++", "~"]),
        st.one_of(st.sampled_from(names), texts),
        values,
    )
    option = st.sampled_from(
        ["-m", "--cfg", "--info", "--resolve", "--package", "-x", "--", "sweep=batch_epochs", "table=dlf"]
    )
    given = data.draw(
        st.lists(st.one_of(override, override, override, option, texts), min_size=1, max_size=3)
    )
    check(told("logger=none", "scale=smoke", *[each.replace("\0", "") for each in given]))


@tried(WHOLE)
@given(
    nodes, st.sampled_from(["steps", "defaults", "_target_", "labels", "optimizer", "hydra"]), st.booleans()
)
def test_a_file_of_a_group_is_read_or_refused(
    told: Told, tmp_path: Path, node: object, key: str, whole: bool
) -> None:
    content = node if whole else {"_target_": "harness.attacks.dlg.DLG", "steps": 1, key: node}
    folder = tmp_path / "own" / "attack"
    folder.mkdir(exist_ok=True)
    (folder / "odd.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    check(told("logger=none", "attack=odd"))


@tried(WHOLE)
@given(st.binary(max_size=60))
def test_bytes_in_place_of_a_file_are_refused(told: Told, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "own" / "attack"
    folder.mkdir(exist_ok=True)
    (folder / "odd.yaml").write_bytes(content)
    check(told("logger=none", "attack=odd"))


def bomb(levels: int) -> str:
    """Nine times nine times nine ..."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(9), bomb(40), "a: &a [*a]", "&a {b: *a}"])
def test_aliases_that_grow_without_bounds_are_refused(text: str, told: Told, tmp_path: Path) -> None:
    for group in ("attack", "sweep"):
        (tmp_path / "own" / group).mkdir()
        (tmp_path / "own" / group / "odd.yaml").write_text(text)
        status, said, seconds = told("logger=none", f"{group}=odd")
        assert (status, len(said.splitlines())) == (2, 1)
        assert "aliases" in said
        assert seconds < 10


def test_aliases_as_people_use_them_are_read(tmp_path: Path) -> None:
    (tmp_path / "fine.yaml").write_text("a: &a [1, 2]\nb: *a\nc: {d: *a, e: '&x *y'}\n")
    check_growth(tmp_path / "fine.yaml")
