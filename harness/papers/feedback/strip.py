"""Figure 5 of the feedback-blending paper: how images emerge from the blend that their search began at."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from harness.base.rows import to_csv
from harness.config.experiment import Experiment
from harness.core import Problem, Record, generator
from harness.metrics.mse import squared_error
from harness.plots import pictures
from harness.runs.clients import Clients
from harness.starts.policy import SearchResult

SIDE, LETTERS = 96, 13


@dataclass(frozen=True, eq=False)
class Frame:
    """What a search had found [c, h, w] after some iterations; at 0, its start, which has no loss on record."""

    iteration: int
    loss: float | None
    image: Tensor


@dataclass(frozen=True, eq=False)
class Strip:
    """One attacked image: its row in the data set, the truth, and the course of the search."""

    target: int
    truth: Tensor
    frames: list[Frame]


def strips(
    experiment: Experiment, record: Record, images: Mapping[str, Tensor], count: int, steps: Sequence[int]
) -> list[Strip]:
    """Recovered images, evenly spread over those that began at a blend; for updates of one image each.

    A search depends on its start and its seed alone, so that what it had found after `steps` iterations is found
    once more by a search of so few.
    """
    clients = Clients(experiment)
    starts = replay(clients, record, images["unclamped"])
    eligible = [row for row in record.rows if row["converged"] and starts[row["problem"]] is not None]
    rows = eligible[:: max(1, len(eligible) // count)][:count]
    problems = [clients.client(row["problem"], starts[row["problem"]]).problem for row in rows]
    earlier = {step: _stopped(experiment, step, problems) for step in steps} if rows else {}
    return [
        Strip(
            row["target"],
            images["truth"][row["problem"]],
            _frames(row, starts, earlier, images["reconstruction"]),
        )
        for row in rows
    ]


def replay(clients: Clients, record: Record, unclamped: Tensor) -> list[Tensor | None]:
    """Where each search of a finished run began, from what the attacker had learnt before it."""
    experiment, starts = clients.experiment, []
    policy = experiment.start
    memory = policy.begin(clients.public)
    for row, image in zip(record.rows, unclamped, strict=True):
        rng = generator("start", experiment.seed, row["problem"])
        starts.append(policy.start(memory, (1, *experiment.dataset.shape), rng))
        loss = math.nan if row["loss"] is None else row["loss"]
        memory = policy.learn(memory, SearchResult(image[None], loss, row["status"]))
    return starts


def _stopped(experiment: Experiment, step: int, problems: Sequence[Problem]) -> dict[int, Frame]:
    attack = dataclasses.replace(experiment.attack, steps=step)
    return {found.problem: Frame(step, found.loss, found.x[0]) for found in attack(problems)}


def _frames(
    row: Mapping[str, Any],
    starts: Sequence[Tensor | None],
    earlier: Mapping[int, Mapping[int, Frame]],
    results: Tensor,
) -> list[Frame]:
    start = starts[row["problem"]]
    assert start is not None
    between = [found[row["problem"]] for step, found in earlier.items() if step < row["iterations"]]
    return [
        Frame(0, None, start[0]),
        *between,
        Frame(row["iterations"], row["loss"], results[row["problem"]]),
    ]


def strips_csv(run: str, found: Sequence[Strip]) -> str:
    """figure5.csv: run, row in the data set, iteration, loss and true MSE of every picture in the strips."""
    lines: list[list[object]] = [["run", "target", "iteration", "loss", "mse"]]
    for strip in found:
        for frame in strip.frames:
            mse = float(squared_error(frame.image[None], strip.truth[None]))
            lines.append([run, strip.target, frame.iteration, frame.loss, mse])
    return to_csv(lines)


def draw_strips(found: Sequence[Strip]) -> Image.Image:
    """The strips one below the other: start, search, result, and the truth at the right."""
    width = max(len(strip.frames) for strip in found)
    lines = []
    for strip in found:
        cells = [_picture(frame.image, _note(frame)) for frame in strip.frames]
        gap = [pictures.blank(1, 1)] * (width - len(cells))
        lines.append([*cells, *gap, _picture(strip.truth, "truth")])
    return pictures.framed(pictures.grid(lines, across=8, down=8))


def _note(frame: Frame) -> str:
    return f"iteration {frame.iteration}" if frame.iteration else "blend"


def _picture(image: Tensor, note: str) -> Image.Image:
    return pictures.above([pictures.tile(image, SIDE), pictures.label(note, LETTERS)], gap=1)
