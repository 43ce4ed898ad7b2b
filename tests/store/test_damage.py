"""Three hundred damaged inputs: each is said in a line that names the file, none is taken, no other run suffers."""

import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.commands.query import main as query
from harness.core import UserError
from harness.plots.pictures import draw_run
from harness.report.site import build
from harness.store.integrity import FILES, MARK, METRICS, Damaged
from harness.store.lease import PREFIX
from harness.store.provenance import note_stored
from harness.store.recording import Run
from harness.store.records import Store, summarise
from tests.damage import ANY, LEASES, NAMES, RESULTS, ROWS, TRACES, Damage, become, flip, link, pipe, unseal

CHOICES = {"attack": "dlg", "dataset": "digits32"}
CONFIG = {"attack": {"steps": 5}, "fl": {"batch_size": 1}, "seed": 0, "choices": CHOICES}
SEALED, UNSEALED, UNFINISHED, OTHER = "sealed", "unsealed", "unfinished", "other"
ORIGIN = {"git": "0123", "date": "2026-01-01"}
OLDER = [
    *(("result.json", name, damage) for name, damage in RESULTS.items()),
    *(("rows.jsonl", name, damage) for name, damage in ROWS.items()),
    *(("traces.jsonl", name, damage) for name, damage in TRACES.items()),
]
UNDER_WAY = [(name, kind) for name in ("rows.jsonl", "parts/1.safetensors") for kind in ANY]
UNUSABLE = {
    *(("rows.jsonl", kind) for kind in ANY if kind.startswith("a ")),
    ("parts/1.safetensors", "a folder"),
    ("parts/1.safetensors", "a link to a folder"),
}
"""What lies where the run would have to write."""
HARMLESS = {("rows.jsonl", "doubled"), ("rows.jsonl", "longer"), ("rows.jsonl", "last byte")}
"""No row is lost."""
Whole = dict[str, dict[str, Any]]


def store_problem(run: Run, problem: int) -> None:
    x = torch.full((1, 1, 4, 4), (problem + 1) / 10)
    row = {
        "target": problem,
        "psnr_unit": 9.125 + problem,
        "mse": 0.5,
        "status": "budget",
        "scored_by": "0123abcd",
    }
    run.append(problem, [row], {"truth": x, "reconstruction": x + 0.01}, [{"evaluation": 0, "loss": 1.5}])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a sealed run, one from before there were digests, one that goes on, and one that stays whole."""
    root = tmp_path_factory.mktemp("pristine") / "runs"
    for identity in (SEALED, UNSEALED, UNFINISHED, OTHER):
        run = Store(root).open(identity, CONFIG)
        for name in (MARK, METRICS):
            (root / identity / name).write_text("{}")
        for problem in range(3):
            store_problem(run, problem)
        if identity != UNFINISHED:
            run.finish(summarise(run.rows), ORIGIN, draw_run)
        run.close()
    unseal(root / UNSEALED)
    return root


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "runs")
    return tmp_path / "runs"


def outcomes(root: Path, identity: str) -> Iterator[tuple[str, Any]]:
    """What each way of reading a run comes to: something, or that it is damaged, said in a short line."""
    store, directory = Store(root), root / identity
    ways: dict[str, Callable[[], Any]] = {
        "load": lambda: store.load(identity),
        "frame": lambda: frame(store, [identity]),
        "images": lambda: {name: tensor.tolist() for name, tensor in store.images(identity).items()},
        "traces": lambda: store.traces(identity),
        "check": lambda: store.stored(identity).check(),
        "note": lambda: note_stored([directory]),
        "holder": lambda: store.holder(identity) and None,
    }
    for name, way in ways.items():
        told, value = "", None
        try:
            value = way()
        except Damaged as damage:
            told, value = str(damage), Damaged
        assert not told or told.startswith(f"{directory} is damaged (")
        assert "\n" not in told
        assert len(told) < 400
        yield name, value


def frame(store: Store, runs: list[str] | None = None) -> dict[str, Any]:
    table = store.frame(runs)
    return {name: table[name].fillna("-").tolist() for name in map(str, table.columns)}


@pytest.fixture(scope="module")
def whole(pristine: Path) -> Whole:
    return {identity: dict(outcomes(pristine, identity)) for identity in (SEALED, UNSEALED, OTHER)}


def check(root: Path, identity: str, whole: Whole, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Nothing but what was stored is taken, the other runs are as they were, and who lists all is told."""
    found = dict(outcomes(root, identity))
    assert [name for name, value in found.items() if value not in (Damaged, whole[identity][name])] == []
    assert dict(outcomes(root, OTHER)) == whole[OTHER]
    capsys.readouterr()
    lines = frame(Store(root))["run"]
    assert lines.count(OTHER) == 3
    told = [line for line in capsys.readouterr().err.splitlines() if identity in line]
    assert len(told) == (identity not in lines)
    assert all(line.startswith("warning: ") and line.endswith("; left out here") for line in told)
    return found


@pytest.mark.parametrize("damage", ANY)
@pytest.mark.parametrize("name", FILES)
def test_a_sealed_run(
    name: str, damage: str, root: Path, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    ANY[damage](root / SEALED / name)
    found = check(root, SEALED, whole, capsys)
    assert found["check"] is Damaged
    assert (found["load"] is Damaged) == (name == "rows.jsonl")


@pytest.mark.parametrize("damage", [name for name in ANY if name != "deleted"])
def test_the_record_of_a_sealed_run(
    damage: str, root: Path, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    ANY[damage](root / SEALED / "result.json")
    found = check(root, SEALED, whole, capsys)
    assert {found[name] for name in ("load", "frame", "images", "traces", "check")} == {Damaged}


@pytest.mark.parametrize(("name", "damage"), [(name, kind) for name, kind, _ in OLDER])
def test_a_run_from_before_there_were_digests(
    name: str, damage: str, root: Path, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    {(file, kind): harm for file, kind, harm in OLDER}[name, damage](root / UNSEALED / name)
    assert Damaged in check(root, UNSEALED, whole, capsys).values()


@pytest.mark.parametrize("identity", [SEALED, UNFINISHED])
@pytest.mark.parametrize("damage", LEASES)
def test_a_lease(
    damage: str, identity: str, root: Path, whole: Whole, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Who holds it can't be told, so it must stand still before it is taken over; of a finished run it is cleared."""
    for path in (root / identity).glob(f"{PREFIX}*"):
        path.unlink()
    LEASES[damage](root / identity / f"{PREFIX}3")
    monkeypatch.setattr("harness.store.lease._silent", lambda *_: True)
    if identity == SEALED:
        check(root, identity, whole, capsys)
        Store(root).tidy(identity)
        assert [path for path in (root / identity).glob(f"{PREFIX}*") if not path.is_dir()] == []
    else:
        run = Store(root).open(identity, CONFIG)
        assert run.finished == {0, 1, 2}
        run.close()


def test_a_lease_that_cannot_be_read_is_waited_for(root: Path) -> None:
    (root / UNFINISHED / f"{PREFIX}7").write_text("{")
    with pytest.raises(UserError, match="by another process: process 0 on a machine that its damaged lease"):
        Store(root).open(UNFINISHED, CONFIG)


@pytest.mark.parametrize("name", ["x", "-1", "", "1.5", "9" * 30, "٣", "1 "])
def test_what_is_called_like_a_lease_is_none(name: str, root: Path) -> None:
    (root / UNFINISHED / f"{PREFIX}{name}").write_text("{}")
    run = Store(root).open(UNFINISHED, CONFIG)
    assert run.finished == {0, 1, 2}
    run.close()


@pytest.mark.parametrize(("name", "damage"), UNDER_WAY)
def test_a_run_that_goes_on(name: str, damage: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is whole stays; what is not is said, dropped, and computed again."""
    ANY[damage](root / UNFINISHED / name)
    if (name, damage) in UNUSABLE:
        with pytest.raises(Damaged, match=re.escape(f"{root / UNFINISHED} is damaged ({name}, ")):
            Store(root).open(UNFINISHED, CONFIG)
        return
    run = Store(root).open(UNFINISHED, CONFIG)
    dropped = {0, 1, 2} - run.finished
    assert dropped or (name, damage) in HARMLESS
    said = "dropped" in capsys.readouterr().err
    assert said or damage in ("doubled", "emptied", "deleted"), "what is not there, is not said"
    for problem in dropped:
        store_problem(run, problem)
    record, other = run.finish(summarise(run.rows), ORIGIN), Store(root).load(OTHER)
    assert other is not None
    assert record.rows == other.rows
    images, others = Store(root).images(UNFINISHED), Store(root).images(OTHER)
    assert all(torch.equal(images[name], others[name]) for name in others)


@pytest.mark.parametrize(
    "kind", [Path.mkdir, pipe, Path.touch, partial(link, "nowhere")], ids=("folder", "pipe", "file", "link")
)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_run(name: str, kind: Damage, root: Path) -> None:
    kind(root / name)
    assert Store(root).load(name) is None
    assert Store(root).load("y" * 5000) is None
    assert list(dict.fromkeys(frame(Store(root))["run"])) == [OTHER, SEALED, UNSEALED]


def test_commands_go_on_without_damaged_runs(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(0.3, 0, root / SEALED / "rows.jsonl")
    become('{"problem": 0, "trace": 3}\n', root / UNSEALED / "traces.jsonl")
    assert query([f"--runs={root}", "--columns=run,psnr_unit"]) == 1
    out, err = capsys.readouterr()
    assert [out.split().count(name) for name in (OTHER, UNSEALED, SEALED)] == [3, 3, 0]
    assert err.count("is damaged") == 1
    assert build(tmp_path / "site", tmp_path / "none", tmp_path / "none", root).runs == 1
    assert capsys.readouterr().err.count("is damaged") == 2


def test_they_are_three_hundred() -> None:
    sealed = (len(FILES) + 1) * len(ANY) - 1
    assert sealed + len(OLDER) + 2 * len(LEASES) + len(UNDER_WAY) + 4 * len(NAMES) >= 300
