"""What the harness uses of Hydra's private parts. They alone are why pyproject.toml asks for hydra-core<1.4."""

from argparse import ArgumentParser
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import hydra._internal.hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.core_plugins import file_config_source
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import get_args_parser
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness.base.errors import UserError, first_line
from harness.base.growth import check_growth


class Loader(ConfigLoaderImpl):
    """What composes configurations. Hydra's own copies all it knows of them anew for each group that help lists,
    hundreds of times: here one copy is asked."""

    @cached_property
    def _known(self) -> CachingConfigRepository:
        _, repository = self._parse_overrides_and_create_caching_repo(None, [])
        return repository

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        if config_name or overrides:
            return super().get_group_options(group_name, results_filter, config_name, overrides)
        return list(self._known.get_group_options(group_name, results_filter))


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's reader of configuration files, which looks before it reads. Its name is what Hydra knows it by."""

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(self.path, self._normalize_file_name(config_path))
        check_growth(path)
        try:
            return super().load_config(config_path)
        except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError, RecursionError):
            raise  # which are told as they are
        except Exception as error:  # whatever is made of a file that is no configuration
            raise UserError(f"{path} can't be read: {first_line(error)}") from error


def command_line() -> tuple[ArgumentParser, list[str]]:
    """Hydra's own parser of its command line, and the options that it knows."""
    parser = get_args_parser()
    return parser, [option for action in parser._actions for option in action.option_strings]


def apply(settings: Sequence[Override], config: DictConfig) -> None:
    """Change a composed configuration in place, as Hydra does once the files are merged."""
    Loader._apply_overrides_to_config(list(settings), config)


def load_by(loader: type[Loader]) -> None:
    """Have Hydra compose every configuration by a loader of one's own, from files that were looked at."""
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource
    hydra._internal.hydra.ConfigLoaderImpl = loader  # type: ignore[attr-defined]


def is_basic(launcher: Launcher) -> bool:
    """Whether a launcher carries out its jobs one after the other in this process."""
    return isinstance(launcher, BasicLauncher)


def what_broke(job: JobReturn) -> object:
    """The exception that ended a failed job; its `return_value` would raise it."""
    return job._return_value
