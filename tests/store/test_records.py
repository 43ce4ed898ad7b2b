"""The store: nothing finished is lost, nothing stands twice, and what it writes is strict JSON."""

import json
import math
import multiprocessing
import os
import signal
import time
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from harness.base.files import write_atomically
from harness.core import UserError
from harness.plots.pictures import draw_run
from harness.store.journal import decode
from harness.store.recording import Shard
from harness.store.records import Run, Store, summarise

CONFIG = {
    "attack": {"_target_": "harness.attacks.dlg.DLG", "steps": 5, "labels": None},
    "choices": {"attack": "dlg", "dataset": "digits32"},
    "seed": 0,
}


def images(problem: int, count: int = 2) -> tuple[Tensor, Tensor]:
    truth = torch.full((count, 1, 8, 8), (problem % 10) / 10)
    return truth, truth + 0.05


def named(truth: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
    return {"truth": truth, "reconstruction": reconstruction}


def store_problem(run: Run, problem: int, count: int = 2) -> None:
    rows = [{"target": 10 * problem + k, "psnr_unit": 9.5 + k, "status": "budget"} for k in range(count)]
    run.append(
        problem, rows, named(*images(problem, count)), [{"evaluation": 0, "loss": 1.0 / (problem + 1)}]
    )


def keys(rows: list[dict[str, int]]) -> list[tuple[int, int]]:
    return [(row["problem"], row["image"]) for row in rows]


def test_a_finished_run_can_be_loaded_and_holds_all_its_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.load("abc") is None
    run = store.open("abc", CONFIG)
    for problem in (1, 0):  # attacks finish in any order
        store_problem(run, problem)
    assert store.load("abc") is None
    record = run.finish(summarise(run.rows), {"git": "0123"}, draw_run)
    assert store.load("abc") == record
    assert record.config == CONFIG
    assert keys(record.rows) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    files = {path.name for path in (tmp_path / "abc").iterdir()} - {".lock"}
    assert files == {
        "config.yaml", "rows.jsonl", "result.json", "reconstructions.safetensors", "gallery.png", "traces.jsonl",
    }  # fmt: skip
    tensors = load_file(str(tmp_path / "abc" / "reconstructions.safetensors"))
    assert set(tensors) == {"truth", "reconstruction"}
    for name, expected in zip(
        ("truth", "reconstruction"), zip(images(0), images(1), strict=True), strict=True
    ):
        assert torch.equal(tensors[name], torch.cat(expected))


def test_what_a_problem_of_before_did_not_keep_is_no_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with closing(store.open("r", {})) as run:
        truth, reconstruction = images(0)
        run.append(0, [{}, {}], named(truth, reconstruction), [])
        run.append(1, [{}, {}], named(truth, reconstruction) | {"latent": torch.ones(2, 3)}, [])
        run.append(2, [{}, {}], named(truth, reconstruction) | {"latent": torch.ones(2, 3),
                                                               "latent_last": torch.zeros(2, 3)}, [])  # fmt: skip
        run.finish({}, {})
    found = store.images("r")
    assert found["latent"].isnan().all(1).tolist() == [True, True, False, False, False, False]
    last = store.images("r", "last")["latent"]
    assert last.isnan().all(1).tolist() == [True, True, False, False, False, False]
    assert last[2:].sum(1).tolist() == [3, 3, 0, 0]


def test_the_gallery_shows_every_truth_above_its_reconstruction(tmp_path: Path) -> None:
    run = Store(tmp_path).open("abc", CONFIG)
    black, white = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    run.append(0, [{"psnr_unit": 0.0}], named(black, white), [])
    run.finish({}, {}, draw_run)
    picture = Image.open(tmp_path / "abc" / "gallery.png").convert("L")
    column = [picture.getpixel((40, y)) for y in range(picture.height)]
    first_black = column.index(0)
    assert set(column[first_black : first_black + 90]) == {0}
    assert set(column[first_black + 102 : first_black + 190]) == {255}


def test_reopening_knows_what_is_finished_and_refuses_to_store_it_again(tmp_path: Path) -> None:
    store_problem(Store(tmp_path).open("abc", CONFIG), 3)
    run = Store(tmp_path).open("abc", CONFIG)
    assert run.finished == {3}
    with pytest.raises(ValueError, match="already stored"):
        store_problem(run, 3)


def test_a_finished_run_is_not_opened_again(tmp_path: Path) -> None:
    run = Store(tmp_path).open("abc", CONFIG)
    store_problem(run, 0)
    run.finish({}, {})
    with pytest.raises(ValueError, match="finished"):
        Store(tmp_path).open("abc", CONFIG)


def test_rows_and_images_must_agree(tmp_path: Path) -> None:
    run = Store(tmp_path).open("abc", CONFIG)
    with pytest.raises(ValueError, match="1 rows, 2 truths"):
        run.append(0, [{"target": 0}], named(*images(0)), [])
    with pytest.raises(ValueError, match="no rows"):
        run.finish({}, {})


def test_a_run_takes_in_what_its_ranks_have_stored(tmp_path: Path) -> None:
    """Also what they had stored when everything was killed: half a line, and a problem that two ranks have."""
    store = Store(tmp_path)
    run = store.open("abc", CONFIG)
    store_problem(run, 0)
    shards = [Shard(tmp_path / "abc", rank) for rank in range(2)]
    assert all(shard.finished == {0} for shard in shards)
    for problem, rank in ((1, 0), (2, 1), (3, 0)):
        store_problem(shards[rank], problem)
    assert run.merge() == [1, 2, 3]
    assert run.merge() == []
    for shard in shards:
        store_problem(shard, 4)
    with (tmp_path / "abc" / "rows.1.jsonl").open("a") as file:
        file.write('{"problem": 5, "ima')
    run = store.open("abc", CONFIG)
    assert keys(run.rows) == [(problem, image) for problem in range(5) for image in range(2)]
    again = Shard(tmp_path / "abc", 1)
    store_problem(again, 5)
    assert run.merge() == [5]
    record = run.finish({}, {})
    assert keys(record.rows) == [(problem, image) for problem in range(6) for image in range(2)]
    assert not list((tmp_path / "abc").glob("rows.*.jsonl"))


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0), count=st.integers(1, 3))
def test_a_journal_torn_anywhere_keeps_whole_problems_only(
    tmp_path_factory: pytest.TempPathFactory, cut: int, count: int
) -> None:
    root = tmp_path_factory.mktemp("torn")
    run = Store(root).open("abc", CONFIG)
    for problem in range(3):
        store_problem(run, problem, count)
    journal = root / "abc" / "rows.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[: cut % (len(content) + 1)])
    whole = content[: cut % (len(content) + 1)].count(b"\n") // count
    run = Store(root).open("abc", CONFIG)
    assert run.finished == set(range(whole))
    for problem in {0, 1, 2} - run.finished:
        store_problem(run, problem, count)
    record = run.finish({}, {})
    assert keys(record.rows) == [(problem, k) for problem in range(3) for k in range(count)]
    assert record.rows == decode(content)[0]


def test_a_row_without_its_images_is_not_finished(tmp_path: Path) -> None:
    run = Store(tmp_path).open("abc", CONFIG)
    for problem in range(3):
        store_problem(run, problem)
    (tmp_path / "abc" / "parts" / "1.safetensors").unlink()
    part = tmp_path / "abc" / "parts" / "2.safetensors"
    part.write_bytes(part.read_bytes()[:100])
    assert Store(tmp_path).open("abc", CONFIG).finished == {0}


def test_no_number_that_json_lacks_is_written(tmp_path: Path) -> None:
    run = Store(tmp_path).open("abc", CONFIG)
    row = {"mse": math.nan, "psnr_unit": math.inf, "loss": -math.inf, "ssim": 0.5, "lpips_vgg": None}
    run.append(0, [row], named(*images(0, 1)), [{"loss": math.nan}])
    record = run.finish({"mse": {"mean": math.nan}}, {})
    assert record.rows[0] == {
        "mse": None, "psnr_unit": None, "loss": None, "ssim": 0.5, "lpips_vgg": None, "problem": 0, "image": 0,
    }  # fmt: skip

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for name in ("rows.jsonl", "traces.jsonl", "result.json"):
        json.loads((tmp_path / "abc" / name).read_text(), parse_constant=refuse)


def victim(root: Path, total: int, pause: float, backwards: bool = False) -> "tuple[BaseProcess, Connection]":
    """A process that stores problems one by one and names each when it is stored."""

    def work() -> None:
        run = Store(root).open("abc", {"seed": 0})
        for problem in reversed(range(total)) if backwards else range(total):
            if problem not in run.finished:
                store_problem(run, problem)
                told.send(problem)
                time.sleep(pause)
        run.finish({}, {}, draw_run)

    fork = multiprocessing.get_context("fork")
    heard, told = fork.Pipe(duplex=False)
    process = fork.Process(target=work)
    process.start()
    return process, heard


def finish(root: Path) -> None:
    process, _ = victim(root, 6, pause=0)
    process.join()
    assert process.exitcode == 0


def test_a_run_that_is_killed_and_started_again_is_like_one_that_was_not(tmp_path: Path) -> None:
    done: set[int] = set()
    for _ in range(2):
        process, heard = victim(tmp_path / "killed", 6, pause=0.2)
        begun = {heard.recv() for _ in range(2)}
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not (tmp_path / "killed" / "abc" / "result.json").exists()
        assert not begun & done, "a finished problem was done again"
        run = Store(tmp_path / "killed").open("abc", {"seed": 0})
        stored = run.finished
        run.close()
        assert stored >= done | begun, "a finished problem was lost"
        done |= stored
    finish(tmp_path / "killed")
    finish(tmp_path / "whole")
    for name in ("rows.jsonl", "result.json", "reconstructions.safetensors", "traces.jsonl", "config.yaml"):
        killed, whole = (tmp_path / which / "abc" / name for which in ("killed", "whole"))
        assert killed.read_bytes() == whole.read_bytes(), name
    assert not list((tmp_path / "killed").rglob("*.tmp"))


@pytest.mark.parametrize("step", ["rows.jsonl", "reconstructions.safetensors", "gallery.png", "result.json"])
def test_a_kill_while_a_run_is_being_finished_loses_nothing(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(path: Path, content: bytes, durable: bool = True) -> None:
        if path.name == step:
            os.kill(os.getpid(), signal.SIGKILL)
        write_atomically(path, content, durable)

    with monkeypatch.context() as patch:
        patch.setattr("harness.store.recording.write_atomically", dying)
        patch.setattr("harness.plots.pictures.write_atomically", dying)
        process, _ = victim(tmp_path, 3, pause=0, backwards=True)  # so that the journal is sorted at the end
        process.join()
    assert process.exitcode == -signal.SIGKILL
    run = Store(tmp_path).open("abc", {"seed": 0})
    assert run.finished == {0, 1, 2}
    assert keys(run.finish({}, {}).rows) == [(problem, k) for problem in range(3) for k in range(2)]


def test_two_processes_do_not_write_the_same_run(tmp_path: Path) -> None:
    process, heard = victim(tmp_path, 2, pause=30)
    heard.recv()
    try:
        with pytest.raises(UserError, match="another process"):
            Store(tmp_path).open("abc", {"seed": 0})
    finally:
        process.kill()
        process.join()
    assert Store(tmp_path).open("abc", {"seed": 0}).finished == {0}


def test_a_summary_leaves_out_what_is_missing_and_what_is_no_measurement() -> None:
    rows = [
        {
            "problem": 0,
            "image": 0,
            "target": 7,
            "label": 1,
            "mse": 1.0,
            "lpips": None,
            "success": True,
            "status": "a",
        },
        {
            "problem": 1,
            "image": 0,
            "target": 8,
            "label": 2,
            "mse": 3.0,
            "lpips": None,
            "success": False,
            "status": "b",
        },
        {
            "problem": 2,
            "image": 0,
            "target": 9,
            "label": 3,
            "mse": None,
            "lpips": None,
            "success": False,
            "status": "a",
        },
    ]
    summary = summarise(rows)
    assert set(summary) == {"mse", "lpips", "success", "status"}
    assert summary["mse"]["mean"] == 2.0
    assert summary["mse"]["n"] == 2
    assert summary["mse"]["std"] == pytest.approx(math.sqrt(2))
    assert summary["lpips"] is None
    assert summary["success"]["mean"] == pytest.approx(1 / 3)
    assert summary["status"] == {"a": 2, "b": 1}


def test_the_images_of_one_update_are_one_group_of_a_summarys_interval() -> None:
    """Also where a later update has the same images: four clients are too few for a bootstrap, ten are enough."""
    rows = [
        {"problem": problem, "image": image, "target": problem % 10 * 3 + image, "mse": float(problem % 7)}
        for problem in range(20)
        for image in range(3)
    ]
    ten = summarise(rows)["mse"]
    assert ten["n"] == 60
    assert ten["ci95"] == summarise([row for row in rows if row["image"] == 0])["mse"]["ci95"]
    assert summarise([row for row in rows if row["problem"] % 10 < 4])["mse"]["ci95"] is None


def test_the_frame_has_one_line_per_image_and_the_configuration_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for identity in ("one", "two"):
        run = store.open(identity, CONFIG)
        store_problem(run, 0)
        run.finish({}, {})
    store_problem(store.open("unfinished", CONFIG), 0)
    frame = store.frame()
    assert list(frame["run"]) == ["one", "one", "two", "two"]
    assert set(frame["attack"]) == {"dlg"}
    assert set(frame["attack.steps"]) == {5}
    assert list(frame.groupby("run")["psnr_unit"].mean()) == [10.0, 10.0]
