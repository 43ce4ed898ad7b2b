"""What stopping early saves and loses: rows are read as written, and counted image by image."""

from pathlib import Path

from harness.bench.patience import Ended, document, load, save


def ended(patience: int | None, image: int, evaluations: int, recovered: bool) -> Ended:
    return Ended("idlg_mnist", "mnist", 60, patience, image, evaluations, recovered, 0.5)


FOUND = [
    *(ended(None, k, 100, recovered) for k, recovered in enumerate((True, True, True, False))),
    *(ended(2, k, 60, recovered) for k, recovered in enumerate((True, False, False, True))),
]


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    save(FOUND, tmp_path)
    assert load(tmp_path) == FOUND
    assert load(tmp_path / "nowhere") == []


def test_what_is_lost_and_saved_is_counted() -> None:
    whole, impatient = (line.split(" | ") for line in document(FOUND).splitlines()[-2:])
    assert whole[3:5] == ["none", "4"]
    assert whole[6:8] == ["0", "0"]
    assert impatient[5].startswith("2 (")
    assert impatient[6:10] == ["2", "1", "60", "60%"]
