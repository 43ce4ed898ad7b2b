"""What can be chosen: `harness list`, `harness list attacks`, `harness list attacks ig`."""

import argparse
import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.base.command import answered
from harness.base.errors import UserError, nearest
from harness.base.packages import configurations
from harness.base.schema import CONF, EXPERIMENTS, PLANS

GROUPS = {
    "attacks": "attack",
    "defenses": "defense",
    "models": "model",
    "datasets": "dataset",
    "protocols": "fl",
    "partitions": "partition",
    "labels": "labels",
    "priors": "prior",
    "starts": "start",
    "optimizers": "optimizer",
    "adapters": "adapter",
    "servers": "server",
    "checks": "checks",
    "trainings": "training",
    "metrics": "metric",
    "loggers": "logger",
    "scales": "scale",
    "tables": "table",
    "sweeps": "sweep",
    "tunings": "tune",
}
"""What people call the groups, and their folders."""
THREATENING = ("attack", "model", "server", "defense")
"""Groups whose choices need an attacker of their own."""
WIDTH = 100


def files(group: str) -> dict[str, Path]:
    """The YAML of each choice, by its name."""
    roots = [*configurations(), EXPERIMENTS if group in PLANS else CONF]
    found = {path.stem: path for root in roots for path in sorted((root / group).glob("*.yaml"))}
    found = dict(sorted(found.items()))
    if group in PLANS:
        found.pop("none", None)
    return found


def summary(path: Path) -> str:
    """What a choice is, in the words at the head of its file: up to the first full stop."""
    words = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            words.append(line.lstrip("# "))
        elif words:
            break
    text = " ".join(words)
    return text.partition(". `make")[0].partition(". ")[0] if path.parent.name in PLANS else text


def groups() -> Iterator[str]:
    """A line for each group: what it is called, what the command line calls it, and what there is."""
    for name, group in GROUPS.items():
        known = files(group)
        yield from _wrapped(f"{name:11} {group + '=':11}", ", ".join(known))
    yield ""
    yield "harness list attacks       a line each, with its paper"
    yield "harness list attacks ig    its settings, and what they mean"


def overview() -> Iterator[str]:
    """What `harness --help` says: what it is for, each group with its choices, and the settings of every run."""
    text = (CONF / "config.yaml").read_text(encoding="utf-8")
    yield yaml.safe_load(text)["hydra"]["help"]["header"]
    yield "What can be chosen:"
    yield ""
    yield from groups()
    yield ""
    yield "Settings of every run, with what they are unless said:"
    yield ""
    _, begin, rest = text.partition("\ntrials:")
    yield (begin + rest).partition("\nhydra:")[0].strip()


def choices(group: str) -> Iterator[str]:
    """A line for each choice of a group."""
    known = files(group)
    width = max(map(len, known))
    for name, path in known.items():
        mark = f"{_letter(group, name):2}" if group in THREATENING else ""
        yield from _wrapped(f"{name:{width}}  {mark}", summary(path))
    if group in THREATENING:
        yield ""
        yield from _wrapped("", f"letters: {'; '.join(f'{key} {said}' for key, said in _meaning().items())}")


def details(group: str, name: str) -> Iterator[str]:
    """A choice's class, whom it needs, and each of its settings with the value that it has here and its meaning."""
    path = files(group)[name]
    yield from _wrapped(f"{group}={name}  ", summary(path))
    if group in PLANS:
        yield f"python -m harness {group}={name} scale=smoke|small|medium|paper"
        return
    node = _node(group, name)
    if "_target_" not in node:
        return
    kind = _find(group, node)
    yield ""
    yield from (inspect.getdoc(kind) or "").splitlines()
    needs = kind.needed(node)
    if needs:
        yield ""
        yield from _wrapped("needs  ", ", ".join(str(each) for each in sorted(needs)))
    yield ""
    lines = list(_settings(_name(group), node, kind))
    width = max((len(setting) for setting, *_ in lines), default=0)
    across = max((len(value) for _, value, _ in lines), default=0)
    for setting, value, meaning in lines:
        yield from _wrapped(f"{setting:{width}}  {value:{across}}  ", meaning)


def _name(group: str) -> str:
    """Where the command line has a group: those that are part of another are named below it."""
    return {"labels": "attack.labels", "optimizer": "attack.optimizer", "partition": "fl.partition"}.get(
        group, group
    )


def _node(group: str, name: str) -> Mapping[str, Any]:
    """The group's part of a configuration in which it is chosen."""
    import hydra
    from omegaconf import OmegaConf

    from harness.base.schema import prepare_hydra

    prepare_hydra()
    inside = {
        "labels": ["attack=gi", f"labels@attack.labels={name}"],
        "optimizer": ["attack=gi", f"optimizer@attack.optimizer={name}"],
        "partition": ["fl=fedavg", f"partition@fl.partition={name}"],
    }
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config: Any = OmegaConf.to_container(hydra.compose("config", inside.get(group, [f"{group}={name}"])))
    for key in _name(group).split("."):
        config = config[key]
    found: Mapping[str, Any] = config
    return found


def _find(group: str, node: Mapping[str, Any]) -> Any:
    from harness.base.components import find

    return find(group, node["_target_"])


def _letter(group: str, name: str) -> str:
    """The letter of the least attacker who has what a choice needs; none where it needs nothing."""
    from harness.base.threat import Need, letter

    if not (target := _target(group, name)):
        return ""
    kind = _find(group, target)
    needs = kind.needed(target) | (
        {Need.GENERATOR} if getattr(kind, "requires_prior", False) else frozenset()
    )
    return letter(needs) if needs or group == "attack" else ""


def _target(group: str, name: str) -> dict[str, Any]:
    """The settings of a YAML that name its class, or those of the one that it begins from."""
    node = yaml.safe_load(files(group)[name].read_text(encoding="utf-8")) or {}
    if "_target_" in node:
        return dict(node)
    begun = [each for each in node.get("defaults", []) if isinstance(each, str) and each in files(group)]
    return _target(group, begun[0]) | {key: node[key] for key in node if key != "defaults"} if begun else {}


def _meaning() -> Mapping[str, str]:
    from harness.base.threat import MEANING

    return MEANING


def _settings(place: str, node: Mapping[str, Any], kind: Any) -> Iterator[tuple[str, str, str]]:
    """Every setting: its name on the command line, its value, its meaning."""
    said = meanings(kind)
    for key, value in node.items():
        if key == "_target_":
            continue
        if isinstance(value, Mapping) and "_target_" in value:
            yield f"{place}.{key}", value["_target_"].rpartition(".")[2], said.get(key, "")
            yield from _settings(f"{place}.{key}", value, _find(place, value))
        else:
            yield f"{place}.{key}", _shown(value), said.get(key, "")


def _shown(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
    return text if len(text) <= 40 else f"{text[:37]}..."


def meanings(kind: type) -> dict[str, str]:
    """What the fields of a class and of those that it inherits from mean: the first sentence of the text below each."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not each.__module__.startswith("builtins"):
            found |= _documented(each)
    return found


def _documented(kind: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, TypeError):  # made without a file
        return {}
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(below, ast.Expr)
            and isinstance(field.target, ast.Name)
        ):
            text = getattr(below.value, "value", None)
            if isinstance(text, str):
                found[field.target.id] = " ".join(text.split())
    return found


def _wrapped(head: str, text: str) -> list[str]:
    indent = " " * min(len(head), 44)
    return textwrap.wrap(f"{head}{text}", WIDTH, subsequent_indent=indent, drop_whitespace=True) or [head]


def group_of(word: str) -> str:
    """The folder of a group by what people call it, or by its own name. Raises UserError with the nearest."""
    if word in GROUPS.values():
        return word
    if word not in GROUPS:
        raise UserError(f"{word}: there is no such group{nearest(word, GROUPS)}")
    return GROUPS[word]


def explain(overrides: Sequence[str]) -> int:
    """What `--help` says beside choices, `attack=ig --help`: each of them with its settings. Returns the status."""

    def told() -> None:
        for override in overrides:
            group, _, name = override.partition("=")
            run(argparse.Namespace(group=group, name=name))

    return answered(told)


def help_page() -> int:
    """What `--help` says by itself. Returns the status."""
    return answered(lambda: print("\n".join(overview())))


def run(options: argparse.Namespace) -> None:
    """Print what is asked for. Raises UserError for a group or a name that is not there."""
    if options.group is None:
        print("\n".join(groups()))
        return
    group = group_of(options.group)
    if options.name is None:
        print("\n".join(choices(group)))
        return
    if options.name not in (known := files(group)):
        raise UserError(f"{group}={options.name}: there is no such {group}{nearest(options.name, known)}")
    print("\n".join(details(group, options.name)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness list", description=(__doc__ or "").split(":")[0])
    parser.add_argument("group", nargs="?", help=f"one of {', '.join(GROUPS)}")
    parser.add_argument("name", nargs="?", help="one of them: its settings, and what they mean")
    options = parser.parse_args(arguments)
    return answered(lambda: run(options))
