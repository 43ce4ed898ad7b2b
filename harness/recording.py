"""A run that is being written: what is finished survives a kill, and nothing is written twice."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, cat

from harness.core import Record
from harness.errors import warn
from harness.files import to_json, write_atomically, writing
from harness.journal import Row as Row
from harness.journal import decode, encode
from harness.lease import EXPIRY, Held, Lease

Trace = list[dict[str, float]]


class Run:
    """An open run. The tensors of a problem are on disk, whole, before its rows are: a row is a promise."""

    def __init__(self, directory: Path, config: Mapping[str, Any], expiry: float = EXPIRY) -> None:
        """Raises Held when another process is writing it, or has just finished it."""
        self.directory = directory
        self._journal = directory / "rows.jsonl"
        self._parts = directory / "parts"
        with writing(directory):
            self._parts.mkdir(parents=True, exist_ok=True)
        self._lease = Lease(directory, expiry)
        if (directory / "result.json").exists():  # since it was last looked at, before the lease was ours
            self._lease.end()
            shutil.rmtree(self._parts)
            raise Held(f"{directory} was finished by another process")
        for stale in directory.rglob(".*.tmp"):
            stale.unlink()
        self._config = dict(config)
        self._rows = self._recover()
        self._appended = self._journal.open("ab")
        write_atomically(directory / "config.yaml", yaml.safe_dump(self._config, sort_keys=False).encode())

    @property
    def finished(self) -> frozenset[int]:
        """The problems whose rows and tensors are safe on disk."""
        return frozenset(row["problem"] for row in self._rows)

    @property
    def rows(self) -> list[Row]:
        """The rows of all finished problems, in order."""
        return sorted(self._rows, key=lambda row: (row["problem"], row["image"]))

    def close(self) -> None:
        """Let another process go on with it."""
        self._lease.release()
        self._appended.close()

    def _recover(self) -> list[Row]:
        """The rows of whole problems. What a kill tore off (half a line, half a batch) is dropped."""
        content = self._journal.read_bytes() if self._journal.exists() else b""
        rows, broken = decode(content)
        images: dict[int, set[int]] = defaultdict(set)
        for row in rows:
            images[row["problem"]].add(row["image"])
        whole = {problem for problem, found in images.items() if found == self._stored(problem)}
        kept = [row for row in rows if row["problem"] in whole]
        if broken or len(kept) < len(rows):
            lost = f"{broken} broken lines, {len(images) - len(whole)} problems that are not whole"
            warn(f"{self._journal}: dropped {lost}; what they held is computed again")
        if (
            content
        ):  # even if all is well: what one that lost its lease may still write must go to another file
            write_atomically(self._journal, encode(kept))
        return kept

    def _part(self, problem: int) -> Path:
        return self._parts / f"{problem}.safetensors"

    def _stored(self, problem: int) -> set[int]:
        """The images that the stored part of a problem holds; none when it is missing or broken."""
        try:
            with safe_open(str(self._part(problem)), framework="pt") as part:
                return set(range(part.get_slice("truth").get_shape()[0]))
        except (OSError, SafetensorError):
            return set()

    def unclamped(self, problem: int) -> Tensor:
        """The images [n, c, h, w] of a finished problem as the search left them, where they were given."""
        with safe_open(str(self._part(problem)), framework="pt") as part:
            images: Tensor = part.get_tensor("unclamped")
        return images

    def append(
        self,
        problem: int,
        rows: Sequence[Row],
        truth: Tensor,
        reconstruction: Tensor,
        trace: Trace,
        unclamped: Tensor | None = None,
    ) -> None:
        """Store one finished problem durably: rows [n], truth and reconstruction [n, c, h, w] in [0, 1].

        `unclamped` [n, c, h, w] is for attacks that learn from earlier ones: if one problem has it, all must.
        """
        if problem in self.finished:
            raise ValueError(f"problem {problem} of {self.directory} is already stored")
        if not len(rows) == len(truth) == len(reconstruction) or not rows:
            raise ValueError(f"{len(rows)} rows, {len(truth)} truths, {len(reconstruction)} reconstructions")
        tensors = {"truth": truth, "reconstruction": reconstruction}
        tensors |= {} if unclamped is None else {"unclamped": unclamped}
        plain = {name: tensor.detach().cpu().float().clone().contiguous() for name, tensor in tensors.items()}
        self._lease.renew()
        write_atomically(self._part(problem), save(plain, metadata={"trace": to_json(trace)}))
        self._lease.renew()
        new = [{**row, "problem": problem, "image": image} for image, row in enumerate(rows)]
        with writing(self._journal):
            self._appended.write(encode(new))
            self._appended.flush()
            os.fsync(self._appended.fileno())
        self._rows += [json.loads(to_json(row)) for row in new]

    def finish(self, summary: Mapping[str, Any], provenance: Mapping[str, Any]) -> Record:
        """Sort and merge what was appended, draw the gallery, and write result.json last of all."""
        from harness import pictures

        if not self._rows:
            raise ValueError(f"{self.directory} has no rows to finish")
        rows = sorted(self._rows, key=lambda row: (row["problem"], row["image"]))
        problems = sorted(self.finished)
        parts = [load_file(str(self._part(problem))) for problem in problems]
        images = {name: cat([part[name] for part in parts]) for name in parts[0]}
        traces = "".join(to_json({"problem": p, "trace": self._trace(p)}) + "\n" for p in problems)
        self._lease.renew()
        write_atomically(self._journal, encode(rows))
        write_atomically(self.directory / "reconstructions.safetensors", save(images))
        write_atomically(self.directory / "traces.jsonl", traces.encode())
        scores = [row.get("psnr_unit") for row in rows]
        pictures.save(
            pictures.gallery(images["truth"], images["reconstruction"], scores),
            self.directory / "gallery.png",
        )
        result = {
            "id": self.directory.name,
            "config": self._config,
            "summary": summary,
            "provenance": provenance,
        }
        write_atomically(self.directory / "result.json", (to_json(result, indent=1) + "\n").encode())
        shutil.rmtree(self._parts)
        self._appended.close()
        self._lease.end()
        return Record(rows=rows, **json.loads(to_json(result)))

    def _trace(self, problem: int) -> Trace:
        with safe_open(str(self._part(problem)), framework="pt") as part:
            trace: Trace = json.loads(part.metadata()["trace"])
        return trace
