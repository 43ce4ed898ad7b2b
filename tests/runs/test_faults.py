"""Faults that are really caused: each is said in a line, loses nothing, and lets the rest go on."""

import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.core import UserError
from harness.priors.training import finished_steps
from harness.priors.wgan_gp import WGANGP
from harness.store.cache import Entry
from harness.store.journal import decode
from harness.store.recording import Run
from harness.store.records import Store
from tests.command import QUICK, Main, write_table
from tests.command import main as main
from tests.commands.test_main import clean_environment
from tests.store.test_records import store_problem

ONE = (*QUICK, "attack=ig", "attack.steps=2", "attack.slots=1", "trials=3")


def rows(folder: Path) -> list[dict[str, Any]]:
    found = [row for path in folder.glob("runs/*/rows.jsonl") for row in decode(path.read_bytes())[0]]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def mount(folder: Path, options: str) -> None:
    """A file system of its own, or the test is skipped: it takes root, and a sandbox that lets it."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("nothing can be mounted here")


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """A directory on a disk of 64 KiB; what is handed out makes room."""
    mount(folder, "size=64k")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=16m", str(folder)], check=True) and None  # type: ignore[misc]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_files(folder: Path) -> Iterator[Callable[[], None]]:
    """No file may be larger than 14,000 bytes, so that a line of the journal is torn; what is handed out lifts that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (14_000, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("full", [small_disk, small_files])
def test_a_full_disk_is_said_and_goes_on_when_there_is_room(
    full: Callable[[Path], Any], main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = (*QUICK, "attack=ig", "attack.steps=2", "trials=20")
    with full(tmp_path / "runs") as make_room:
        assert main(*command) == 2
        out, err = capfd.readouterr()
        (line,) = [line for line in err.splitlines() if line.startswith("harness: ")]
        assert "make room and say the same command again" in line
        assert "Traceback" not in err
        assert out == ""
        kept = rows(tmp_path)
        assert 0 < len(kept) < 20
        make_room()
        assert main(*command) == 0
        whole = rows(tmp_path)
    assert [row for row in whole if row in kept] == kept
    assert [row["problem"] for row in whole] == list(range(20))


@pytest.mark.parametrize("place", ["runs", "results"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_computed(
    place: str, main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from harness.core import Attack

    monkeypatch.setattr(Attack, "__call__", lambda *_: pytest.fail("an attack began"))
    (tmp_path / "file").touch()
    write_table(tmp_path, "toy")
    for arguments in [("table=toy",), *([ONE] if place == "runs" else [])]:
        assert main(*arguments, f"paths.{place}=file/below") == 2
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if not line.startswith("warning: LPIPS")]
        assert len(lines) == 1, err
        assert "file/below" in lines[0]
        assert f"paths.{place}=FOLDER" in lines[0]
        assert out == ""


def test_a_read_only_disk(main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mount(tmp_path / "runs", "ro")
    try:
        assert main(*ONE) == 2
    finally:
        subprocess.run(["umount", str(tmp_path / "runs")], check=True)
    assert "read-only file system" in capfd.readouterr().err


Damage = Callable[[list[bytes]], bytes]
JOURNALS: dict[str, tuple[Damage, set[int]]] = {
    "half a line at the end": (lambda lines: b"".join(lines)[:-9], {0, 1}),
    "garbage at the end": (lambda lines: b"".join(lines) + b"\x00\xff\xfe{", {0, 1, 2}),
    "garbage in the middle": (lambda lines: b"".join([*lines[:2], b"\x80\x00\n", *lines[3:]]), {0, 2}),
    "JSON that is no row": (
        lambda lines: b"".join([lines[0], b'[1, 2]\n{"mse": 1}\n3\n', *lines[1:]]),
        {0, 1, 2},
    ),
    "a doubled row": (lambda lines: b"".join([*lines, lines[0]]), {0, 1, 2}),
    "a piece out of the middle": (lambda lines: b"".join(lines)[:40] + b"".join(lines)[90:], {1, 2}),
    "another image of the same": (
        lambda lines: b"".join([*lines[:5], lines[5].replace(b'"image": 1', b'"image": 5')]),
        {0, 1},
    ),
    "nothing": (lambda lines: b"", set()),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_what_is_broken_in_a_journal_is_dropped_and_nothing_else(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, left = JOURNALS[name]
    run = Store(tmp_path).open("abc", {})
    for problem in range(3):
        store_problem(run, problem)
    journal = tmp_path / "abc" / "rows.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(damage(whole.splitlines(keepends=True)))
    again = Store(tmp_path).open("abc", {})
    assert again.finished == left
    told = capsys.readouterr().err
    assert told.count("\n") == (name not in ("a doubled row", "nothing")), told
    for problem in {0, 1, 2} - left:
        store_problem(again, problem)
    assert again.finish({}, {}).rows == decode(whole)[0]


@pytest.mark.parametrize("place", [100, -1])
def test_a_damaged_generator_is_refused_by_its_checksum(tmp_path: Path, place: int) -> None:
    entry = Entry.of(str(tmp_path), "Test", {"seed": 0})
    entry.save(nn.Linear(3, 2))
    content = bytearray(entry.weights.read_bytes())
    content[place] ^= 1
    entry.weights.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"checksum differs.*delete it to train"):
        entry.load(nn.Linear(3, 2))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", None])
def test_a_damaged_checkpoint_of_a_training_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "training.ckpt"
    torch.save({"unexpected": 1}, path)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: delete it"):
        finished_steps(path, WGANGP(steps=1))


def interrupt(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """SIGINT to this process, when it has stored its first image."""
    append, sent = Run.append, []  # type: ignore[var-annotated]

    def then_interrupt(self: Run, *arguments: Any, **named: Any) -> None:
        append(self, *arguments, **named)
        if not sent:
            sent.append(True)
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Run, "append", then_interrupt)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_run_stops_after_its_image_and_goes_on(
    times: int,
    main: Main,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupt(patch, times)
        assert main(*ONE) == 130
    out, err = capfd.readouterr()
    assert out == ""
    assert "stopping after the current image; Ctrl-C again stops at once" in err
    assert err.splitlines()[-1] == "harness: interrupted: the same command goes on where this one stopped"
    assert "Traceback" not in err
    first = rows(tmp_path)
    assert [row["problem"] for row in first] == [0]
    assert signal.getsignal(signal.SIGINT) is before
    assert main(*ONE) == 0
    assert rows(tmp_path)[:1] == first
    assert len(rows(tmp_path)) == 3


def test_an_interrupted_table_begins_no_other_cell(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path, "toy")
    with monkeypatch.context() as patch:
        interrupt(patch, 1)
        assert main("table=toy") == 130
    assert len(rows(tmp_path)) == 1
    assert capfd.readouterr().out == ""
    assert main("table=toy") == 0
    assert len(rows(tmp_path)) == 2


@pytest.mark.slow
def test_interrupted_workers_stop_each_after_its_image(tmp_path: Path) -> None:
    """The terminal sends SIGINT to all processes of the group."""
    (tmp_path / "own").mkdir()
    write_table(
        tmp_path,
        "toy",
        base=[*ONE, "trials=150", "attack.steps=200"],
        rows={"First": [], "Second": ["seed=1"]},
    )
    command = [sys.executable, "-m", "harness", "--config-dir", "own", "table=toy"]
    command += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and len(rows(tmp_path)) < 2:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("harness: interrupted")
    for path in tmp_path.glob("runs/*/rows.jsonl"):
        assert path.read_bytes().endswith(b"\n")


MONSTER = ["model=resnet18", "model.width=65536"]
"""13 TB of weights, which are counted, for a system may promise them."""


def test_a_run_without_memory_says_so(main: Main, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(*ONE, *MONSTER) == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert "harness: out of memory: lower attack.slots" in err


def test_a_cell_without_memory_stops_no_other(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path, "toy", rows={"Monster": MONSTER, "Mouse": []})
    assert main("table=toy") == 1
    out, err = capfd.readouterr()
    assert "Monster x None, seed 0: no result (out of memory: lower attack.slots" in out
    assert "1 of 2 cells have no result" in err
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 1


KILLER = """
import os
import signal

from harness.attacks.dlg import DLG
from harness.core import component


@component
class Killer(DLG):
    def run(self, attempts):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_worker_that_the_system_kills_stops_no_other(tmp_path: Path) -> None:
    """As the kernel does where memory runs out. The killer is an attack from a package of the user's own."""
    (tmp_path / "own" / "attack").mkdir(parents=True)
    (tmp_path / "deadly.py").write_text(KILLER)
    settings = (Path(__file__).parents[2] / "conf" / "attack" / "dlg.yaml").read_text()
    (tmp_path / "own" / "attack" / "killer.yaml").write_text(
        settings.replace("harness.attacks.dlg.DLG", "deadly.Killer")
    )
    write_table(
        tmp_path,
        "toy",
        base=["model=lenet", "trials=1", "logger=none"],
        rows={"One": ["attack=dlg", "attack.steps=2"], "Killer": ["attack=killer"], "Two": ["attack=idlg"]},
    )
    environment = clean_environment() | {"HARNESS_PLUGINS": "deadly"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "harness", "--config-dir", "own", "table=toy"]
    command += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert (
        "Killer x None, seed 0: no result (its worker was killed, perhaps for want of memory" in done.stdout
    )
    assert "1 of 3 cells have no result" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 2


def test_an_attack_that_diverges_is_a_result(main: Main, tmp_path: Path) -> None:
    command = (*ONE, "attack.distance=l2", "attack.boxed=false", "attack.optimizer.lr=1e30", "trials=1")
    assert main(*command, "attack.steps=50") == 0
    (row,) = rows(tmp_path)
    assert row["status"] == "diverged"
    assert math.isfinite(row["mse"])


def test_weights_that_are_no_numbers_are_refused(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from harness.models.resnet18_imagenet import ResNet18ImageNet

    state = ResNet18ImageNet().network((3, 32, 32), 10).state_dict()
    state["fc.weight"][0, 0] = math.nan
    torch.save(state, tmp_path / "nan.pth")
    photos = [each for each in ONE if "dataset" not in each]
    assert main(*photos, "dataset=photos32", "model=resnet18_imagenet", "model.weights=nan.pth") == 2
    assert "nan.pth: fc.weight has values that are not finite" in capfd.readouterr().err
    assert not rows(tmp_path)


def test_a_network_that_gives_no_numbers_is_a_labelled_failure(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.models.lenet import LeNet

    build = LeNet.network

    def broken(self: LeNet, *arguments: Any) -> nn.Module:
        network = build(self, *arguments)
        next(network.parameters()).data.fill_(math.nan)
        return network

    monkeypatch.setattr(LeNet, "network", broken)
    assert main(*ONE, "trials=2") == 0
    assert [(row["status"], row["mse"], row["psnr_unit"]) for row in rows(tmp_path)] == [
        ("failed", None, None)
    ] * 2


def test_a_logger_that_is_chosen_after_the_run_was_finished_is_told_of(
    main: Main, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(*ONE) == 0
    capfd.readouterr()
    assert main(*ONE, "logger=csv") == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if "Csv was chosen after" in line]
    assert len(warnings) == 1
    assert main(*ONE) == 0
    assert capfd.readouterr().err == ""


def test_a_damaged_run_stops_no_table(main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its numbers are left out, or where only its pictures are damaged its part of the gallery is grey."""
    write_table(tmp_path, "toy")
    assert main("table=toy") == 0
    one, other = sorted(tmp_path.glob("runs/*/"))
    for folder, name in ((one, "reconstructions.safetensors"), (other, "rows.jsonl")):
        content = bytearray((folder / name).read_bytes())
        content[-9] ^= 1
        (folder / name).write_bytes(content)
    capfd.readouterr()
    assert main("table=toy") == 1
    out, err = capfd.readouterr()
    assert f"{one.name} is damaged (reconstructions.safetensors, it is not as it was stored)" in err
    assert f"{other.name} is damaged (rows.jsonl, it is not as it was stored)" in out + err
    assert "1 of 2 cells have no result" in err
    assert "Traceback" not in err
