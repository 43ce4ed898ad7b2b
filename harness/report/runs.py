"""A run as its page needs it: one JSON object, and one picture of all its images."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from harness.base.threat import told
from harness.core import Record
from harness.identity.changes import changes
from harness.loggers.logger import curve
from harness.store.frames import flatten
from harness.store.records import Store

MOST, SIDE = 64, 64
"""Images of a run that are shown, and their greatest height in pixels."""
ABSENT = 0.85
"""The grey of a picture that was not handed on."""
CURVES, POINTS = 16, 60
"""Loss curves of a run, and points of a curve."""


@dataclass(frozen=True)
class Place:
    """A cell of a table that stands on a run."""

    page: str
    table: str
    row: str
    column: str
    seed: str


def title(record: Record) -> str:
    """What a run is called: its choices."""
    choices = record.config.get("choices", {})
    named = [choices.get(group) for group in ("attack", "defense", "dataset")]
    return f"{' x '.join(name for name in named if name) or record.id}, seed {record.config.get('seed')}"


def page_data(store: Store, record: Record, places: Sequence[Place]) -> tuple[dict[str, Any], Image.Image]:
    """All that the page of a run shows, and its sprite: a blank one of a run on labels alone, which has no images."""
    images = store.images(record.id)
    shown = min(MOST, len(images["truth"])) if images["truth"].ndim == 4 else 0
    picture = sprite(images["truth"], images["reconstruction"]) if shown else Image.new("RGB", (1, 2))
    data = {
        "id": record.id,
        "title": title(record),
        "config": {"threat model": told(record.config), **flatten(record.config)},
        "changed": _changed(record.provenance),
        "summary": record.summary,
        "provenance": dict(_dotted(record.provenance)),
        "rows": record.rows,
        "curves": _curves(store, record.id),
        "images": {"shown": shown, "width": picture.width // max(1, shown), "height": picture.height // 2},
        "places": [vars(place) for place in places],
    }
    return data, picture


def _changed(provenance: Mapping[str, Any]) -> list[str]:
    superseded = provenance.get("superseded")
    return [*changes(provenance.get("methods", {})), *([superseded] if superseded else [])]


def sprite(truth: Tensor, reconstruction: Tensor) -> Image.Image:
    """The first images [n, c, h, w] in [0, 1], truth above reconstruction, pixel by pixel and without gaps.

    Images higher than `SIDE` are made smaller.
    """
    strips = [
        torch.cat(list(images[:MOST].nan_to_num(ABSENT).clamp(0, 1)), dim=2)
        for images in (truth, reconstruction)
    ]
    pixels = (torch.cat(strips, dim=1) * 255).round().byte()
    picture = Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy(), "RGB")
    _, height, width = truth.shape[1:]
    if height <= SIDE:
        return picture
    small = round(width * SIDE / height)
    return picture.resize((small * len(truth[:MOST]), 2 * SIDE), Image.Resampling.LANCZOS)


def _curves(store: Store, identity: str) -> list[dict[str, Any]]:
    """The loss over evaluations of the first problems; points without a finite loss are left out."""
    traces = store.traces(identity)
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


def settings(records: Sequence[Record]) -> dict[str, str]:
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
