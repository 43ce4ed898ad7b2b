"""Making a table from the command line: plan, launch, failures, resume. With real but tiny runs."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from PIL import Image

from harness.cells.task import CellsTask
from harness.commands.publish import publish
from harness.core import UserError
from harness.models.lenet import LeNet
from harness.plots.pictures import says
from harness.store import lease
from harness.store.records import Store
from tests.command import Main, command_line, stamps, write_plan
from tests.commands.test_main import clean_environment

GALLERY = "toy/digits32-paper/gallery.png"
TOY = {
    "name": "toy",
    "title": "A toy",
    "source": "Nobody, Nowhere, Table 0",
    "metrics": {"mse": {"title": "MSE", "higher_is_better": False}},
    "base": [
        "model=lenet",
        "trials=2",
        "logger=none",
        "metric.metrics={mse:{_target_:harness.metrics.mse.MSE}}",
    ],
    "rows": {"DLG": ["attack=dlg", "attack.steps=1"], "IG": ["attack=ig", "attack.steps=2"]},
    "columns": {"None": ["defense=none"], "Noise": ["defense=noise", "defense.sigma=0.1"]},
}


def write(folder: Path, **changes: object) -> None:
    write_plan(folder, "table", {**TOY, **changes})


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    write(tmp_path / "own")
    return partial(command_line(tmp_path, monkeypatch), "table=toy")


def test_a_table_is_made_once_and_then_taken_from_the_store(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main() == 0
    first, progress = capsys.readouterr()
    assert first.splitlines()[-1] == "results/toy/digits32-paper/"
    assert "A toy" in first
    assert "[4/4]  toy  IG x Noise  MSE" in progress
    done = stamps(tmp_path)
    assert len(done) == 4
    files = {path.name for path in (tmp_path / "results" / "toy" / "digits32-paper").iterdir()}
    assert files == {
        "cells.csv",
        "table.md",
        "table.tex",
        "table.html",
        "gallery.png",
        "provenance.json",
        "document.json",
    }
    assert main() == 0
    out, err = capsys.readouterr()
    assert out == first
    assert err.splitlines()[-1].endswith("here is the score")
    assert stamps(tmp_path) == done


def test_some_rows_and_columns_are_made_and_others_shown_as_they_are_stored(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("rows=[IG]") == 0
    assert len(stamps(tmp_path)) == 2
    assert "2 of 4 cells are not made yet" in " ".join(capsys.readouterr().out.split())
    assert main("rows=['DLG']", "columns=[ Noise ]") == 0
    assert len(stamps(tmp_path)) == 3
    cells = (tmp_path / "results" / "toy" / "digits32-paper" / "cells.csv").read_text()
    assert cells.count("IG,") == 2
    assert "1 of 4 cells are not made yet" in " ".join(capsys.readouterr().out.split())
    assert main("rows=[DLG]", "columns=[None]", "trials=3") == 0
    assert len(stamps(tmp_path)) == 4
    told = " ".join(capsys.readouterr().out.split())
    assert "not made yet" not in told, "two images of three are shown of the others"
    assert "2 to 3 images a cell" in told
    assert main("rows=[it's,IG]") == 2
    assert 'row "it\'s" is none of DLG, IG' in capsys.readouterr().err
    assert main("rows=[IGG]") == 2
    assert "row 'IGG' is none of DLG, IG" in capsys.readouterr().err
    assert len(stamps(tmp_path)) == 4


def test_a_row_may_attack_images_of_a_folder(main: Main, tmp_path: Path) -> None:
    """At a scale beside which the paper's own settings are composed too."""
    for number in range(40):
        folder = tmp_path / "data" / "mine" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (6 * number, 90 + number, 240 - 5 * number)).save(folder / f"{number}.png")
    rows = {"IG": ["attack=ig", "attack.steps=1", "dataset=image_folder", "dataset.folder=mine"]}
    write(
        tmp_path / "own",
        rows=rows,
        base=["model=lenet", "trials=1", "logger=none", "dataset.public_fraction=0.5"],
    )
    assert main("scale=smoke", f"data.root={tmp_path / 'data'}") == 0


def test_the_command_line_wins_and_seeds_may_be_a_list(main: Main, tmp_path: Path) -> None:
    assert main("trials=1", "seed=5,6", "scale=small") == 0
    origin = json.loads((tmp_path / "results/toy/digits32-small/provenance.json").read_text())
    assert [cell["seed"] for cell in origin["cells"]] == [5, 6] * 4
    for cell in origin["cells"]:
        config = yaml.safe_load((tmp_path / "runs" / cell["run"] / "config.yaml").read_text())
        assert (config["trials"], config["seed"]) == (1, cell["seed"])


def test_what_was_published_is_not_computed_again(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a fresh clone a table takes the published runs, goes on with them, and adds what they lack."""
    assert main() == 0
    shown = capsys.readouterr().out
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    publish("toy", tmp_path / "results", tmp_path / "published", runs=tmp_path / "elsewhere")
    assert main("paths.published=published") == 0
    out, err = capsys.readouterr()
    assert out == shown
    assert "4 runs are taken from published, without pictures" in err
    assert not list(tmp_path.glob("runs/*/reconstructions.safetensors"))
    theirs, ours = (Image.open(folder / GALLERY) for folder in (tmp_path / "published", tmp_path / "results"))
    assert says(theirs) == says(ours) != ""
    for _, *boxes in json.loads(says(ours)):
        one, other = ([image.convert("RGB").crop(box) for box in boxes] for image in (theirs, ours))
        assert [part.tobytes() for part in one] == [part.tobytes() for part in other]
        assert len(one[1].getcolors(10**4) or []) > 2, "not grey"
    assert main("paths.published=published", "trials=3") == 0
    first, second, third = Store(tmp_path / "runs").images(next(tmp_path.glob("runs/*/")).name)["truth"]
    assert first.isnan().all()
    assert second.isnan().all()
    assert not third.isnan().any()
    assert main("paths.published=published", "trials=3", "metric.success_threshold=0.5") == 0
    scored = Store(tmp_path / "runs").images(next(tmp_path.glob("runs/*/")).name)["truth"]
    assert not scored.isnan().any(), "to score otherwise takes pictures"


def test_rows_may_share_one_budget(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("budget=equal", "trials=1") == 0
    folder = tmp_path / "results/toy/digits32-paper-equal"
    said = "Equal budget: every row has at most 20 evaluations for an image, over all of its attempts."
    assert said in capsys.readouterr().out
    assert said in (folder / "table.md").read_text()
    for run in tmp_path.glob("runs/*"):
        assert {row["evaluations"] for row in map(json.loads, (run / "rows.jsonl").open())} == {20}
    assert main("budget=equl") == 2
    assert "'own' or 'equal'" in capsys.readouterr().err


def test_nothing_runs_when_one_cell_is_wrong(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path / "own", columns={"None": ["defense=none"], "Noise": ["defense=noise", "defense.sigma=-1"]}
    )
    assert main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("harness: DLG x Noise: defense.sigma")
    write(tmp_path / "own", rows={"DLG": ["attack=dlg"], "IGG": ["attack=igg"]})
    assert main() == 2
    assert "IGG x None: attack=igg" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attack=ig"], "rows and columns of toy choose the attack"),
        (["defense=none"], "rows and columns of toy choose the defense"),
        (["trials=1,2"], "only seed may be a list"),
        (["seed=x"], "whole number"),
        (["dataset=mnist"], "MNIST"),
        (["hydra.sweeper.titel=x"], "titel"),
    ],
)
def test_a_mistake_on_the_command_line_is_status_2(
    main: Main, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not stamps(tmp_path)


def test_a_failing_cell_stops_no_other_and_is_tried_again(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.attacks.dlg import DLG

    def broken(self: object, *arguments: object) -> None:
        raise ZeroDivisionError("a bug\nin two lines")

    with monkeypatch.context() as patch:
        patch.setattr(DLG, "run", broken)
        assert main() == 1
    out, err = capsys.readouterr()
    assert len(stamps(tmp_path)) == 2
    assert "DLG x None, seed 0: no result (ZeroDivisionError: a bug)." in out
    assert "2 of 4 cells have no result" in err
    assert "[2/4]  toy  DLG x Noise  failed: ZeroDivisionError: a bug" in err
    (log,) = {line.split("(")[1].rstrip(")") for line in err.splitlines() if line.startswith("  DLG x None")}
    assert "Traceback" in Path(log).read_text()
    assert "| DLG | - | - |" in (tmp_path / "results/toy/digits32-paper/table.md").read_text()
    done = stamps(tmp_path)
    assert main() == 0
    assert len(stamps(tmp_path)) == 4
    assert done.items() <= stamps(tmp_path).items()
    assert not list(tmp_path.rglob("error.log"))


def test_a_mistake_that_only_runs_can_find_is_status_2(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, *arguments: object) -> None:
        raise UserError("five are too few")

    monkeypatch.setattr(LeNet, "network", refuse)
    assert main("~hydra.sweeper.rows.IG") == 2
    assert "2 of 2 cells have no result" in capsys.readouterr().err
    assert (tmp_path / "results/toy/digits32-paper/table.md").exists(), "the table is shown all the same"


def test_the_sweepers_own_settings_can_be_overridden(main: Main, tmp_path: Path) -> None:
    assert main("~hydra.sweeper.rows.DLG", "hydra.sweeper.seeds=[3]", "trials=1") == 0
    lines = (tmp_path / "results/toy/digits32-paper/cells.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["IG", "IG"]


def command(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "harness", "--config-dir", "own", "table=toy", *arguments]
    environment = clean_environment()
    return subprocess.Popen(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Every row of every run, without the time it took."""
    found = {}
    for path in folder.glob("runs/*/rows.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    return found


def test_processes_make_the_same_table_as_one(main: Main, tmp_path: Path) -> None:
    assert main() == 0
    other = tmp_path / "other"
    write(other / "own")
    process = command(other, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "results/toy/digits32-paper/"
    assert "[4/4]" in err, "the parent counts what its workers finish"
    assert rows(other) == rows(tmp_path)


def test_a_table_that_is_killed_and_made_again_is_like_one_that_was_not(main: Main, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert main("trials=3", f"paths.runs={whole / 'runs'}", f"paths.results={whole / 'results'}") == 0
    process = command(tmp_path, "trials=3")
    while process.poll() is None and not stamps(tmp_path):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    done = stamps(tmp_path)
    assert done
    assert main("trials=3") == 0
    assert done.items() <= stamps(tmp_path).items()
    assert rows(tmp_path) == rows(whole)


def test_a_launcher_that_breaks_leaves_a_table_of_what_is_there(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    instantiate = Plugins.instantiate_launcher

    class Breaking:
        def __init__(self, launcher: Launcher) -> None:
            self.launcher = launcher

        def launch(self, overrides: list[list[str]], initial_job_idx: int) -> None:
            self.launcher.task_function = CellsTask(self.launcher.task_function.jobs[:1])  # type: ignore[attr-defined]
            self.launcher.launch(overrides, initial_job_idx)
            raise BrokenProcessPool("a worker was killed")

    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *a, **k: Breaking(instantiate(*a, **k)))
    assert main("trials=1") == 1
    out, err = capsys.readouterr()
    assert len(stamps(tmp_path)) == 1
    assert "IG x Noise, seed 0: no result (the launcher broke: a worker was killed)." in out
    assert "3 of 4 cells have no result" in err


def test_two_commands_share_a_table(main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each carries out what the other has not begun; nothing is done twice, and both show the whole table."""
    from harness.store.recording import Run

    log, append = tmp_path / "log", Run.append

    def logging(self: Run, problem: int, *rest: object) -> None:
        append(self, problem, *rest)  # type: ignore[arg-type]
        with log.open("a") as file:
            file.write(f"{os.getpid()} {self.directory.name} {problem}\n")
        while len({line.split()[0] for line in log.read_text().splitlines()}) < 2:
            time.sleep(0.01)  # on a busy machine one could be through before the other begins

    monkeypatch.setattr(Run, "append", logging)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=lambda: sys.exit(main("trials=3")), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    done = [line.split() for line in log.read_text().splitlines()]
    assert sorted(rest for _, *rest in done) == sorted(
        [run, str(k)] for run in stamps(tmp_path) for k in range(3)
    )


def test_what_a_worker_elsewhere_has_is_waited_for_and_taken_over_when_it_is_dead(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main() == 0
    whole, (first, *_) = rows(tmp_path), stamps(tmp_path)
    for identity in whole:
        shutil.rmtree(tmp_path / "runs" / identity)
    (tmp_path / "runs" / first).mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(lease, "_machine", lambda: "another machine")
        patch.setattr(lease.Lease, "_beat", lambda *_: None)
        lease.Lease(tmp_path / "runs" / first, expiry=1)
    assert main() == 0
    assert rows(tmp_path) == whole


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_cell_only_until_the_next_time(tmp_path: Path) -> None:
    """A hard crash takes the whole pool with it: what is in the store stays, the rest has no result."""
    write(tmp_path / "own", rows={"IG": ["attack=ig", "attack.steps=100000"]}, seeds=[0, 1])
    process = command(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    while process.poll() is None and len(list(tmp_path.glob("runs/*/config.yaml"))) < 2:
        time.sleep(0.05)
    for worker in _workers(process.pid):
        os.kill(worker, signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 1, err
    assert "the launcher broke" in err
    assert "Traceback" not in err
    assert "no finished image a cell" in out


def _workers(parent: int) -> list[int]:
    """The processes of joblib's pool."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status, arguments = (path / "stat").read_text(), (path / "cmdline").read_text()
        except OSError:  # it ended meanwhile
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent and "LokyProcess" in arguments:
            found.append(int(path.name))
    return found
