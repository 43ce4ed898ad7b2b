"""From files to a report, as a user asks for it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor

from harness.audit.checks import check
from harness.audit.labels import infer
from harness.audit.report import quality
from harness.commands.audit import main
from tests.audit.clients import Dense, client, images, trained, written
from tests.audit.test_exact import opened

ROOT = Path(__file__).parents[2]


def truth(folder: Path, count: int) -> Path:
    x, y = images(count)
    for place, (image, label) in enumerate(zip(x, y.tolist(), strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / str(label) / f"{place}.png")
    return folder


def audited(folder: Path, *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--out", str(folder / "out")]) == 0
    found: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    return found


def attack(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in report["attacks"] if each["name"] == name)


def test_a_report_says_what_was_recovered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = client(tmp_path / "update.npz", 4)
    report = audited(tmp_path, str(path), "--truth", str(truth(tmp_path / "truth", 4)), "--budget", "4s")
    assert min(attack(report, "SPEAR")["psnr"]) > 80
    assert attack(report, "IG")["status"] == "not run"
    assert report["threat"] == "C"
    assert {each["verdict"] for each in report["checks"]} <= {"ok", "not applicable"}
    assert "did not move, so they count as frozen" in report["notes"][0]
    assert set(report["sha256"]) == {"update.npz"}
    under = {each["name"]: each for each in report["conditions"]}
    assert under["as it was"]["exact"] > 0 == under["noise as large as the update"]["exact"]
    assert report["verdict"] in capsys.readouterr().out
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<img") == 4
    assert "What would change it" in page


def test_a_search_says_how_its_loss_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two local steps, which no closed form inverts."""
    monkeypatch.setattr("harness.audit.attempts.ITERATIONS", 50)
    monkeypatch.setattr("harness.audit.attempts.SURROGATE_STEPS", 50)
    monkeypatch.setattr("harness.audit.audit.conditions", lambda case, seconds: [])
    path = client(tmp_path / "update.npz", 10)
    report = audited(tmp_path, str(path), "--budget", "10m", "--no-images")
    found = attack(report, "IG on updates")
    assert found["status"] == "done"
    assert set(found["losses"]) == {"found", "other images", "grey", "noise"}
    assert "psnr" not in found
    assert "<img" not in (tmp_path / "out" / "index.html").read_text()


def testquality_has_an_interval_from_five_images_on() -> None:
    assert quality([30.0, None, 20.0]) == {"psnr": [30.0, None, 20.0], "mean_psnr": 25.0}
    line = quality([20.0, 22.0, 24.0, 26.0, None, 28.0])
    low, high = line["interval"]
    assert 20 <= low < line["mean_psnr"] == 24 < high <= 28


def test_files_of_each_part_and_a_recipe(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arrays = trained(Dense(), 1)
    for part in ("before", "after"):
        values: list[Tensor] = [torch.from_numpy(v) for n, v in arrays.items() if n.startswith(part)]
        torch.save(values, tmp_path / f"{part}.pt")
    recipe = tmp_path / "client.yaml"
    recipe.write_text("model: tests.audit.clients:Dense\ninput: [3, 8, 8]\n")
    parts = [f"--{part}={tmp_path / part}.pt" for part in ("before", "after")]
    report = audited(tmp_path, *parts, "--recipe", str(recipe), "--budget", "2s")
    assert attack(report, "single input")["status"] == "done"
    assert report["label_verdict"] == "the label of a single image is read off exactly"
    assert report["recipe"]["lr"] == pytest.approx(0.1, rel=1e-3)


def test_labels_are_weighed_against_the_balanced_guess(tmp_path: Path) -> None:
    labels = infer(opened(client(tmp_path / "u.npz", 8)))
    assert labels.verdict.startswith("label counts leak")
    assert labels.agreement is not None
    assert labels.guess is not None
    assert labels.agreement > labels.guess


def test_a_guess_is_not_right_by_the_numbering_of_classes(tmp_path: Path) -> None:
    """Four images of the first four classes, as a balanced guess of four would have them."""
    torch.manual_seed(0)
    model, (x, _) = Dense(), images(4)
    before = {f"before/{name}": value.clone().numpy() for name, value in model.state_dict().items()}
    torch.nn.functional.cross_entropy(model((x - 0.5) / 0.5), torch.arange(4)).backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    after = {f"after/{name}": value.numpy() for name, value in model.state_dict().items()}
    labels = infer(opened(written(tmp_path / "u.npz", before | after, examples=4)))
    assert labels.verdict.startswith("label counts leak")
    assert labels.guess == pytest.approx(0.4)


def test_noise_quantisation_signs_and_sparsification_are_seen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arrays = trained(Dense(), 8)
    rng = numpy.random.default_rng(0)

    def changed(change: Any) -> dict[str, Any]:
        return {
            name: value
            if name.startswith("before")
            else (before := arrays[name.replace("after", "before")])
            + change(value - before).astype(numpy.float32)
            for name, value in arrays.items()
        }

    faults = {
        "noise": changed(lambda d: d + 0.02 * d.std() * rng.standard_normal(d.shape)),
        "int8": changed(lambda d: numpy.round(d / (abs(d).max() or 1) * 127) * abs(d).max() / 127),
        "sign": changed(lambda d: 0.001 * numpy.sign(d)),
        "sparse": changed(lambda d: numpy.where(abs(d) > numpy.quantile(abs(d), 0.9), d, 0)),
    }
    for name, fault in faults.items():
        path = written(tmp_path / f"{name}.npz", fault, examples=8)
        assert "alarm" in {each.verdict for each in check(opened(path))}, name
    healthy = check(opened(written(tmp_path / "healthy.npz", arrays, examples=8)))
    assert {each.verdict for each in healthy} <= {"ok", "not applicable"}


def test_swapped_files_and_too_few_examples_are_seen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arrays = trained(Dense(), 4)
    swapped = {
        name.replace("before", "x").replace("after", "before").replace("x", "after"): value
        for name, value in arrays.items()
    }
    for files, examples, name in ((swapped, 4, "classes that rose"), (arrays, 3, "distinct inputs")):
        found = check(opened(written(tmp_path / f"{examples}.npz", files, examples=examples)))
        assert any(each.name.startswith(name) and each.verdict == "alarm" for each in found), name


def test_a_tensor_that_was_not_sent_stays_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arrays = trained(Dense(), 4)
    del arrays["after/head.bias"]
    case = opened(written(tmp_path / "u.npz", arrays, examples=4))
    assert case.update.missing == ("head.bias",)
    rules = {each.rule: each for each in infer(case).found}
    assert "holds no network.head.bias" in rules["LLG*"].reason
    assert rules["Geng"].counts is not None


def test_labels_of_recovered_images_are_known_exactly(tmp_path: Path) -> None:
    labels = infer(opened(client(tmp_path / "u.npz", 4)), torch.tensor([1, 3, 3, 9]))
    assert labels.verdict == "the label of every image is read off exactly, with the image"
    assert labels.best is not None
    assert labels.best.counts is not None
    assert labels.best.counts.tolist() == [0, 1, 0, 2, 0, 0, 0, 0, 0, 1]


def test_the_page_of_the_manual_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own file, their update, and the recipe, as docs/audit.md has them, from an empty folder."""
    text = (ROOT / "docs" / "audit.md").read_text()
    blocks = dict(re.findall(r"```(python|yaml)\n# (?:\S+)\n(.*?)```", text, re.DOTALL))
    command = re.search(r"^harness audit (.*)$", text, re.MULTILINE)
    assert command is not None
    assert blocks["yaml"].split("\n", 1)[1] in (ROOT / "README.md").read_text()  # one recipe in both
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(blocks["python"])
    (tmp_path / "client.yaml").write_text(blocks["yaml"])
    namespace: dict[str, Any] = {"__name__": "mine"}
    exec(compile(blocks["python"], "mine.py", "exec"), namespace)
    x, y = images(4)
    namespace["record"](namespace["Net"](), x, y)
    truth(tmp_path / "images", 4)
    report = audited(tmp_path, *command[1].replace("2m", "4s").split())
    assert min(attack(report, "SPEAR")["psnr"]) > 80
