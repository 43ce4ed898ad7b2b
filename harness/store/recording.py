"""A run that is being written: what is finished survives a kill, and nothing is written twice."""

import itertools
import json
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from safetensors.torch import save
from torch import Tensor, cat

from harness.base.errors import warn
from harness.base.files import to_json, write_atomically, writing
from harness.base.rows import Row
from harness.core import Record
from harness.store.contents import Part, read_part, write_part
from harness.store.contents import Trace as Trace
from harness.store.integrity import CONFIG, IMAGES, RESULT, ROWS, TRACES, Damaged, dump, plain, reading, seals
from harness.store.iterates import LAST
from harness.store.journal import decode, encode, encode_checked
from harness.store.lease import EXPIRY, Held, Lease
from harness.store.reopening import BEFORE, reopen, with_earlier

Draw = Callable[[Mapping[str, Tensor], Sequence[Row], Path], None]
"""Draws pictures of a run's images and rows into its directory."""


class Journal:
    """Problems that are stored. Their tensors are on disk, whole, before their rows are: a row is a promise."""

    _appended: BinaryIO

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self._journal = directory / name
        self._parts = directory / "parts"
        self._rows: list[Row] = []

    @property
    def finished(self) -> frozenset[int]:
        """The problems whose rows and tensors are safe on disk."""
        return frozenset(row["problem"] for row in self._rows)

    @property
    def rows(self) -> list[Row]:
        """The rows of all finished problems, in order."""
        return sorted(self._rows, key=lambda row: (row["problem"], row["image"]))

    def _part(self, problem: int) -> Path:
        return self._parts / f"{problem}.safetensors"

    def part(self, problem: int) -> Part:
        """The images of a stored problem, and the course of its loss. Raises Damaged."""
        return read_part(self._part(problem))

    def images(self, problem: int) -> dict[str, Tensor]:
        """The images of a stored problem by name."""
        return self.part(problem).images

    def _stored(self, problem: int) -> set[int]:
        """The images that the stored part of a problem holds; none when it is missing or damaged."""
        try:
            return set(range(len(self.images(problem)["truth"])))
        except (Damaged, KeyError):
            if self._part(problem).is_dir():  # then it can't be computed again either
                raise
            return set()

    def unclamped(self, problem: int) -> Tensor:
        """The images [n, c, h, w] of a finished problem as the search left them, where they were given."""
        return self.images(problem)["unclamped"]

    def trace(self, problem: int) -> Trace:
        """The course of the loss of a finished problem."""
        return self.part(problem).trace

    def append(
        self,
        problem: int,
        rows: Sequence[Row],
        images: Mapping[str, Tensor],
        trace: Trace,
    ) -> None:
        """Store one finished problem durably: rows [n], images `truth` and `reconstruction` [n, c, h, w] in [0, 1].

        Of an attack on labels alone they are counts of the classes [n, classes]. Images of the last iterate are there
        under names of their own (see `iterates`) where they are others. `unclamped` [n, c, h, w] is for attacks that
        learn from earlier ones: if one problem has it, all must. `latent` [n, k] are the latent vectors of a generator.
        """
        if problem in self.finished:
            raise ValueError(f"problem {problem} of {self.directory} is already stored")
        truth, reconstruction = len(images["truth"]), len(images["reconstruction"])
        if not len(rows) == truth == reconstruction or not rows:
            raise ValueError(f"{len(rows)} rows, {truth} truths, {reconstruction} reconstructions")
        self._renew()
        write_part(self._part(problem), images, trace)
        self._renew()
        new = [{**row, "problem": problem, "image": image} for image, row in enumerate(rows)]
        self._write([json.loads(to_json(row)) for row in new])

    def _write(self, rows: Sequence[Row]) -> None:
        with writing(self._journal):
            self._appended.write(encode_checked(rows))
            self._appended.flush()
            os.fsync(self._appended.fileno())
        self._rows += rows

    def _renew(self) -> None:
        """Raises Held when nothing may be written any more."""

    def _whole(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of problems that are stored with all their images."""
        images: dict[int, set[int]] = defaultdict(set)
        for row in rows:
            images[row["problem"]].add(row["image"])
        whole = {problem for problem, found in images.items() if found == self._stored(problem)}
        return [row for row in rows if row["problem"] in whole]


class Run(Journal):
    """An open run: the lease of it, and what its ranks have stored."""

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any],
        expiry: float = EXPIRY,
        answered: Callable[[], bool] = lambda: True,
    ) -> None:
        """A finished run is opened again unless it is `answered`. Raises Held when another process is writing it, or
        has just finished it."""
        super().__init__(directory, ROWS)
        with writing(directory):
            self._parts.mkdir(parents=True, exist_ok=True)
        self._lease = Lease(directory, expiry)
        try:
            self._begin(answered)
        except BaseException:
            self._lease.release()
            raise
        self.config = dict(config)
        self._rows = self._recover()
        self._appended = self._journal.open("ab")
        write_atomically(directory / CONFIG, _yaml(self.config))

    def _begin(self, answered: Callable[[], bool]) -> None:
        if (self.directory / RESULT).exists():  # perhaps finished just before the lease was ours
            if answered():
                self._lease.end()
                shutil.rmtree(self._parts)
                raise Held(f"{self.directory} was finished by another process")
            reopen(self.directory)
        for stale in self.directory.rglob(".*.tmp"):
            stale.unlink()

    def close(self) -> None:
        """Let another process go on with it."""
        self._lease.release()
        with suppress(OSError):  # what can't be written was said when it was tried
            self._appended.close()

    def _recover(self) -> list[Row]:
        """The rows of whole problems, from all ranks. What a kill tore off (half a line, half a batch) is dropped."""
        journals = [path for path in (self._journal, *self._shards()) if os.path.lexists(path)]
        contents = [decode(_journal(path)) for path in journals]
        rows = {(row["problem"], row["image"]): row for found, _ in contents for row in found}
        kept = self._whole([*rows.values()])
        broken = sum(lines for _, lines in contents)
        if broken or len(kept) < len(rows):
            torn = len({problem for problem, _ in rows} - {row["problem"] for row in kept})
            lost = f"{broken} broken lines, {torn} problems that are not whole"
            warn(f"{self._journal}: dropped {lost}; what they held is computed again")
        if journals:  # all well or not: who has lost the lease may still write, and must to another file
            write_atomically(self._journal, encode_checked(kept))
        self._remove_shards()
        return kept

    def replace(self, rows: Sequence[Row]) -> None:
        """Have other rows for what is stored, or fewer problems."""
        self._renew()
        self._appended.close()
        self._rows = [json.loads(to_json(row)) for row in rows]
        write_atomically(self._journal, encode_checked(self.rows))
        self._appended = self._journal.open("ab")

    def trim(self) -> None:
        """Leave out what is stored beyond a gap: the problems of a finished run are 0, 1, 2, ..."""
        whole = next(count for count in itertools.count() if count not in self.finished)
        self._rows = [row for row in self._rows if row["problem"] < whole]

    def merge(self) -> list[int]:
        """Take in what other ranks have stored since; returns the problems that are new.

        What they are just writing is left for the next time.
        """
        known = self.finished
        found = [row for path in self._shards() for row in decode(_journal(path))[0]]
        rows = {(row["problem"], row["image"]): row for row in found if row["problem"] not in known}
        new = self._whole([*rows.values()])
        if new:
            self._renew()
            self._write(new)
        return sorted({row["problem"] for row in new})

    def _renew(self) -> None:
        self._lease.renew()

    def _shards(self) -> list[Path]:
        """The journals of other ranks."""
        return sorted(self.directory.glob("rows.*.jsonl"))

    def _remove_shards(self) -> None:
        """Once their rows are in the journal: a rank that comes later begins its own anew."""
        for shard in self._shards():
            shard.unlink()

    def finish(
        self, summary: Mapping[str, Any], provenance: Mapping[str, Any], draw: Draw | None = None
    ) -> Record:
        """Sort and merge what was appended, with the pictures of it, and write result.json last of all."""
        if not self._rows:
            raise ValueError(f"{self.directory} has no rows to finish")
        rows = sorted(self._rows, key=lambda row: (row["problem"], row["image"]))
        problems = sorted(self.finished)
        parts = [self.part(problem) for problem in problems]
        names = {name: None for part in parts for name in part.images}
        images = {name: cat(_named([part.images for part in parts], name)) for name in names}
        lines = [
            {"problem": number, "trace": part.trace} for number, part in zip(problems, parts, strict=True)
        ]
        traces = "".join(to_json(line) + "\n" for line in lines)
        self._renew()
        write_atomically(self._journal, encode(rows))
        write_atomically(self.directory / IMAGES, save(images))
        write_atomically(self.directory / TRACES, traces.encode())
        if draw is not None:
            draw(images, rows, self.directory)
        write_atomically(self.directory / CONFIG, _yaml(self.config))
        result = {
            "id": self.directory.name,
            "config": self.config,
            "summary": summary,
            "provenance": with_earlier(self.directory, provenance),
        }
        write_atomically(self.directory / RESULT, dump(result, seals(self.directory)))
        (self.directory / BEFORE).unlink(missing_ok=True)
        self._remove_shards()
        shutil.rmtree(self._parts)
        self._appended.close()
        self._lease.end()
        return Record(rows=rows, **json.loads(to_json(result)))


class Shard(Journal):
    """A run as one of several ranks writes it, beside the one that has the lease: to a journal of its own."""

    def __init__(self, directory: Path, rank: int) -> None:
        super().__init__(directory, f"rows.{rank}.jsonl")
        journal = directory / ROWS
        self._rows = decode(_journal(journal))[0] if journal.exists() else []
        self._appended = self._journal.open("ab")


def _journal(path: Path) -> bytes:
    """Raises Damaged where it can't be read; what is wrong with its lines is for `decode` to find."""
    with reading(path.parent, path.name):
        return plain(path)


def _named(parts: Sequence[Mapping[str, Tensor]], name: str) -> list[Tensor]:
    """Images of all parts; where a search ended at its best iterate, that is the last too. NaN for what a part lacks,
    for it has failed, or is from before such was kept."""
    best = name.removesuffix(LAST)
    like = next(part[name] for part in parts if name in part)
    return [
        part[name if name in part else best]
        if best in part
        else like.new_full((len(part["truth"]), *like.shape[1:]), math.nan)
        for part in parts
    ]


def _yaml(config: Mapping[str, Any]) -> bytes:
    """With libyaml where it is there: a tenth of the time."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(dict(config), Dumper=dumper, sort_keys=False, encoding="utf-8")
