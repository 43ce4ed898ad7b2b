"""Forty mistakes and more: each is answered in one or two lines, with status 2, before anything is computed."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.command import QUICK, Main, write_table
from tests.command import main as main

ROOT = Path(__file__).parents[2]

Mistake = tuple[list[str], list[str]]
"""Arguments, and what the answer must name."""
MISTAKES: dict[str, Mistake] = {
    "unknown attack": (["attack=idgl"], ["attack=idgl", "did you mean 'idlg'"]),
    "no attack": (["attack=null"], ["attack=null", "ggl", "idlg"]),
    "no label rule": (["labels@attack.labels=null"], ["labels@attack.labels=null", "idlg"]),
    "no table": (["table=null"], ["table=null", "table3"]),
    "several values without -m": (["attack=ig,dlg"], ["attack=ig,dlg", "say -m"]),
    "an axis of a sweep that is shown": (
        ["sweep=batch_epochs", "fl.local_epochs=1", "--cfg", "job"],
        ["fl.local_epochs=1", "leave it out"],
    ),
    "a setting of a table": (["table.name=x"], ["table=NAME"]),
    "an option between settings": (["-m", "seed=0,1"], ["seed=0,1", "-m", "before the settings"]),
    "unknown dataset": (["dataset=minst"], ["dataset=minst", "did you mean 'mnist'"]),
    "unknown model": (["model=lennet"], ["model=lennet", "did you mean 'lenet'"]),
    "unknown defence": (["defense=noises"], ["defense=noises", "did you mean 'noise'"]),
    "unknown protocol": (["fl=fedag"], ["fl=fedag", "did you mean 'fedavg'"]),
    "unknown prior": (["prior=wgangp"], ["prior=wgangp", "did you mean 'wgan_gp'"]),
    "unknown logger": (["logger=tensorbord"], ["logger=tensorbord", "did you mean 'tensorboard'"]),
    "unknown scale": (["scale=smal"], ["scale=smal", "did you mean 'small'"]),
    "unknown start": (["start=feedbak"], ["start=feedbak", "did you mean 'feedback'"]),
    "unknown label rule": (["labels@attack.labels=idlgg"], ["idlgg", "did you mean 'idlg'"]),
    "unknown table": (["table=table4"], ["table=table4", "did you mean 'table3'"]),
    "unknown launcher": (["hydra/launcher=joblibb"], ["joblibb", "joblib"]),
    "misspelt key": (["seeed=4"], ["seeed", "did you mean 'seed'"]),
    "misspelt group": (["datset=mnist"], ["datset", "did you mean 'dataset'"]),
    "misspelt table": (["tabel=table3"], ["tabel", "did you mean 'table'"]),
    "misspelt sweep": (["swep=batch_epochs"], ["swep", "did you mean 'sweep'"]),
    "misspelt setting": (["attack.setps=3"], ["attack.setps", "did you mean 'steps'"]),
    "added setting": (["+attack.lrr=3"], ["attack.lrr", "no such setting"]),
    "nested setting": (["+attack.optimizer.lrr=3"], ["attack.optimizer.lrr", "did you mean 'lr'"]),
    "wrong type": (["attack=ig", "attack.optimizer.lr=abc"], ["attack.optimizer.lr", "'abc'"]),
    "no whole number": (["trials=2.5"], ["trials", "2.5"]),
    "a list for a number": (["seed=[1,2]"], ["seed", "[1, 2]"]),
    "out of range": (["defense=noise", "defense.sigma=-1"], ["defense.sigma", "greater than or equal to 0"]),
    "a fraction above one": (["dataset.public_fraction=1.5"], ["dataset.public_fraction", "1.5"]),
    "no steps": (["attack.steps=-3"], ["attack.steps", "greater than 0"]),
    "a setting without a value": (["attack.steps=???"], ["attack.steps", "must be given"]),
    "in a list": (
        ["defense=clipping_noise", "defense.defenses.0.bound=-1"],
        ["defense.defenses.0.bound", "greater than 0"],
    ),
    "no batch": (["fl.batch_size=0"], ["fl.batch_size", "greater than 0"]),
    "no learning rate": (["fl=fedavg", "fl.lr=0"], ["fl.lr", "greater than 0"]),
    "not a choice": (["attack=ig", "attack.distance=cosin"], ["attack.distance", "'cosine'"]),
    "not an order": (["order=randm"], ["order", "'random'"]),
    "no device": (["device=tpu"], ["device", "'cuda'"]),
    "negative seed": (["seed=-1"], ["seed", "greater than or equal to 0"]),
    "no trials": (["trials=0"], ["trials", "greater than 0"]),
    "no data root": (["dataset=mnist"], ["MNIST", "data.root", "digits32"]),
    "wrong data root": (["dataset=mnist", "data.root=nowhere"], ["nowhere", "digits32"]),
    "no weights": (["model=resnet18_imagenet", "model.weights=none.pth"], ["none.pth"]),
    "a data set that lacks a class": (
        [
            "dataset=image_folder",
            "data.root=data",
            "dataset.folder=faces",
            "dataset.class_names=[female,male]",
        ],
        ["data/faces", "male", "class_names"],
    ),
    "a table of labels that is none": (
        ["dataset=tile_sheets", "data.root=data", "dataset.folder=sheets"],
        ["labels.csv", "gender"],
    ),
    "a broken picture": (
        [
            "dataset=image_folder",
            "data.root=data",
            "dataset.folder=torn",
            "dataset.class_names=2",
            "dataset.size=8",
            "dataset.mean=[0.5,0.5,0.5]",
            "dataset.std=[0.5,0.5,0.5]",
            "trials=2",
        ],
        ["torn/", ".png", "damaged"],
    ),
    "a wrong header": (["dataset=mnist", "data.root=data"], ["idx", "sha256"]),
    "no prior": (["attack=ggl"], ["attack=ggl", "prior="]),
    "no checkpoint": (["attack=ggl", "prior=biggan"], ["prior.checkpoint"]),
    "a foreign class": (["attack._target_=os.remove"], ["os.remove", "not a component"]),
    "a foreign function": (["attack._target_=harness.base.files.write_atomically"], ["not a component"]),
    "a misspelt class": (["attack._target_=harness.attacks.dlg.DGL"], ["did you mean 'DLG'"]),
    "too many targets": (["trials=100000"], ["trials=100000", "attack split"]),
    "a target that is not attacked": (["targets=[10]"], ["row 10", "attack split"]),
    "no target": (["targets=[]"], ["targets", "0 rows"]),
    "named and ordered": (["targets=[9]", "order=sequential"], ["order=sequential"]),
    "one label for many images": (["attack=idlg", "fl.batch_size=3"], ["labels=idlg", "not 3"]),
    "more images than classes": (
        ["labels@attack.labels=yin", "fl.batch_size=11"],
        ["labels=yin", "11 images of 10 classes"],
    ),
    "a start that is not used": (["attack=ggl", "prior=untrained", "start=uniform"], ["start"]),
    "unreadable": (["attack=[dlg"], ["command line", "[dlg"]),
    "no value": (["attack"], ["attack"]),
    "a YAML that can't be read": (["attack=torn"], ["torn.yaml"]),
    "a YAML that is a list": (["attack=listed"], ["attack", "_target_"]),
    "a YAML without a class": (["attack=empty"], ["attack", "nothing is chosen"]),
    "a setting that refers to nothing": (["seed=${sed}"], ["sed"]),
    "a mistake in a table's last row": (
        ["table=typo"],
        ["Second x None", "attack=dlgg", "did you mean 'dlg'"],
    ),
    "a table of too many targets": (["table=greedy"], ["Second x None", "trials=5000"]),
    "a table without its prior": (["table=priorless"], ["Second x None", "prior.checkpoint"]),
    "a table with a misspelt key": (["table=misspelt"], ["rowz", "did you mean 'rows'"]),
    "a table that sets what it varies": (["table=good", "defense=noise"], ["columns of good", "defense"]),
    "a metric that nobody measures": (["table=unmeasured"], ["psnr", "did you mean 'psnr_"]),
    "plots that are no list": (["table=plotless"], ["plots", "a list is wanted, not 0"]),
    "a sign in a value": (["data.root=/tmp/a=b"], ["quotes", '"a=b"']),
    "a range without end": (["seed=range(0,1000000000)", "-m"], ["seed=range", "100,000 runs at most"]),
    "a grid without end": (
        ["seed=range(0,90000)", "trials=range(1,90000)", "-m"],
        ["8,099,910,000 runs", "100,000 at most"],
    ),
    "a shuffled range without end": (["seed=shuffle(range(0,1e300))", "-m"], ["100,000 runs at most"]),
    "an open brace": (["seed=${"], ["seed=${"]),
    "not UTF-8": (["attack=latin"], ["UTF-8"]),
    "a file that names itself": (["attack=circle"], ["refers to itself"]),
    "true for a number": (["attack.steps=true"], ["attack.steps", "a number is wanted"]),
    "no number at all": (["attack=ig", "attack.optimizer.lr=nan"], ["attack.optimizer.lr", "finite"]),
    "a number for a text": (["dataset=utkface", "dataset.folder=12"], ["dataset.folder", "in quotes"]),
    "a value without end": (["attack.steps=[" + "1," * 300 + "1]"], ["attack.steps", "..."]),
    "a folder without classes": (
        ["dataset=image_folder", "data.root=data/faces/female"],
        ["10 images but no class folders"],
    ),
    "an unknown option": (["--config-dri=x"], ["--config-dri"]),
}


@pytest.fixture
def mistaken(tmp_path: Path, main: Main) -> Main:
    """The command line among files that have something wrong with them."""
    attacks = tmp_path / "own" / "attack"
    attacks.mkdir(parents=True)
    (attacks / "torn.yaml").write_text("_target_: [harness\nsteps: {")
    (attacks / "listed.yaml").write_text("- harness.attacks.dlg.DLG\n")
    (attacks / "empty.yaml").write_text("steps: 3\n")
    write_table(tmp_path, "good")
    write_table(tmp_path, "typo", rows={"First": [], "Second": ["attack=dlgg"]})
    write_table(tmp_path, "greedy", rows={"First": [], "Second": ["trials=5000"]})
    write_table(tmp_path, "priorless", rows={"First": [], "Second": ["attack=ggl", "prior=biggan"]})
    (attacks / "latin.yaml").write_bytes(b"title: \xe9\n")
    (attacks / "circle.yaml").write_text("defaults: [circle]\n")
    write_table(tmp_path, "unmeasured", metrics={"psnr": {"title": "PSNR", "higher_is_better": True}})
    write_table(tmp_path, "plotless", plots=0)
    write_table(tmp_path, "misspelt", rowz={})
    for folder in ("faces/female", "torn/a", "torn/b"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (64, 64), (9 * number, 0, 0)).save(tmp_path / "data" / folder / f"{number}.png")
    for path in (tmp_path / "data" / "torn").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    (tmp_path / "data" / "sheets").mkdir()
    (tmp_path / "data" / "sheets" / "labels.csv").write_text("sheet,tile\na.webp,0\n")
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x09\x03" + bytes(16))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x09\x01" + bytes(16))
    return main


def check(status: int, out: str, err: str, expected: list[str]) -> None:
    assert status == 2, err
    assert out == ""
    assert 1 <= len(err.strip().splitlines()) <= 2, err
    assert "Traceback" not in err
    for part in expected:
        assert part in err


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_in_one_or_two_lines(
    name: str, mistaken: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, expected = MISTAKES[name]
    defaults = [each for each in QUICK if each.split("=")[0] not in "".join(arguments)]
    status = mistaken(*defaults, *arguments)
    check(status, *capfd.readouterr(), expected)
    computed = [path for path in tmp_path.glob("runs/*/rows.jsonl") if path.stat().st_size]
    assert not computed


def test_there_are_forty_and_more() -> None:
    assert len(MISTAKES) >= 40


def test_a_gpu_that_is_not_there(mistaken: Main, capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    check(mistaken(*QUICK, "device=cuda"), *capfd.readouterr(), ["device=cuda", "device=cpu"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["JOBS=0"], ["JOBS=0", "1 or more"]),
        (["JOBS=abc"], ["JOBS=abc", "1 or more"]),
        (["SCALE=smal", "JOBS=1"], ["scale=smal", "did you mean 'small'"]),
        (["DATASET=digit32"], ["dataset=digit32", "did you mean 'digits32'"]),
    ],
)
def test_a_mistake_for_make(arguments: list[str], expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "venv" / "bin" / "python").chmod(0o755)
    (tmp_path / "venv" / ".ready").touch()
    command = [
        "make",
        "--no-print-directory",
        "-C",
        str(ROOT),
        "table3",
        f"VENV={tmp_path / 'venv'}",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    check(done.returncode, done.stdout, done.stderr, expected)
