"""What the harness uses of Hydra's private parts. They alone are why pyproject.toml asks for hydra-core<1.4."""

from argparse import ArgumentParser
from collections.abc import Sequence

import hydra._internal.hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

Loader = ConfigLoaderImpl
"""What composes configurations."""


def command_line() -> tuple[ArgumentParser, list[str]]:
    """Hydra's own parser of its command line, and the options that it knows."""
    parser = get_args_parser()
    return parser, [option for action in parser._actions for option in action.option_strings]


def apply(settings: Sequence[Override], config: DictConfig) -> None:
    """Change a composed configuration in place, as Hydra does once the files are merged."""
    Loader._apply_overrides_to_config(list(settings), config)


def load_by(loader: type[Loader]) -> None:
    """Have Hydra compose every configuration by a loader of one's own."""
    hydra._internal.hydra.ConfigLoaderImpl = loader  # type: ignore[attr-defined]


def is_basic(launcher: Launcher) -> bool:
    """Whether a launcher carries out its jobs one after the other in this process."""
    return isinstance(launcher, BasicLauncher)


def what_broke(job: JobReturn) -> object:
    """The exception that ended a failed job; its `return_value` would raise it."""
    return job._return_value
