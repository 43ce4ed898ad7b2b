"""The root schema of the configuration: a misspelt key is an error. Light, for `--help` must not import torch."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Schema:
    """The keys of conf/config.yaml. The groups validate their own contents (harness/config.py)."""

    dataset: Any = MISSING
    model: Any = MISSING
    fl: Any = MISSING
    attack: Any = MISSING
    defense: Any = MISSING
    prior: Any = MISSING
    metric: Any = MISSING
    logger: Any = MISSING
    scale: Any = MISSING
    trials: Any = MISSING
    targets: Any = None
    seed: Any = MISSING
    device: Any = MISSING
    threads: Any = MISSING
    knowledge: Any = MISSING
    data: Any = MISSING
    paths: Any = MISSING
    label: Any = MISSING


def register() -> None:
    """Make the schema known to Hydra as the first entry of the defaults list."""
    ConfigStore.instance().store("schema", Schema)
