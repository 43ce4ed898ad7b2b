"""The Hydra command line: one run, a multirun or a table; errors in one line; exit status 0, 1 or 2."""

import contextlib
import json
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from harness.base import interruption, secrecy
from harness.base.command import FAILURE, USER_ERROR, answered
from harness.base.complaints import explain_composition
from harness.base.early import check_early
from harness.base.errors import CellsFailed, UserError, nearest, shortened
from harness.base.files import shown
from harness.base.internals import command_line
from harness.base.schema import CONF, PLANS, prepare_hydra
from harness.base.sealing import check_searchpath
from harness.base.several import spelt_out
from harness.commands.axes import spread_axes
from harness.commands.choices import files

FOREIGN = ("config_path", "config_name", "experimental_rerun")
"""Options of Hydra's that put another configuration, or pickled code, in the place of the harness's own."""

MODES = ("run", "multirun", "cfg", "info", "shell_completion")
"""Options of Hydra's of which it takes one."""
COMPLETION = re.compile(r"(install|uninstall|query)=(bash|fish|zsh)")
"""What Hydra's completion is asked for."""


def task(cfg: DictConfig) -> str:
    """Carry out one run and print its directory. Returns the run's id."""
    hydra_config = HydraConfig.get()
    found: list[str] = []

    def command() -> None:
        _check_values(cfg)
        from harness.config.composition import parse
        from harness.machine.device import take_turn
        from harness.runs.run import run

        if hydra_config.mode is RunMode.MULTIRUN:
            take_turn(hydra_config.job.num)
        with contextlib.chdir(hydra_config.runtime.cwd):  # what paths were meant from, wherever the job is
            experiment = parse(cfg, hydra_config.runtime.choices)
        record = run(experiment)
        print(f"{shown(experiment.paths.runs / record.id)}/", flush=True)
        found.append(record.id)

    # Hydra has its own words for an Exception that leaves a job, but none for an exit.
    if status := answered(command, _explained):
        sys.exit(status)
    return "".join(found)


def _check_values(cfg: DictConfig) -> None:
    """Check what can be checked without torch, whose import takes longer. Raises UserError."""
    if "torch" in sys.modules:  # by the job before, of a multirun
        return
    with contextlib.suppress(OmegaConfBaseException):  # which the whole check explains
        values = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
        secrecy.refuse(values)
        check_early(values, "harness.config.experiment.Experiment")


def main() -> None:
    """Entry point of `python -m harness`."""
    prepare_hydra()
    run = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)
    sys.argv[1:] = spelt_out(sys.argv[1:])
    sys.exit(
        guarded(hand_rows)
        or guarded(check_arguments)
        or guarded(spread_axes)
        or guarded(run, interruption.Completed)
    )


def check_arguments() -> None:
    """Raises UserError for what Hydra would answer with its whole usage, or with a traceback."""
    parser, options = command_line()
    parser.error = _refuse  # type: ignore[method-assign]
    given, unknown = parser.parse_known_args()
    if unknown and not unknown[0].startswith("-"):
        raise UserError(f"{unknown[0]}: options such as -m stand before the settings, or after all of them")
    if unknown:
        raise UserError(f"{unknown[0]}: there is no such option{nearest(unknown[0], options)}")
    for name in FOREIGN:
        if getattr(given, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option}: configurations of your own are files of groups, below --config-dir=FOLDER"
            )
    plans = [name for name in PLANS if any(each.startswith(f"{name}=") for each in given.overrides)]
    if len(plans) > 1:
        raise UserError(f"{'= and '.join(plans)}= exclude each other: a command makes one of them")
    modes = [name for name in MODES if getattr(given, name)]
    if len(modes) > 1:
        raise UserError(f"{' and '.join(f'--{name}'.replace('_', '-') for name in modes)} exclude each other")
    if given.resolve and not (given.cfg or given.help):
        raise UserError("--resolve goes with --cfg or --help")
    if given.shell_completion and not any(map(COMPLETION.fullmatch, given.overrides)):
        raise UserError("--shell-completion wants install=SHELL or uninstall=SHELL, of bash, fish and zsh")
    check_searchpath(given.overrides)
    for override in given.overrides:
        group, _, value = override.partition("=")
        if "null" in value.split(",") and (names := files(group.partition("@")[0])):
            raise UserError(f"{override}: there is {', '.join(names)}")


def _refuse(message: str) -> NoReturn:
    """In place of the usage that argparse prints. Raises UserError."""
    raise UserError(f"{message}; --help tells more")


def hand_rows() -> None:
    """Hand to a table's sweeper, as Hydra would ask for quotes, rows and columns that the command line adds,
    `rows.Mine=[attack=mine]`, and which alone are to be made, `rows=[IG,GGL]`. Raises UserError where no table is made,
    and for what is no list."""
    for place, argument in enumerate(sys.argv):
        if not (given := re.fullmatch(r"(rows|columns)(?:\.([^=]*))?=(.*)", argument, re.DOTALL)):
            continue
        axis, name, listed = given[1], given[2], re.fullmatch(r"\[(.*)\]", given[3].strip(), re.DOTALL)
        if not any(each.startswith("table=") for each in sys.argv):
            raise UserError(f"{shortened(argument)}: {axis} are those of a table: say table=NAME too")
        if listed is None or not (name is None or re.fullmatch(r"[\w-]+", name.strip())):
            example = f"{axis}.Mine=[attack=mine,attack.steps=100], or {axis}=[A,B] for some of them alone"
            raise UserError(f"{shortened(argument)}: say {example}")
        quoted = ",".join(json.dumps(each, ensure_ascii=False) for each in _split(listed[1]) if each)
        key = f"only.{axis}" if name is None else f"{axis}.{name.strip()}"
        sys.argv[place] = f"++hydra.sweeper.{key}=[{quoted}]"


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets and no quotes; quotes around a whole part are left out."""
    depth, parts, quote = 0, [""], ""
    for letter in text:
        depth += 0 if quote else (letter in "[{(") - (letter in ")}]")
        if letter == quote:
            quote = ""
        elif letter in "'\"" and not quote and not parts[-1].strip():  # no apostrophe
            quote = letter
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip().strip("'\"") for part in parts]


def guarded(
    command: Callable[[], object], stopped: type[interruption.Interrupted] = interruption.Interrupted
) -> int:
    """Run a command that can be interrupted, and of which Hydra's part may complain. Returns its exit status.

    `stopped`: what it was where the command came to its end and was asked to stop before that.
    """

    def attended() -> None:
        with interruption.listening():
            command()
            if interruption.requested():
                raise stopped

    return answered(attended, _explained)


def _explained(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, CellsFailed):
        return str(error), FAILURE
    if isinstance(error, YAMLError):
        return f"a configuration can't be read: {' '.join(str(error).split())}", USER_ERROR
    if isinstance(error, HydraException | OmegaConfBaseException):
        cause = error.__cause__
        return str(cause) if isinstance(cause, UserError) else explain_composition(error), USER_ERROR
    return None
