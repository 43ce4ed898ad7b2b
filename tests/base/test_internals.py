"""What the harness takes of Hydra's private parts: where a new Hydra lacks one, this says which, and what for."""

import importlib
import re
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import pytest
from hydra.core.object_type import ObjectType

PACKAGE = Path(__file__).parents[2] / "harness"
PARTS = {
    "utils.get_args_parser": ("()", "check_arguments of commands/main.py knows Hydra's options from it"),
    "config_loader_impl.ConfigLoaderImpl._apply_overrides_to_config": (
        "(overrides: List[hydra.core.override_parser.types.Override], cfg: omegaconf.dictconfig.DictConfig) -> None",
        "cells/composer.py applies settings with it",
    ),
    "config_loader_impl.ConfigLoaderImpl._parse_overrides_and_create_caching_repo": (
        "(self, config_name: Optional[str], overrides: List[str]) -> "
        "Tuple[List[hydra.core.override_parser.types.Override], "
        "hydra._internal.config_repository.CachingConfigRepository]",
        "help lists groups from one of its repositories",
    ),
    "hydra.ConfigLoaderImpl": (None, "sealing.py puts its own loader in its place"),
    "core_plugins.basic_launcher.BasicLauncher": (None, "cells/launch.py gives it one worker"),
}


@pytest.mark.parametrize("part", PARTS)
def test_hydra_still_has(part: str) -> None:
    expected, use = PARTS[part]
    module = re.sub(r"(\.[A-Z]\w+)?\.\w+$", "", part) if part[0].islower() else part
    found: object = importlib.import_module(f"hydra._internal.{module}")
    for name in part.removeprefix(f"{module}.").split("."):
        assert hasattr(found, name), f"Hydra {version('hydra-core')} has no {part}: {use}"
        found = getattr(found, name)
    if expected is not None:
        assert re.sub(r" -> argparse.*", "", str(signature(found))) == expected, f"{part} has changed: {use}"  # type: ignore[arg-type]


def test_a_failed_job_keeps_its_exception() -> None:
    from hydra.core.utils import JobReturn, JobStatus

    from harness.base.internals import what_broke

    job, error = JobReturn(status=JobStatus.FAILED), ValueError("no")
    job.return_value = error
    assert what_broke(job) is error, "cells/launch.py says what broke a worker"


def test_nothing_else_imports_private_parts() -> None:
    importing = {path.name for path in PACKAGE.rglob("*.py") if "hydra._internal" in path.read_text()}
    assert importing == {"internals.py"}


def test_groups_are_listed_as_hydra_lists_them() -> None:
    """From one copy of what is known of them; the original makes one for every question."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    from harness.base.internals import Loader
    from harness.base.schema import CONF, prepare_hydra

    prepare_hydra()  # whoever asks Hydra first has it look for plugins, once and for all
    ours, theirs = (kind(create_config_search_path(str(CONF))) for kind in (Loader, ConfigLoaderImpl))
    copies: list[int] = []
    once = ours._parse_overrides_and_create_caching_repo
    ours._parse_overrides_and_create_caching_repo = lambda *given: copies.append(1) or once(*given)  # type: ignore[method-assign]
    for group in ("", "attack", "dataset", "hydra/launcher", "nothing"):
        for kind in (ObjectType.CONFIG, ObjectType.GROUP, None):
            assert ours.get_group_options(group, kind) == theirs.get_group_options(group, kind)
    assert copies == [1]
