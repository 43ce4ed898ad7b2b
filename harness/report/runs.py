"""A run as its page needs it: one JSON object, and one picture of all its images."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from PIL import Image
from torch import Tensor

from harness.base.errors import UserError, first_line
from harness.base.threat import told
from harness.identity.changes import changes
from harness.loggers.logger import curve
from harness.store import contents
from harness.store.contents import Trace
from harness.store.frames import flatten
from harness.store.integrity import StoredRun

MOST, SIDE = 64, 64
"""Images of a run that are shown, and their greatest height in pixels."""
ABSENT = 0.85
"""The grey of a picture that was not handed on."""
CURVES, POINTS = 16, 200
"""Loss curves of a run, and points of a curve."""


@dataclass(frozen=True)
class Place:
    """A cell of a table that stands on a run."""

    page: str
    table: str
    row: str
    column: str
    seed: str


@dataclass(frozen=True)
class Listed:
    """What the list of runs shows of one."""

    id: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    images: int

    @classmethod
    def of(cls, stored: StoredRun, metrics: Collection[str], shared: dict[str, Any]) -> "Listed":
        """With some metrics alone, and what it has in common with other runs once, for there may be many."""
        config, summary = stored.content["config"], stored.content["summary"]
        counted = sum((summary.get("status") or {}).values())
        return cls(
            stored.directory.name,
            {name: shared.setdefault(f"{name} {part!r}", part) for name, part in config.items()},
            {name: summary[name] for name in metrics if summary.get(name)},
            counted or len(stored.rows()),
        )


def title(identity: str, config: Mapping[str, Any]) -> str:
    """What a run is called: its choices."""
    choices = config.get("choices", {})
    named = [choices.get(group) for group in ("attack", "defense", "dataset")]
    return f"{' x '.join(name for name in named if name) or identity}, seed {config.get('seed')}"


def page_data(stored: StoredRun, places: Sequence[Place]) -> tuple[dict[str, Any], Image.Image]:
    """All that the page of a run shows, and its sprite: a blank one of a run on labels alone, which has no images.

    Raises Damaged.
    """
    images, config = contents.images(stored), stored.content["config"]
    shown = min(MOST, len(images["truth"])) if images["truth"].ndim == 4 else 0
    picture = sprite(images["truth"], images["reconstruction"]) if shown else Image.new("RGB", (1, 2))
    data = {
        "id": stored.directory.name,
        "title": title(stored.directory.name, config),
        "config": {"threat model": _threat(config), **flatten(config)},
        "changed": _changed(stored.content["provenance"]),
        "summary": stored.content["summary"],
        "provenance": dict(_dotted(stored.content["provenance"])),
        "rows": stored.rows(),
        "curves": _curves(contents.traces(stored)),
        "images": {"shown": shown, "width": picture.width // max(1, shown), "height": picture.height // 2},
        "places": [vars(place) for place in places],
    }
    return data, picture


def _threat(config: Mapping[str, Any]) -> str:
    try:
        return told(config)
    except UserError as error:  # a component of a package that is not declared here
        return f"not known here: {first_line(error)}"


def _changed(provenance: Mapping[str, Any]) -> list[str]:
    superseded = provenance.get("superseded")
    return [*changes(provenance.get("methods", {})), *([superseded] if superseded else [])]


def sprite(truth: Tensor, reconstruction: Tensor) -> Image.Image:
    """The first images [n, c, h, w] in [0, 1], truth above reconstruction, pixel by pixel and without gaps.

    Images higher than `SIDE` are made smaller.
    """
    strips = [
        numpy.concatenate([*images[:MOST].numpy()], axis=2).clip(0, 1) for images in (truth, reconstruction)
    ]
    whole = numpy.nan_to_num(numpy.concatenate(strips, axis=1), nan=ABSENT)
    pixels = numpy.broadcast_to((whole * 255).round().astype("uint8"), (3, *whole.shape[1:]))
    picture = Image.fromarray(numpy.ascontiguousarray(pixels.transpose(1, 2, 0)), "RGB")
    _, height, width = truth.shape[1:]
    if height <= SIDE:
        return picture
    small = round(width * SIDE / height)
    return picture.resize((small * len(truth[:MOST]), 2 * SIDE), Image.Resampling.LANCZOS)


def _curves(traces: Mapping[int, Trace]) -> list[dict[str, Any]]:
    """The loss over evaluations of the first problems; points without a finite loss are left out."""
    return [
        {
            "problem": problem,
            "points": [
                [evaluation, float(f"{values['loss']:.5g}")]
                for evaluation, values in curve(trace, POINTS)
                if values.get("loss") is not None and math.isfinite(values["loss"])
            ],
        }
        for problem, trace in list(traces.items())[:CURVES]
    ]


def _dotted(node: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def settings(records: Sequence[Listed]) -> dict[str, str]:
    """By run, the settings in which runs of the same components differ: `fl.batch_size 2, attack.steps 300`."""
    flat = {record.id: flatten(record.config) for record in records}
    values: dict[tuple[object, str], set[str]] = defaultdict(set)
    for config in flat.values():
        for name, value in config.items():
            values[_component(config, name), name].add(str(value))
    return {
        identity: ", ".join(
            f"{name} {value}"
            for name, value in config.items()
            if "." in name and len(values[_component(config, name), name]) > 1
        )
        for identity, config in flat.items()
    }


def _component(config: Mapping[str, Any], name: str) -> object:
    """The component that a setting belongs to, as it was chosen."""
    return config.get(name.partition(".")[0])
