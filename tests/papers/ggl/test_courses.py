"""The courses of optimisers: the same loss of all, from their traces, with medians of the seeds."""

from pathlib import Path

import pytest

from harness.base.rows import read_csv
from harness.config.composition import compose
from harness.papers.ggl.courses import OptimizerCourses, line
from harness.papers.ggl.curves import course, curves, middle
from harness.runs.run import run
from harness.store.records import Store
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome

TINY = (
    *("attack.steps=6", "prior=untrained", "prior.latent=6", "prior.base=8", "model=lenet", "fl=fedsgd"),
    *("dataset=digits32", "logger=none", "trials=1", "order=sequential"),
)
ROWS = {"Adam": ["attack=ggl_adam"], "CMA-ES": ["attack=ggl_cma", "attack.per_round=2", "attack.kl=0.01"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def outcomes(store: Store) -> list[Outcome]:
    found = []
    for row, settings in ROWS.items():
        for seed in (0, 1):
            experiment = compose(*settings, *TINY, f"seed={seed}", f"paths.runs={store.root}")
            record = run(experiment)
            found.append(Outcome(Cell(row, "GGL", seed, ()), experiment.id, {}, record, None, experiment))
    return found


def test_all_rows_have_one_loss(store: Store, outcomes: list[Outcome], tmp_path: Path) -> None:
    OptimizerCourses().write("digits32", outcomes, store, tmp_path)
    text = (tmp_path / "courses.csv").read_text()
    assert [len(curves(text, row)) for row in ROWS] == [2, 2]
    assert [len(curves(text, row)["GGL", "1", "0"]) for row in ROWS] == [6, 12]
    for outcome, whole in zip(outcomes, (True, True, False, False), strict=True):
        (trace,) = outcome.traces(store).values()
        losses = [float(each["matching"]) for each in read_csv(tmp_path / "courses.csv")
                  if each["run"] == outcome.id]  # fmt: skip
        best = [point["best"] for point in trace]
        assert best == [min(point["loss"] for point in trace[: place + 1]) for place in range(len(trace))]
        alone = [point["best"] - point["regularizers"] for point in trace]
        assert losses == pytest.approx([value / (8 if whole else 1) for value in alone], rel=1e-4)
    assert (tmp_path / "courses.png").stat().st_size > 5000


def test_the_page_says_where_each_starts_and_what_it_minimises(
    store: Store, outcomes: list[Outcome], tmp_path: Path
) -> None:
    OptimizerCourses().write("digits32", outcomes, store, tmp_path)
    text = (tmp_path / "courses.md").read_text()
    assert (
        "- Adam: 6 evaluations at most, of values and gradients; starts at a draw from N(0, 1); minimises"
        in text
    )
    assert "- CMA-ES: 12 evaluations at most, of values alone; starts at the mean latent vector, 0;" in text
    assert "the matching loss and 0.01 times the KL divergence." in text
    ends = [line.split(" | ")[-1] for line in text.splitlines() if line.startswith(("| Adam", "| CMA-ES"))]
    assert sorted(ends) in ([f"{count} of 2 |" for count in (0, 2)], ["1 of 2 |"] * 2)


def test_the_initial_design_of_turbo_is_said(outcomes: list[Outcome]) -> None:
    bo = compose("attack=ggl_bo", *TINY, "attack.optimizer.initial=4")
    found = line(Outcome(Cell("BO", "GGL", 0, ()), bo.id, {}, outcomes[0].record, None, bo))
    assert found is not None
    assert found.initial == 4
    assert "starts at 4 points of a Latin hypercube, which count; minimises the matching loss" in found.told


def test_a_trace_of_before_has_no_course() -> None:
    assert course([{"evaluation": 0, "loss": 3.0}]) == []
    assert course([{"evaluation": 4, "loss": 3.0, "best": 2.0, "regularizers": 0.5}], 3) == [(5, 0.5)]


def test_the_median_is_of_evaluations_that_all_have() -> None:
    assert middle([[(1, 3.0), (2, 1.0)], [(1, 5.0), (2, 2.0)], [(1, 4.0)]]) == [(1, 4.0)]
