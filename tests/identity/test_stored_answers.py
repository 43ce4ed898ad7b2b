"""A stored answer says that it is one: when it was computed, and by what; stdout's last line stays the directory."""

import json
import os
import re
from pathlib import Path

import pytest

from harness.store.provenance import note_stored
from tests.command import QUICK, Main
from tests.command import main as main


def test_the_same_command_again_is_answered_and_says_so(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = (*QUICK, "attack=dlg", "attack.steps=1", "trials=1")
    assert main(*command) == 0
    first, err = capfd.readouterr()
    assert "computed on" not in err
    assert main(*command, "hydra.job.chdir=true", "hydra.run.dir=elsewhere") == 0
    again, err = capfd.readouterr()
    assert re.search(
        r"note: .*[0-9a-f]{12}: computed on \d{4}-\d\d-\d\d by harness \S+; here is the score\n", err
    )
    assert (tmp_path / "elsewhere" / again.strip()).resolve() == (tmp_path / first.strip()).resolve()
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 1


def test_an_older_record_has_the_day_of_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "result.json"
    record = {"id": "run", "config": {}, "summary": {}, "provenance": {"git": "0123456789abcdef"}}
    path.write_text(json.dumps(record))
    os.utime(path, (86400.0 * 365, 86400.0 * 365))
    note_stored([path.parent, tmp_path / "other"])
    assert (
        "run and 1 more: computed on 1971-01-01 by harness 01234567; here is the score"
        in capsys.readouterr().err
    )
