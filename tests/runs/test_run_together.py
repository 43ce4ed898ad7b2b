"""Runs side by side find what they find alone, and each is stored as its own."""

from pathlib import Path

import pytest

from harness.config.composition import compose
from harness.core import UserError
from harness.runs.run import run, run_together
from harness.store.records import Store

LIGHT = ("logger=none", "trials=3", "attack=idlg", "attack.steps=1", "attack.tolerance=100")
CHOICES = [
    f"start={start} seed={seed}".split() for start in ("random", "feedback", "uniform") for seed in (0, 1)
]


def timeless(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("engine", ["lowrank", "vmap"])
def test_side_by_side_is_as_alone(engine: str, tmp_path: Path) -> None:
    """To the last bit."""
    light = (*LIGHT, f"attack.engine={engine}")
    together = [compose(*light, *choice, f"paths.runs={tmp_path / 'one'}") for choice in CHOICES]
    alone = [compose(*light, *choice, f"paths.runs={tmp_path / 'other'}") for choice in CHOICES]
    found = run_together(together)
    assert [record.id for record in found] == [experiment.id for experiment in together]
    for record, experiment in zip(found, alone, strict=True):
        assert timeless(record.rows) == timeless(run(experiment).rows)
        assert record == Store(tmp_path / "one").load(experiment.id)


@pytest.mark.parametrize("trials", [1, 2])
def test_a_group_of_seeds_may_be_split(trials: int, tmp_path: Path) -> None:
    """Whoever carries out which of the runs: also where they are of one image each, which each has no other beside."""
    light = ("logger=none", "attack=ig", "attack.steps=2", "model=lenet", f"trials={trials}")
    whole, parts = (
        [compose(*light, f"seed={seed}", f"paths.runs={tmp_path / name}") for seed in range(3)]
        for name in ("whole", "parts")
    )
    found = [*run_together(parts[:1]), *run_together(parts[1:])]
    for record, expected in zip(found, run_together(whole), strict=True):
        assert timeless(record.rows) == timeless(expected.rows)


def test_what_is_in_the_store_is_not_done_again(tmp_path: Path) -> None:
    experiments = [compose(*LIGHT, *choice, f"paths.runs={tmp_path}") for choice in CHOICES[:2]]
    first = run(experiments[0])
    stamp = (tmp_path / first.id / "result.json").stat().st_mtime_ns
    again = run_together([*experiments, experiments[0]])
    assert (again[0], again[2]) == (first, first)
    assert (tmp_path / first.id / "result.json").stat().st_mtime_ns == stamp


def test_only_kin_run_side_by_side(tmp_path: Path) -> None:
    pair = [compose(*LIGHT, change, f"paths.runs={tmp_path}") for change in ("defense=none", "defense=noise")]
    with pytest.raises(ValueError, match="seed and start"):
        run_together(pair)
    assert not Store(tmp_path).records()


def test_time_is_shared_among_runs_side_by_side(tmp_path: Path) -> None:
    import time

    before = time.process_time()
    found = run_together([compose(*LIGHT, *choice, f"paths.runs={tmp_path}") for choice in CHOICES[:4]])
    spent = time.process_time() - before
    assert 0 < sum(record.provenance["cpu_seconds"] for record in found) < spent


def test_too_few_images_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the attack split has only"):
        run(compose("trials=99999", "logger=none", f"paths.runs={tmp_path}"))
    assert not list(tmp_path.iterdir())
