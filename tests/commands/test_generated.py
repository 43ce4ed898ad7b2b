"""Command lines, YAML files and conditions that nobody would write: each is taken as it stands or refused in two lines.

`make hostile` tries 1,000 of each; the suite a few.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest
import yaml
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException
from hydra.types import HydraContext
from hypothesis import HealthCheck, given, settings
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
from harness.store.filters import select
from harness.sweeps import spec as sweeps
from harness.tables import spec as tables
from tests.cells.test_composer import load
from tests.command import Main
from tests.command import main as main

EXAMPLES = int(os.environ.get("HARNESS_EXAMPLES", "12"))


def tried(share: float = 1) -> settings:
    """So many examples, the same ones each time."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(
        max_examples=max(1, int(share * EXAMPLES)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=slow,
    )


WHOLE = 0.25
"""Of whole command lines, which take half a second each, fewer are tried."""
NUMBERS = [
    "nan",
    "inf",
    "-inf",
    ".nan",
    ".inf",
    "-.inf",
    "1e400",
    "-1",
    "0",
    "-0.0",
    "1e-400",
    "0.5",
    "1",
    "3",
    "1e38",
]
NUMBERS += [
    "1e39",
    str(2**31),
    str(2**63),
    str(-(2**63)),
    "9" * 400,
    "1_0",
    "0x10",
    "1e3",
    "3.0",
    "'3'",
    "true",
    "no",
]
ODD = [
    "",
    "null",
    "???",
    "${",
    "${seed}",
    "${nothing}",
    "${oc.env:HOME}",
    "[]",
    "{}",
    "[1,2]",
    "{a:1}",
    "{_target_:os.mkdir}",
]
ODD += [
    "[[[[[[]]]]]]",
    "a=b",
    '"',
    "'",
    "\\",
    "é",
    "\t",
    " ",
    "(",
    "choice()",
    "range(1)",
    "1,2",
    "glob(*)",
    "x" * 300,
]
ODD += [
    "int(x)",
    "shuffle(1)",
    "..",
    "/",
    "~",
    "-",
    "$HOME",
    "%s",
    "{0}",
    "<b>",
    "[${attack}]",
    "@",
    "None",
    "\u202e",
]
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

    monkeypatch.setattr(command, "our_fault", unforeseen)
    monkeypatch.setattr("harness.runs.run.run", run)
    monkeypatch.setattr("harness.sweeps.sweep.launch", lambda *_: "not carried out")
    monkeypatch.setattr("harness.tables.sweep.launch", lambda *_: "not carried out")

    def give(*arguments: str) -> tuple[int, str, float]:
        capsys.readouterr()
        begun = time.process_time()
        status = main(*arguments)
        return status, capsys.readouterr().err, time.process_time() - begun

    return give


def check_said(error: UserError) -> None:
    """What the command line says of a mistake."""
    assert 1 <= len(str(error).splitlines()) <= 2
    assert len(str(error)) < 1000


def check(found: tuple[int, str, float]) -> None:
    status, said, seconds = found
    assert status in (0, 1, 2)
    assert seconds < 10
    assert "Traceback" not in said
    assert status != 2 or 1 <= len([line for line in said.splitlines() if line.startswith("harness:")]) <= 2
    assert all(len(line) < 1000 for line in said.splitlines())


values = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(ODD), st.text(max_size=12), st.floats().map(str))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


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


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(NUMBERS + ODD)
)
nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


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


@tried(10)
@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "title", "source", "rows", "columns", "metrics", "claims", "plots", "grid", "base", "seeds",
             "scales", "notes", "reference", "supplements", "block", "independent", "picture", "additions"]
        ),
        nodes,
    ),
    st.booleans(),
)  # fmt: skip
def test_a_table_or_sweep_is_described_or_refused(node: dict[str, Any], named: bool) -> None:
    for parse in (tables.parse, sweeps.parse):
        try:
            parse({**node, "name": "odd"} if named else node)
        except UserError as error:
            check_said(error)


TABLE = pandas.DataFrame(
    {"attack": ["ig", "dlg"], "psnr_unit": [20.0, None], "fl.batch_size": [1, 8], "success": [True, None]}
)
atoms = st.one_of(
    st.sampled_from([*TABLE.columns, "psnr", "1", "0", "-1", "1e400", "9" * 400, "'ig'", "None", "True", "[1]", "()"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    texts,
)  # fmt: skip
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(
            "{} {} {}".format,
            inner,
            st.sampled_from(["<", "==", "in", "and", "or", "/", "*", "**", "%", "is"]),
            inner,
        ),
        st.builds("({})".format, inner),
        st.builds("not {}".format, inner),
        st.builds("{}({})".format, inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from(["__class__", "x"])),
    ),
    max_leaves=6,
)


@tried(10)
@given(conditions)
def test_a_condition_is_met_or_refused(condition: str) -> None:
    try:
        found = select(TABLE, condition)
    except UserError as error:
        check_said(error)
    else:
        assert len(found) <= 2
