"""A sweep as data: its points and the overrides that make them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from harness.base.errors import UserError
from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.sweeps.spec import Sweep, parse

SWEEPS = sorted(path for path in (EXPERIMENTS / "sweep").glob("*.yaml") if path.stem != "none")

NODE = {
    "name": "toy",
    "base": ["fl=fedavg", "trials=9"],
    "grid": {"attack": ["dlg", "ig"], "fl.batch_size": [1, 2], "knowledge.labels": [True], "targets": [None]},
    "additions": {"attack=ig": ["attack.steps=100", "labels@attack.labels=llg"]},
    "scales": {
        "small": {
            "base": ["trials=2"],
            "grid": {"fl.batch_size": [4]},
            "additions": {"attack=ig": ["attack.steps=5"], "fl.batch_size=4": ["fl.lr=0.5"]},
        }
    },
    "metrics": ["psnr_unit"],
    "plots": [{"_target_": "harness.plots.lines.Lines", "x": "fl.batch_size", "y": ["psnr_unit"]}],
}


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return parse(NODE)


def test_every_combination_is_a_point(sweep: Sweep) -> None:
    points = sweep.points("paper", [], {}, [])
    assert [point.name for point in points] == [
        f"attack={attack}, fl.batch_size={size}, knowledge.labels=true, targets=null"
        for attack in ("dlg", "ig")
        for size in (1, 2)
    ]
    assert dict(points[0].values)["fl.batch_size"] == 1


def test_later_overrides_win_and_a_value_brings_its_own(sweep: Sweep) -> None:
    given = ["dataset=digits32", "scale=small"]
    dlg, ig = sweep.points("small", given, {}, ["seed=3"])
    assert ig.overrides == (
        *("dataset=digits32", "scale=small", "fl=fedavg", "trials=2", "attack=ig", "fl.batch_size=4"),
        *("knowledge.labels=true", "targets=null", "labels@attack.labels=llg", "attack.steps=5", "fl.lr=0.5"),
        "seed=3",
    )
    assert not any("steps" in override for override in dlg.overrides)
    assert "attack.steps=7" in sweep.points("small", [], {"attack": ["ig"]}, ["attack.steps=7"])[0].overrides


def test_the_users_axes_replace_the_sweeps(sweep: Sweep) -> None:
    points = sweep.points("small", [], {"attack": ["gi"], "seed": [0, 1]}, [])
    assert [dict(point.values)["seed"] for point in points] == [0, 1]
    assert {dict(point.values)["attack"] for point in points} == {"gi"}


def test_a_condition_leaves_combinations_out(sweep: Sweep) -> None:
    grid: dict[str, list[int]] = {"held": [1, 2, 4], "batch": [1, 2, 4]}
    only = Sweep(grid=grid, where="batch <= held")
    values = [tuple(dict(point.values).values()) for point in only.points("paper", [], {}, [])]
    assert values == [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)]
    for where, message in (
        ("batch > 4", "no combination of the axes is left"),
        ("size > 4", "no such column"),
    ):
        with pytest.raises(UserError, match=message):
            Sweep(grid=grid, where=where).points("paper", [], {}, [])


def test_variants_have_axes_of_their_own() -> None:
    variants: list[dict[str, list[Any]]] = [
        {"defense": ["none"]},
        {"defense": ["noise"], "defense.sigma": [0.01, 0.1]},
        {"defense": ["clipping"], "defense.bound": [1]},
    ]
    one = Sweep(name="toy", grid={"seed": [0, 1]}, variants=variants)
    assert one.axes("paper", {}) == ["seed", "defense", "defense.sigma", "defense.bound"]

    def points(**user: list[Any]) -> list[str]:
        named = {name.replace("_", "."): values for name, values in user.items()}
        return [point.name for point in one.points("paper", [], named, [])]

    assert len(points()) == 2 * (1 + 2 + 1)
    assert points(seed=[3], defense=["noise"]) == [
        f"seed=3, defense=noise, defense.sigma={sigma}" for sigma in (0.01, 0.1)
    ]
    assert points(seed=[3], defense_sigma=[0.5]) == ["seed=3, defense=noise, defense.sigma=0.5"]
    with pytest.raises(UserError, match="no combination of the axes is left"):
        points(defense=["soteria"])


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))
)
def test_there_are_as_many_points_as_combinations(grid: dict[str, list[int]]) -> None:
    points = Sweep(grid=grid).points("paper", [], {}, [])
    count = 1
    for values in grid.values():
        count *= len(values)
    assert len(set(points)) == len(points) == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {"seed": []}}, "sweep toy: seed has no values"),
        ({"grid": {"seed": [[1, 2]]}}, "sweep 'toy': grid.seed.0"),
        ({"name": "../up"}, "sweep '../up': name"),
        ({"titel": "x"}, "sweep 'toy': titel"),
        ({"plots": [{"_target_": "os.remove", "path": "x"}]}, "os.remove is not a component"),
        ({"plots": [{"_target_": "harness.plots.lines.Lines", "x": "a"}]}, "plots.y"),
    ],
)
def test_a_mistake_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(NODE | change)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scale", ["smoke", "small", "medium", "paper"])
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_sweeps_that_come_with_the_project_can_be_made(path: Path, scale: str) -> None:
    node = OmegaConf.to_container(OmegaConf.load(path).hydra.sweeper)
    assert isinstance(node, dict)
    points = parse({str(key): value for key, value in node.items()}).points(
        scale, ["dataset=digits32", f"scale={scale}"], {}, []
    )
    assert len({point.overrides for point in points}) == len(points) > 1
    for point in (points[0], points[-1]):
        assert compose(*point.overrides).id
