"""What Hydra must know before it starts. Light, for `--help` must not import torch."""

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

PACKAGE = Path(__file__).parents[1]
PLUGINS = str(PACKAGE / "plugins")
ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
"""What holds conf/ and experiments/: the package as a wheel installs it, or a clone."""
CONF, EXPERIMENTS = ROOT / "conf", ROOT / "experiments"
PLANS = ("sweep", "table", "tune")
"""What a command line may name beside settings: folders of experiments/."""


@dataclass
class Schema:
    """The keys of conf/config.yaml. The groups validate their own contents (harness/config.py)."""

    dataset: Any = MISSING
    model: Any = MISSING
    fl: Any = MISSING
    attack: Any = MISSING
    defense: Any = MISSING
    prior: Any = MISSING
    training: Any = MISSING
    adapter: Any = MISSING
    server: Any = MISSING
    checks: Any = MISSING
    start: Any = MISSING
    metric: Any = MISSING
    logger: Any = MISSING
    scale: Any = MISSING
    trials: Any = MISSING
    targets: Any = None
    order: Any = MISSING
    of_class: Any = None
    alike: Any = None
    control: Any = "none"
    report: Any = MISSING
    budget: Any = "own"
    seed: Any = MISSING
    device: Any = MISSING
    threads: Any = MISSING
    ranks: Any = MISSING
    nodes: Any = MISSING
    knowledge: Any = MISSING
    data: Any = MISSING
    paths: Any = MISSING
    label: Any = MISSING
    lease: Any = MISSING


def prepare_hydra() -> None:
    """Make the schema and the plugins known to Hydra, and have what it composes sealed, before it starts."""
    from harness.base.sealing import install

    install()
    if PLUGINS not in sys.path:
        # Hydra looks for sweepers in the namespace package hydra_plugins on sys.path, and nowhere else.
        sys.path.append(PLUGINS)
        # Jobs of a cluster launcher start an interpreter of their own.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), PLUGINS]))
    # Hydra then hands exceptions on, instead of printing its own many lines and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # conf/hydra/launcher/ holds our defaults for launchers whose plugin has a schema of the same name.
    warnings.filterwarnings(
        "ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema"
    )
    ConfigStore.instance().store("schema", Schema)
