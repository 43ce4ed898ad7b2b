import pytest

from harness.commands import data
from harness.datasets.cifar import CIFAR10


def test_downloading_asks_the_data_set_itself(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(CIFAR10, "download", lambda self, root: asked.append(root))
    assert data.main(["cifar10", "--root", str(tmp_path)]) == 0
    assert asked == [str(tmp_path)]
    assert str(tmp_path) in capsys.readouterr().out


def test_embedded_data_need_no_download(capsys):
    assert data.main(["digits32"]) == 0
    assert "nothing to download" in capsys.readouterr().out


def test_files_that_no_script_may_fetch_are_named(tmp_path, capsys):
    assert data.main(["imagenet", "--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "by hand" in error
    assert "imagenet/val" in error


@pytest.mark.parametrize(
    "problem", [OSError("no route to host"), RuntimeError("tried one mirror,\ntried another")]
)
def test_a_failed_download_is_one_line(tmp_path, monkeypatch, capsys, problem):
    def fail(self, root):
        raise problem

    monkeypatch.setattr(CIFAR10, "download", fail)
    assert data.main(["cifar10", "--root", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err.strip()
        == f"harness: cifar10 could not be downloaded to {tmp_path}: {' '.join(str(problem).split())}"
    )


def test_a_typo_is_answered_with_the_nearest_name(capsys):
    assert data.main(["cifar01"]) == 2
    assert "did you mean 'cifar10'?" in capsys.readouterr().err


def test_the_default_folder_is_that_of_the_environment(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(CIFAR10, "download", lambda self, root: asked.append(root))
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert data.main(["cifar10"]) == 0
    assert asked == [str(tmp_path)]
