"""An older store gets today's ids, where its runs can prove what they are; what can't be proved answers for nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.commands import migrate
from harness.commands.migrate import judge, older_id
from harness.config.composition import compose, restore
from harness.config.execution import Paths
from harness.store.records import MARK, Store, older, summarise
from tests.command import QUICK, Main
from tests.command import main as main
from tests.damage import unseal
from tests.identity import golden

OLDER: dict[str, Any] = json.loads(golden.IDS.with_name("older.json").read_text())
"""Runs as the older scheme identified them: their ids and configurations, made by the code of that day."""


@pytest.mark.parametrize("name", OLDER)
def test_the_older_scheme_is_known_to_the_digit(name: str) -> None:
    assert older_id(OLDER[name]["config"], None) == OLDER[name]["id"]


def plant(store: Path, name: str, rows: int = 2, **changes: Any) -> str:
    """A finished run of the older scheme."""
    config = {**OLDER[name]["config"], **changes}
    identity = older_id(config, None)
    run = Store(store).open(identity, config)
    for problem in range(rows):
        row = {"psnr_unit": 20.0, "status": "budget", "target": problem}
        images = {"truth": torch.zeros(1, 1, 4, 4), "reconstruction": torch.zeros(1, 1, 4, 4)}
        run.append(problem, [row], images, [])
    run.finish(summarise(run.rows), {"git": "0123456789abcdef"})
    run.close()
    return identity


def today(name: str, **changes: Any) -> str:
    return restore({**OLDER[name]["config"], **changes}, None, Paths()).id


def migrated(store: Path, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    capsys.readouterr()
    assert migrate.main([str(store)]) == status
    return "".join(capsys.readouterr())


def test_a_run_that_is_what_it_says_gets_its_new_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = plant(tmp_path, "default")
    rows = (tmp_path / before / "rows.jsonl").read_bytes()
    assert f"{before}: now {today('default')}" in migrated(tmp_path, capsys)
    record = Store(tmp_path).load(today("default"))
    assert record is not None
    assert record.id == today("default")
    assert record.provenance["formerly"] == before
    assert (tmp_path / record.id / "rows.jsonl").read_bytes() == rows
    assert not (tmp_path / before).exists()
    assert older(tmp_path) == []
    assert migrated(tmp_path, capsys) == ""


def test_a_method_that_was_mended_is_not_given_older_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.attacks.idlg import IDLG

    before = plant(tmp_path, "default")
    monkeypatch.setattr(IDLG, "version", IDLG.version + 1)
    assert f"{before}: kept: its method has changed since: IDLG" in migrated(tmp_path, capsys)
    record = Store(tmp_path).load(before)
    assert record is not None
    assert record.provenance["superseded"].endswith("IDLG")
    assert not Store(tmp_path).has(compose("attack=idlg").id)
    assert older(tmp_path) == [], "it was looked at: no hint names it again"


def test_what_cannot_be_proved_is_shown_and_answers_for_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = {**compose("dataset=tile_sheets", "data.root=nowhere").config["dataset"]}
    before = plant(tmp_path, "default", dataset=folder)
    weights = compose("model=resnet18_imagenet", "model.weights=best.pth").config["model"]
    other = plant(tmp_path, "default", model=weights)
    found = migrated(tmp_path, capsys)
    for identity in (before, other):
        assert f"{identity}: kept: data not verified" in found
        record = Store(tmp_path).load(identity)
        assert record is not None
        assert record.provenance["data"] == "not verified"


def test_a_run_whose_settings_are_not_its_id_s_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = plant(tmp_path, "default")
    folder = (tmp_path / before).rename(tmp_path / ("0" * 12))
    unseal(folder, id="0" * 12)
    assert "000000000000: kept: its id is not that of its settings" in migrated(tmp_path, capsys)


def test_of_two_that_differ_in_how_many_the_larger_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path, "default", rows=2)
    large = plant(tmp_path, "default", rows=5, trials=5)
    found = migrated(tmp_path, capsys)
    assert f"{large}: now {today('default')}" in found
    assert f"kept: {today('default')} answers in its place" in found
    record = Store(tmp_path).load(today("default"))
    assert record is not None
    assert len(record.rows) == 5


@pytest.mark.parametrize("stage", ["written", "renamed"])
def test_a_migration_that_was_killed_goes_on(
    stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, new = plant(tmp_path, "default"), today("default")
    migrated(tmp_path, capsys)
    (tmp_path / new / MARK).unlink()
    if stage == "written":
        (tmp_path / new).rename(tmp_path / before)
    assert f"{before}: now {new}" in migrated(tmp_path, capsys)
    record = Store(tmp_path).load(new)
    assert record is not None
    assert (record.id, record.provenance["formerly"]) == (new, before)


def test_an_older_store_is_met_with_a_hint(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path / "runs", "trained model")
    command = (*QUICK, "attack=dlg", "attack.steps=1", "trials=1")
    assert main(*command) == 0
    assert (
        "1 runs have ids of before, which nothing asks for: `harness migrate runs`" in capfd.readouterr().err
    )
    assert len(older(tmp_path / "runs")) == 1, "what runs today has its mark"


def test_a_folder_without_runs_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds neither finished runs nor published results" in migrated(tmp_path, capsys, status=2)


def test_published_results_get_new_ids_in_all_their_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results" / "labels" / "digits32-small"
    folder.mkdir(parents=True)
    overrides = ["dataset=digits32", "attack=dlg", "attack.steps=3", "trials=1", "data.root=PATH"]
    config = compose(*overrides[:-1]).config
    old, new = older_id(config, None), compose(*overrides[:-1]).id
    cells = [{"run": old, "overrides": overrides}, {"run": "f" * 12, "overrides": ["no.such=1"]}]
    (folder / "provenance.json").write_text(json.dumps({"cells": cells}))
    (folder / "cells.csv").write_text(f"run_ids\n{old} {'f' * 12}\n")
    assert "1 of 2 runs have a new id; 1 kept: its settings are none of today's" in migrated(
        tmp_path / "results", capsys
    )
    assert (folder / "cells.csv").read_text() == f"run_ids\n{new} {'f' * 12}\n"
    assert json.loads((folder / "provenance.json").read_text())["cells"][0]["run"] == new
    assert json.loads((folder / "provenance.json").read_text())["kept"] == [
        "1 of 2 runs: its settings are none of today's (no: there is no such setting; did you mean 'nodes'?)"
    ]
    again = migrated(tmp_path / "results", capsys)
    assert "0 of 2 runs have a new id, 1 had it before; 1 kept" in again


def test_a_run_on_files_is_never_taken_for_one_on_what_is_there_now() -> None:
    config = compose("dataset=tile_sheets", "data.root=nowhere").config
    assert judge(older_id(config, None), config, None).kept == migrate.UNVERIFIED
