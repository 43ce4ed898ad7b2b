"""What a configuration may say of Hydra itself: nothing that runs code or writes elsewhere. Light, as schema."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.base import internals
from harness.base.errors import UserError, first_line, shortened

SWEEPERS = (
    "hydra_plugins.harness_grid.GridSweeper",
    "hydra_plugins.harness_table.TableSweeper",
    "hydra_plugins.harness_tune.TuningSweeper",
)
LAUNCHERS = re.compile(
    r"hydra\._internal\.core_plugins\.basic_launcher\.BasicLauncher|hydra_plugins\.[\w.]+Launcher"
)
SILENT = {"version": 1, "root": {"level": "ERROR"}, "disable_existing_loggers": True}
"""Hydra's logging `disabled`: any other names classes to make and files to write."""
STEERING = frozenset({"_target_", "_args_", "_partial_", "_recursive_", "_convert_"})
"""What tells Hydra to make an object, and how."""
CHOICE = re.compile(r"[\w@+ -][\w.@+ -]*(/[\w@+ -][\w.@+ -]*)*")


class SealedLoader(internals.Loader):
    """Hydra's loader, whose configurations are looked at before anything is done with them."""

    def load_configuration(self, *arguments: Any, **settings: Any) -> DictConfig:
        try:
            config = super().load_configuration(*arguments, **settings)
        except (HydraException, OmegaConfBaseException):
            raise  # which are told as they are
        except KeyError as error:  # a variable to copy that is not there
            raise UserError(_refusal("job.env_copy")) from error
        except UnicodeDecodeError as error:
            raise UserError(f"a configuration can't be read: it is not UTF-8 ({error.reason})") from error
        except RecursionError as error:
            what = "something in it refers to itself, or is nested too deeply"
            raise UserError(f"a configuration can't be read: {what}") from error
        except (
            ValueError,
            TypeError,
            AttributeError,
        ) as error:  # of defaults and overrides that are no such thing
            raise UserError(f"a configuration can't be read: {first_line(error)}") from error
        seal(config)
        return config


def install() -> None:
    """Have every configuration sealed: Hydra makes loggers and sweepers of it before the first of its hooks."""
    internals.load_by(SealedLoader)


def check_searchpath(overrides: list[str]) -> None:
    """Raises UserError for a place of configurations that is no folder: Hydra would import a package."""
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+~") == "hydra.searchpath" and re.search(r"(?!file:)\b\w+://|\$\{", value):
            raise UserError(f"{shortened(override)}: configurations are read from folders alone")


def seal(config: DictConfig) -> None:
    """Raises UserError, naming the key, where a configuration steers Hydra itself."""
    node = OmegaConf.to_container(config.hydra, resolve=False)
    assert isinstance(node, dict)
    for key, wanted in _fixed().items():
        found: object = node
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if (found or None) != (wanted or None):
            raise UserError(_refusal(key))
    _seal_objects("launcher", node.get("launcher"), LAUNCHERS)
    _seal_objects("sweeper", node.get("sweeper"), re.compile("|".join(map(re.escape, SWEEPERS))))
    choices: Mapping[str, object] = node["runtime"]["choices"]
    for group, choice in choices.items():
        if choice is not None and not CHOICE.fullmatch(str(choice)):
            raise UserError(
                f"{group}={shortened(choice)}: a choice is the name of a file in the folder {group}"
            )


def _fixed() -> dict[str, object]:
    """Settings of Hydra's own, and the only value that they may have."""
    empty = dict.fromkeys(("callbacks", "job.env_set", "job.env_copy", "output_subdir"))
    return {**empty, "hydra_logging": SILENT, "job_logging": SILENT}


def _seal_objects(name: str, node: object, allowed: re.Pattern[str]) -> None:
    """Of what Hydra makes an object, the class must be known, and nothing inside may be made another object.

    A sweeper's rows and plots name components, which the harness itself makes, each checked by its class.
    """
    if not isinstance(node, Mapping):
        return
    if not allowed.fullmatch(str(node.get("_target_"))):
        raise UserError(_refusal(f"{name}._target_"))
    steering = {key for key in STEERING - {"_target_"} if key in node}
    if steering - {"_recursive_"} or node.get("_recursive_", False) is not False:
        raise UserError(_refusal(f"{name}.{min(steering)}"))
    if name == "launcher":
        for key in _keys(list(node.values())):
            if key in STEERING:
                raise UserError(_refusal(f"{name}: {key}"))


def _keys(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for child in children:
        yield from _keys(child)


def _refusal(key: str) -> str:
    allowed = "the launcher's fields, hydra.run.dir, hydra.sweep.dir and hydra.job.chdir"
    return f"hydra.{key} is not for configurations: of Hydra itself they may set {allowed}"
