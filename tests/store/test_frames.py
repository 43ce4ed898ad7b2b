"""The store as one table, and the statistics of its groups."""

import json
from pathlib import Path

import pandas
import pytest

from harness.base.errors import UserError
from harness.base.statistics import statistic
from harness.bench.store import IMAGES, write
from harness.store.frames import SETTINGS, aggregate, frame, groups, measured, mixed, named
from harness.store.records import Store

RUNS = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write(folder, RUNS)
    (folder / "unfinished").mkdir()
    (folder / "wandb").mkdir()
    return folder


@pytest.fixture
def table(root: Path) -> pandas.DataFrame:
    return frame(root)


def test_every_image_of_every_finished_run_is_a_line(root: Path, table: pandas.DataFrame) -> None:
    assert len(table) == RUNS * IMAGES
    for record in Store(root).records():
        lines = table[table["run"] == record.id]
        assert set(lines["attack"]) == {record.config["choices"]["attack"]}
        assert set(lines["fl.batch_size"]) == {record.config["fl"]["batch_size"]}
        for name in ("psnr_unit", "target", "success", "status"):
            assert list(lines[name]) == [row[name] for row in record.rows]
    assert table["lpips_vgg"].isna().all()
    assert {"attack", "attack.steps", "seed"} <= set(table.attrs[SETTINGS])
    assert not {"run", "psnr_unit", "target"} & set(table.attrs[SETTINGS])


def test_only_the_runs_that_are_named_are_read_in_their_order(root: Path) -> None:
    chosen = [f"{place:012x}" for place in (5, 2)]
    assert list(frame(root, chosen)["run"].unique()) == chosen
    assert frame(root / "nowhere").empty


def test_names_of_ones_own_replace_settings_and_may_be_two(root: Path) -> None:
    run = f"{0:012x}"
    found = named(root, [{"run": run, "attack": "A"}, {"run": run, "attack": "B"}])
    assert list(found["attack"]) == ["A"] * IMAGES + ["B"] * IMAGES
    assert "attack" in found.attrs[SETTINGS]
    assert named(root, []).empty


def images(**columns: list[object]) -> pandas.DataFrame:
    length = len(next(iter(columns.values())))
    whole = {"run": ["a"] * length, "dataset": ["digits32"] * length, "target": list(range(length))}
    whole |= {"problem": list(range(length))}
    return pandas.DataFrame(whole | columns)


def test_statistics_are_those_of_the_groups_of_targets() -> None:
    table = images(
        attack=["ig", "dlg", *["ig"] * 7],
        target=[1, 1, 1, 2, 3, 4, 5, 6, 7],
        psnr_unit=[10.0, 5.0, 12.0, 20.0, 14.0, 15.0, 13.0, 11.0, None],
        success=[True, False, False, True, True, False, True, True, True],
    )
    found = aggregate(table, ["attack"], ["psnr_unit", "success"]).set_index(["attack", "metric"])
    expected = statistic([10.0, 12.0, 20.0, 14.0, 15.0, 13.0, 11.0], [1, 1, 2, 3, 4, 5, 6])
    assert expected is not None
    line = found.loc[("ig", "psnr_unit")]
    assert (line["n"], line["targets"], line["mean"]) == (7, 6, expected.mean)
    assert (line["ci_low"], line["ci_high"]) == (expected.low, expected.high)
    assert found.loc[("dlg", "psnr_unit")][["mean", "n"]].tolist() == [5.0, 1]
    assert found.loc[("dlg", "psnr_unit")].isna()["ci_low"]
    assert found.loc[("dlg", "psnr_unit")]["values"] == "5"
    wilson = statistic([True, False, True, True, False, True, True, True], [1, 1, 2, 3, 4, 5, 6, 7])
    assert wilson is not None
    assert found.loc[("ig", "success")]["ci_high"] == wilson.high <= 1


def test_the_images_of_an_update_are_not_independent() -> None:
    """Six clients with two images each, under two seeds: six groups; where labels alone are inferred, runs are."""
    clients = [client for _ in range(2) for client in range(6) for _ in range(2)]
    table = images(
        run=[f"seed {place // 12}" for place in range(24)],
        problem=clients,
        target=[2 * client + place % 2 for place, client in enumerate(clients)],
        psnr_unit=[10.0 + client for client in clients],
    )
    line = aggregate(table, [], ["psnr_unit"]).iloc[0]
    expected = statistic([10.0 + client for client in range(6)])
    assert expected is not None
    assert (line["n"], line["targets"]) == (24, 6)
    assert (line["ci_low"], line["ci_high"]) == (expected.low, expected.high)
    labels = table.assign(target=None)
    assert aggregate(labels, [], ["psnr_unit"])["targets"].item() == 12
    assert aggregate(labels.drop(columns="target"), [], ["psnr_unit"])["targets"].item() == 12


def test_the_same_target_of_two_data_sets_is_two_targets() -> None:
    table = images(dataset=["mnist", "digits32"], target=[1, 1], mse=[0.1, 0.3])
    assert aggregate(table, [], ["mse"])["targets"].item() == 2


def test_a_metric_without_a_value_has_no_images() -> None:
    table = images(lpips_vgg=[None, None], attack=["a", "a"])
    line = aggregate(table, ["attack"], ["lpips_vgg"]).iloc[0]
    assert (line["n"], line["runs"]) == (0, 1)
    with pytest.raises(UserError, match="lpips_vgg: none of these 2 images has a value"):
        measured(table, "lpips_vgg")
    with pytest.raises(UserError, match="attack: its values are no numbers"):
        measured(table, "attack")


def test_groups_keep_what_has_no_value_and_lists() -> None:
    table = images(betas=[[1, 2], [1, 2], [3]], sigma=[0.1, None, None])
    assert next(groups(table, ["betas", "sigma"]))[0] == ("[1, 2]", 0.1)
    assert sum(len(group) for _, group in groups(table, ["sigma"])) == 3


def test_a_setting_that_varies_within_a_group_is_told() -> None:
    settings = {
        "attack": ["dlg", "dlg", "ig"],
        "seed": [0, 1, 2],
        "attack.steps": [5, 5, 9],
        "epochs": [1, 2, 1],
    }
    table = images(run=["a", "b", "c"], **settings)
    table.attrs[SETTINGS] = list(settings)
    assert mixed(table, ["attack"]) == ["epochs"]
    assert mixed(table, ["attack", "epochs"]) == []
    assert mixed(table, ["epochs"]) == ["attack"]


def test_a_run_from_before_a_group_does_not_differ_in_it() -> None:
    settings = {
        "server": [None, "honest", "honest"],
        "server._target_": [None, "Honest", "Honest"],
        "dummies": [None, "2", "2"],
    }
    table = images(run=["a", "b", "c"], **settings)
    table.attrs[SETTINGS] = list(settings)
    assert mixed(table, []) == ["dummies"]


def test_the_bench_writes_what_the_store_reads(root: Path) -> None:
    content = json.loads((root / f"{0:012x}" / "result.json").read_text())
    assert Store(root).load(content["id"]) is not None


@pytest.mark.parametrize("by", [["targets"], ["n"], ["attack", "attack"]])
def test_a_summary_has_no_two_columns_of_one_name(by: list[str]) -> None:
    table = pandas.DataFrame({"run": ["a"], "attack": ["ig"], "targets": [[1]], "n": [1], "psnr_unit": [1.0]})
    with pytest.raises(UserError, match=f"^{by[-1]}: no second column"):
        aggregate(table, by, ["psnr_unit"])
