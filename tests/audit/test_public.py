"""Public images of the user's: a prior for GGL is learnt from them, within the budget, or a line says why not."""

from pathlib import Path

import pytest
import torch
from PIL import Image

import harness.audit.prior
from harness.audit.prior import learnt
from harness.base.errors import UserError
from harness.commands.audit import main
from tests.audit.clients import SHAPE, client
from tests.audit.test_report import attack, audited


def public(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = torch.Generator().manual_seed(0)
    for place in range(count):
        pixels = torch.randint(256, (8, 8, 3), generator=rng, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{place}.png")
    return folder


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prior and a search of a few steps, and nothing beside."""
    monkeypatch.setattr("harness.audit.attempts._searches", lambda case, counts: {})
    monkeypatch.setattr("harness.audit.attempts.LATENT_STEPS", 60)
    monkeypatch.setattr("harness.audit.audit.conditions", lambda case, seconds: [])
    monkeypatch.setattr(harness.audit.prior, "LEAST", 1)
    monkeypatch.setattr(harness.audit.prior, "FEWEST", 12)
    monkeypatch.setattr(harness.audit.prior, "MOST", 2)


def test_ggl_searches_a_prior_of_public_images(brief: None, tmp_path: Path) -> None:
    """Two local steps, which no closed form inverts."""
    folder = public(tmp_path / "public", 12)
    path = client(tmp_path / "u.npz", 10)
    report = audited(tmp_path, str(path), "--public", str(folder), "--budget", "1h", "--no-images")
    found = attack(report, "GGL")
    assert found["status"] == "done"
    assert found["reason"].startswith("a prior learnt from 12 public images in 2 steps")
    assert set(found["losses"]) == {"found", "other images", "grey", "noise"}
    assert report["threat"] == "D"
    assert report["public"] == 12
    assert "on 12 public images" in (tmp_path / "out" / "index.html").read_text()


def test_the_reason_is_a_line_where_it_does_not_apply(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.audit.audit.conditions", lambda case, seconds: [])
    folder = str(public(tmp_path / "public", 3))
    two = str(client(tmp_path / "u.npz", 10))
    report = audited(tmp_path, two, "--public", folder, "--budget", "4s", "--no-images")
    found = attack(report, "GGL")
    assert (found["status"], found["reason"]) == (
        "not applicable",
        "a prior wants 100 public images at least, and 3 are there",
    )
    exact = str(client(tmp_path / "one.npz", 4))
    report = audited(tmp_path, exact, "--public", folder, "--budget", "4s", "--no-images")
    assert attack(report, "GGL")["status"] == "not run"
    unknown = str(client(tmp_path / "unknown.npz", 12, lr=None))
    report = audited(tmp_path, unknown, "--public", folder, "--budget", "4s", "--no-images")
    assert attack(report, "GGL")["reason"].startswith("the recipe does not say lr")
    assert main([two, "--public", str(tmp_path / "none")]) == 2
    assert "--public" in capsys.readouterr().err


def test_a_budget_that_is_too_short_for_a_prior_is_said() -> None:
    images = torch.randint(256, (100, *SHAPE), dtype=torch.uint8)
    with pytest.raises(UserError, match="100 steps of a prior would take"):
        learnt(images, 0.01)
