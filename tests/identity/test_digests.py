"""Digests of files: of their content alone, kept from one process to the next, never of a file that has changed."""

import os
import time
from pathlib import Path

import pytest

from harness.config.composition import compose
from harness.identity import digests
from harness.identity.digests import DigestCache, content, packaged


@pytest.fixture(autouse=True)
def _kept_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "WORTH_KEEPING", 0)


def files(folder: Path, count: int = 5, age: float = 10) -> list[str]:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number}.bin").write_bytes(bytes([number]) * 10)
        os.utime(folder / f"{number}.bin", (time.time() - age,) * 2)
    return [str(folder / f"{number}.bin") for number in range(count)]


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what has just been written count as written long ago: its ctime can't be set."""
    monkeypatch.setattr(digests, "UNSETTLED", -1)


def test_what_is_known_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    paths = files(tmp_path / "data")
    first = DigestCache(str(tmp_path / "data")).digests(paths)
    monkeypatch.setattr(digests, "_sha256", lambda path: 1 / 0)
    assert DigestCache(str(tmp_path / "data")).digests(paths) == first
    assert len(set(first)) == len(paths)


@pytest.mark.parametrize("change", ["content", "link", "times"])
def test_what_has_changed_is_read_again(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    paths = files(tmp_path / "data")
    first = DigestCache(str(tmp_path / "data")).digests(paths)
    path, before = Path(paths[2]), os.stat(paths[2])
    if change == "link":  # to a file of the same size and times
        other = tmp_path / "other"
        other.write_bytes(b"y" * 10)
        path.unlink()
        path.symlink_to(other)
    elif change == "content":
        path.write_bytes(b"x" * 10)
    if change != "times":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        path.touch()
    again = DigestCache(str(tmp_path / "data")).digests(paths)
    assert [one == other for one, other in zip(first, again, strict=True)] == [
        place != 2 or change == "times" for place in range(5)
    ]


def test_what_was_changed_a_moment_ago_is_not_kept(tmp_path: Path) -> None:
    """Another change in the same tick of the clock would leave no trace in the times."""
    paths = files(tmp_path / "data")
    DigestCache(str(tmp_path / "data")).digests(paths)
    Path(paths[0]).write_bytes(b"z" * 10)
    assert DigestCache(str(tmp_path / "data"))._kept == {}


@pytest.mark.parametrize("damage", [b"", b"[1]", b"{", b'{"a": 3}', b'{"a": [1, 2]}'])
def test_a_damaged_cache_is_no_obstacle(
    damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    paths = files(tmp_path / "data")
    known = DigestCache(str(tmp_path / "data"))
    first = known.digests(paths)
    known._path.write_bytes(damage)
    assert DigestCache(str(tmp_path / "data")).digests(paths) == first


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(DigestCache(str(tmp_path)).digests(files(tmp_path / "data"))) == 5


def test_a_folder_is_its_files_and_nothing_hidden(tmp_path: Path) -> None:
    for name in ("one", "two"):
        files(tmp_path / name)
    same = content(tmp_path / "one")
    (tmp_path / "two" / ".DS_Store").write_text("x")
    (tmp_path / "two" / ".git").mkdir()
    (tmp_path / "two" / ".git" / "index").write_text("x")
    (tmp_path / "two" / "again").symlink_to(tmp_path / "two")
    assert content(tmp_path / "two") == same
    (tmp_path / "two" / "0.bin").rename(tmp_path / "two" / "9.bin")
    assert content(tmp_path / "two") != same
    assert content(tmp_path / "nowhere") is None


def test_what_comes_with_a_package_is_read_without_importing_it() -> None:
    assert len(packaged("sklearn", "datasets/data/digits.csv.gz")) == digests.LENGTH
    assert packaged("no_such_package", "a") != packaged("sklearn", "datasets/data/digits.csv.gz")


def zoo(folder: Path, shade: int, name: str = "0") -> None:
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            pixels = bytes((shade + number) % 256 for _ in range(8 * 8 * 3))
            (folder / label / f"{name}{number}.ppm").write_bytes(b"P6 8 8 255\n" + pixels)


SETTINGS = (
    *("dataset=image_folder", "dataset.size=8", "dataset.class_names=2"),
    *("dataset.mean=[.5,.5,.5]", "dataset.std=[.2,.2,.2]"),
)


def chosen(root: Path, *more: str) -> str:
    return compose(*SETTINGS, f"data.root={root}", *more).id


def test_a_data_set_is_its_content(tmp_path: Path) -> None:
    for name, shade in (("one", 1), ("same", 1), ("other", 2)):
        zoo(tmp_path / name, shade)
    (tmp_path / "same" / ".DS_Store").write_text("x")
    (tmp_path / "same" / "notes.txt").write_text("x")
    (tmp_path / "linked").mkdir()
    for label in ("a", "b"):
        (tmp_path / "linked" / label).symlink_to(tmp_path / "one" / label)
    zoo(tmp_path / "renamed", 1, name="x")
    one = chosen(tmp_path / "one")
    assert [chosen(tmp_path / name) == one for name in ("same", "linked", "renamed", "other")] == [
        *(True, True, True, False)
    ]


def test_parts_count_that_are_read_alone(tmp_path: Path) -> None:
    for name, shade in (("one", 1), ("two", 2)):
        zoo(tmp_path / name / "test", 7)
        zoo(tmp_path / name / "train", shade)
    parts = ("dataset.train=train", "dataset.test=test")
    assert chosen(tmp_path / "one", *parts) == chosen(tmp_path / "two", *parts)
    trained = (*parts, "model=mlp", "training.steps=2")
    assert chosen(tmp_path / "one", *trained) != chosen(tmp_path / "two", *trained)
