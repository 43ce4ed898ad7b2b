"""A wheel's ids are a clone's: nothing of where the package lies is in them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import harness
from harness.base.schema import CONF, EXPERIMENTS
from harness.config.composition import compose

CHOSEN: tuple[list[str], ...] = (
    [],
    ["attack=ggl_adam", "prior=wgan_gp_small", "defense=clipping_noise"],
    ["fl=fedavg", "fl.clients=4", "attack=dlf"],
    ["dataset=photos32", "model=mlp", "training.steps=5"],
)
SCRIPT = f"""
import json, harness
from harness.config.composition import compose
print(json.dumps([harness.__file__, [compose(*chosen).id for chosen in {CHOSEN!r}]]))
"""


def test_an_installed_wheel_and_a_clone_agree(tmp_path: Path) -> None:
    package = tmp_path / "site" / "harness"
    shutil.copytree(Path(harness.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CONF, package / "conf")
    shutil.copytree(EXPERIMENTS, package / "experiments", ignore=shutil.ignore_patterns("results"))
    there = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=there, capture_output=True, text=True, check=True
    )
    place, ids = json.loads(run.stdout)
    assert place == str(package / "__init__.py")
    assert ids == [compose(*chosen).id for chosen in CHOSEN]
