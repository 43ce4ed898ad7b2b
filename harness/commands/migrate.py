"""Give the runs of an older store the ids of today: `harness migrate runs`, or of published results.

A run keeps its folder's name, and answers for nothing any more, where its method has changed since or where it can't
prove what it was computed from.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.base.aliases import original
from harness.base.command import answered
from harness.base.components import find
from harness.base.files import to_json, to_json_lines, write_atomically
from harness.core import UserError
from harness.identity.identity import absence, class_path, is_native, plain
from harness.store.integrity import MARK, RESULT, Damaged, StoredRun, digest, dump, seals
from harness.store.records import older

IDENTIFIED = (
    *("dataset", "model", "fl", "attack", "defense", "prior", "metric", "knowledge"),
    *("seed", "trials", "targets"),
)
LATER = ("start", "order", "training")
"""What the older scheme hashed always, and what it hashed where it was not the default."""
UNVERIFIED = "data not verified"


@dataclasses.dataclass(frozen=True)
class Fate:
    """What becomes of a run: its new id, or why it keeps the old one."""

    new: str = ""
    kept: str = ""


def older_id(config: Mapping[str, Any], root: str | None) -> str:
    """The id that a stored configuration had under the older scheme: paths of classes, version 1, names and sizes.

    Raises UserError where a component is not there any more.
    """
    from harness.config.experiment import Experiment
    from harness.config.setup import KnowledgeSettings

    means = {f.name: absence(f) for f in dataclasses.fields(Experiment)}
    parts: dict[str, Any] = {name: _older(config[name]) for name in IDENTIFIED}
    parts["knowledge"] = {"class": original(class_path(KnowledgeSettings)), "version": 1} | {
        name: value for name, value in config["knowledge"].items() if value
    }
    for name in LATER:
        if name in config and (now := _older(config[name])) != _older(plain(means[name])):
            parts[name] = now
    files = _older_files(config["dataset"], root)
    text = json.dumps(parts | ({"files": files} if files else {}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "_target_" not in value:
        return {key: _older(item) for key, item in value.items()}
    kind: Any = find("stored", value["_target_"])
    names = {f.metadata.get("once", f.name): f for f in dataclasses.fields(kind)}
    kept = {
        key: now
        for key, item in value.items()
        if key in names and names[key].name not in kind.execution
        for now in [_older(item)]
        if now != _older(plain(absence(names[key])))
    }
    return {"class": original(str(value["_target_"])), "version": 1} | kept


def _older_files(dataset: Mapping[str, Any], root: str | None) -> str:
    """The hash of the names and sizes of the files of data sets that had one; empty where there are none."""
    from harness.datasets.files import locate
    from harness.datasets.image_folder import ImageFolder
    from harness.datasets.tile_sheets import TileSheets

    kind = find("dataset", dataset["_target_"])
    if not issubclass(kind, ImageFolder | TileSheets):
        return ""
    part = dataset.get("test") if issubclass(kind, ImageFolder) else None
    try:
        folder = "/".join(filter(None, (dataset.get("folder"), part))) or "."
        place = locate(root, [folder]) / folder
    except UserError:
        return ""
    files = sorted((str(f.relative_to(place)), f.stat().st_size) for f in place.rglob("*") if f.is_file())
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]


def judge(identity: str, config: Mapping[str, Any], root: str | None) -> Fate:
    """What becomes of a run with an id and a configuration."""
    from harness.config.composition import restore
    from harness.config.execution import Paths

    try:
        experiment = restore(config, root, Paths())
        before = older_id(config, root)
    except (UserError, KeyError, TypeError, AttributeError) as error:
        return Fate(kept=f"its configuration is none of today's ({error})".splitlines()[0])
    if identity == experiment.id:
        return Fate(new=identity)
    parts = experiment.parts
    if raised := sorted({type(part).__name__ for part in parts if part.revision() != 1}):
        return Fate(kept=f"its method has changed since: {', '.join(raised)}")
    if not _proven(experiment, parts):
        return Fate(kept=UNVERIFIED)
    if before != identity:
        return Fate(kept="its id is not that of its settings")
    return Fate(new=experiment.id)


def _proven(experiment: Any, parts: Sequence[Any]) -> bool:
    """Whether there can be but one content behind the settings: no files of the user's, and no code of others."""
    dataset = experiment.dataset
    files = any(isinstance(value, Path) for part in parts for value in vars(part).values())
    return (
        (dataset.embedded or dataset.checked) and not files and all(is_native(type(part)) for part in parts)
    )


def migrate(root: Path, data: str | None) -> Iterator[str]:
    """Re-key the runs of a store; a line for each. Those with most targets first, for they answer for fewer too."""
    whole: list[tuple[StoredRun, int]] = []
    for folder in older(root):
        try:
            stored = StoredRun.open(folder)
            whole.append((stored, len(stored.rows())))
        except Damaged as damage:
            yield f"{folder.name}: left: {damage}"
    for stored, _ in sorted(whole, key=lambda each: -each[1]):
        yield _migrated(stored, data)


def _migrated(stored: StoredRun, data: str | None) -> str:
    """A kill leaves the record with its new id, in the folder of the old name or of the new: it is found here again."""
    folder, config = stored.directory, stored.content["config"]
    formerly = stored.content["provenance"].get("formerly", stored.content["id"])
    found = judge(formerly, config, data)
    if found.new and found.new != folder.name and (folder.parent / found.new).exists():
        found = Fate(kept=f"{found.new} answers in its place")
    if found.kept:
        reason = {"data": "not verified"} if found.kept == UNVERIFIED else {"superseded": found.kept}
        _write(stored, folder.name, formerly, reason, {"kept": found.kept})
        return f"{formerly}: kept: {found.kept}"
    _write(stored, found.new, found.new, {"formerly": formerly}, {"formerly": formerly})
    return f"{formerly}: now {found.new}"


def _write(
    stored: StoredRun, name: str, identity: str, more: Mapping[str, str], mark: Mapping[str, str]
) -> None:
    """Have a run say what became of it, and give its folder a name. The mark comes last."""
    folder, text = stored.directory, f"{to_json(mark)}\n".encode()
    files = seals(folder) if stored.files is None else stored.files
    provenance = {**stored.content["provenance"], **more}
    content = {**stored.content, "id": identity, "provenance": provenance}
    write_atomically(folder / RESULT, dump(content, {**files, MARK: digest(text)}))
    if folder.name != name:
        folder = folder.rename(folder.with_name(name))
    write_atomically(folder / MARK, text)


def migrate_published(root: Path) -> Iterator[str]:
    """Put new ids in the place of old ones in all files of published results, and say how many there are.

    Why others keep their id is said in the provenance, which every page of the report shows.
    """
    for path in sorted(root.glob("*/*/provenance.json")):
        provenance = json.loads(path.read_text(encoding="utf-8"))
        fates = {cell["run"]: _published(cell) for cell in provenance.get("cells", [])}
        right = [old for old, fate in fates.items() if fate.new == old]
        new = {old: fate.new for old, fate in fates.items() if fate.new not in ("", old)}
        reasons = Counter(fate.kept for fate in fates.values() if fate.kept)
        if reasons:
            provenance["kept"] = [f"{count} of {len(fates)} runs: {why}" for why, count in reasons.items()]
            write_atomically(path, to_json_lines(provenance).encode())
        for file in path.parent.iterdir():
            if new and file.suffix in (".json", ".csv", ".md"):
                write_atomically(file, _replaced(file.read_text(encoding="utf-8"), new).encode())
        had = f", {len(right)} had it before" if right else ""
        kept = f"; {reasons.total()} kept: {'; '.join(sorted(reasons))}" if reasons else ""
        yield f"{path.parent}: {len(new)} of {len(fates)} runs have a new id{had}{kept}"


def _replaced(text: str, new: Mapping[str, str]) -> str:
    return re.sub("|".join(new), lambda match: new[match[0]], text)


def _published(cell: Mapping[str, Any]) -> Fate:
    from harness.config.composition import compose

    overrides = (line for line in cell["overrides"] if not line.endswith("=PATH"))
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a scale lowers what it lowered then: no news
            config = compose(*overrides).config
        return judge(cell["run"], config, None)
    except Exception as error:  # noqa: BLE001 - Hydra has many kinds for what is no setting any more
        why = str(error).splitlines()[0] if isinstance(error, UserError) else type(error).__name__
        return Fate(kept=f"its settings are none of today's ({why})")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness migrate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="a folder of runs, or of published results")
    parser.add_argument("--data", help="where the data sets are; default: $HARNESS_DATA")
    options = parser.parse_args(arguments)

    def command() -> None:
        published = [*options.store.glob("*/*/provenance.json")]
        if not published and not [*options.store.glob("*/result.json")]:
            raise UserError(f"{options.store} holds neither finished runs nor published results")
        lines = migrate_published(options.store) if published else migrate(options.store, options.data)
        for line in lines:
            print(line, flush=True)

    return answered(command)
