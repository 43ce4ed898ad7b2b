"""Twelve runs whose ids others rely on, and what it means of every setting that it is not named.

Whoever raises a `version`, or gives a component of these runs a setting that they use, changes ids knowingly:
`python -m tests.identity.golden` writes both files anew (of the second it only adds), and git shows what has changed.
"""

import dataclasses
import importlib
import json
import pkgutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import hydra
from omegaconf import OmegaConf

import harness
from harness.base.component import Component
from harness.base.schema import CONF, prepare_hydra
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.identity.identity import absence, canonical, stable_name
from harness.sweeps import spec as sweeps
from harness.tables import spec as tables

IDS, ABSENCES = (Path(__file__).with_name(name) for name in ("ids.json", "absences.json"))
CELLS = {
    "table3": ("digits32", "small", -1),
    "noteasy": ("digits32", "small", 3),
    "dlgfb": ("mnist", "medium", 1),
    "dlgfb_settings": ("mnist", "small", 0),
    "labels": ("digits32", "small", -1),
    "labels_peers": ("digits32", "paper", 4),
}
"""Of each table a data set, a scale and the place of a cell."""
SINGLE = {
    "default": (),
    "trained prior": (
        "attack=ggl_adam",
        "prior=wgan_gp_small",
        "dataset=lfw_faces",
        "defense=clipping_noise",
    ),
    "trained model": ("model=mlp", "training.steps=5", "dataset=photos32", "attack=ig", "seed=3"),
    "rounds": ("fl=fedavg", "fl.clients=4", "partition@fl.partition=dirichlet", "attack=dlf"),
    "own files": (
        "dataset=image_folder",
        "model=resnet18_imagenet",
        "model.weights=weights.bin",
        "targets=[9]",
    ),
}


def plant(folder: Path) -> None:
    """Two classes of images, and weights: their bytes are the same on every machine."""
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    for number in range(20):
        (folder / "images" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels = bytes((number * 11 + place) % 256 for place in range(8 * 8 * 3))
        (folder / "images" / "ab"[number % 2] / f"{number}.ppm").write_bytes(b"P6 8 8 255\n" + pixels)


def experiments(folder: Path) -> dict[str, Experiment]:
    """The runs by name, with files of their own in a folder."""
    plant(folder)
    cells = {name: (table(name).cells(*place[:2])[place[2]].overrides) for name, place in CELLS.items()}
    point = sweep("batch_epochs").points("small", ["dataset=digits32", "scale=small"], {}, [])[5]
    chosen = {**cells, "batch_epochs": point.overrides, **SINGLE}
    here = f"data.root={folder / 'images'}"
    return {
        name: compose(*(o.replace("weights.bin", str(folder / "weights.bin")) for o in overrides), here)
        for name, overrides in chosen.items()
    }


def table(name: str) -> tables.Table:
    """A table of experiments/."""
    return tables.parse(_sweeper("table", name))


def sweep(name: str) -> sweeps.Sweep:
    """A sweep of experiments/."""
    return sweeps.parse(_sweeper("sweep", name))


def _sweeper(group: str, name: str) -> dict[str, Any]:
    prepare_hydra()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose("config", [f"{group}={name}"], return_hydra_config=True)
    return cast(dict[str, Any], OmegaConf.to_container(composed.hydra.sweeper, resolve=True))


FOREIGN = ("harness.audit.flower",)
"""Modules without components that need a package of an extra."""


def classes() -> list[type[Component]]:
    """Every component of the harness."""
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if "plugins" not in module.name and "._" not in module.name and module.name not in FOREIGN:
            importlib.import_module(module.name)
    return sorted(_below(Component), key=stable_name)


def _below(cls: type[Component]) -> set[type[Component]]:
    below = {cls for cls in cls.__subclasses__() if cls.__module__.startswith("harness.")}
    return below.union(*(_below(each) for each in below))


def meanings() -> dict[str, dict[str, Any]]:
    """What every setting of every component means where it is not named; without those that must be."""
    found = {stable_name(cls): {f.name: absence(f) for f in dataclasses.fields(cls)} for cls in classes()}
    return {
        name: {key: canonical(value) for key, value in meant.items() if value is not dataclasses.MISSING}
        for name, meant in found.items()
    }


def main() -> None:
    """Write both files anew."""
    with TemporaryDirectory() as folder:
        ids = {name: experiment.id for name, experiment in experiments(Path(folder)).items()}
    IDS.write_text(json.dumps(ids, indent=1) + "\n")
    known = json.loads(ABSENCES.read_text()) if ABSENCES.exists() else {}
    found = {name: meant | known.get(name, {}) for name, meant in meanings().items()}
    ABSENCES.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
