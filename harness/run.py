"""One run: clients send updates, an attack inverts them, metrics score it, the store keeps it."""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from harness.clients import Client, Clients
from harness.config import Experiment
from harness.core import Batch, Problem, Reconstruction, Record
from harness.log import RunInfo
from harness.progress import task
from harness.provenance import provenance
from harness.records import Row, Run, Store, Trace, summarise


def run(experiment: Experiment) -> Record:
    """Carry out what is not yet done of a run, image by image, and return its record."""
    store = Store(experiment.paths.runs)
    record = store.load(experiment.id)
    if record is not None:
        return record
    torch.set_num_threads(experiment.threads)
    started, processor = time.perf_counter(), time.process_time()
    clients = Clients(experiment)
    experiment.metric.prepare()
    stored = store.open(experiment.id, experiment.config)
    with experiment.logger.open(_information(experiment, stored)) as session:
        with task(experiment.title, clients.trials - len(stored.finished)) as bar:
            for problem, rows, trace in attack(experiment, clients, stored):
                session.image(problem, rows, trace)
                bar.advance(_postfix(rows))
        spent = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - processor}
        record = stored.finish(summarise(stored.rows), provenance() | spent)
        session.finish(record, stored.directory / "gallery.png")
    return record


def attack(experiment: Experiment, clients: Clients, stored: Run) -> Iterator[tuple[int, list[Row], Trace]]:
    """Attack every client that is not stored yet; score and store each reconstruction as it finishes."""
    pending: dict[int, Client] = {}

    def problems() -> Iterator[Problem]:
        for position in range(clients.trials):
            if position not in stored.finished:
                pending[position] = clients[position]
                yield pending[position].problem

    for found in experiment.attack(problems()):
        client = pending.pop(found.problem)
        rows, matched = score(experiment, client, found)
        stored.append(found.problem, rows, client.truth.x, matched, found.trace)
        yield found.problem, rows, found.trace


def score(experiment: Experiment, client: Client, found: Reconstruction) -> tuple[list[Row], Tensor]:
    """One row per image, and the reconstruction in the order of the truth that it was matched to."""
    observation = client.problem.observation
    scored = experiment.metric(Batch(found.x, found.y), client.truth, observation.model, observation.params)
    course = {
        "loss": found.loss,
        "iterations": found.iterations,
        "evaluations": found.evaluations,
        "seconds": found.seconds,
        "status": found.status,
    }
    rows = [{"target": t} | row | course for t, row in zip(client.indices, scored.rows, strict=True)]
    return rows, scored.matched


def _information(experiment: Experiment, stored: Run) -> RunInfo:
    label = experiment.label
    return RunInfo(
        id=experiment.id,
        directory=stored.directory,
        config=experiment.config,
        group=label.group,
        job_type=label.job_type,
        name=label.name,
        tags=tuple(label.tags),
    )


def _postfix(rows: list[Row]) -> str:
    """What a progress bar says of the newest images."""
    return f"psnr_unit {sum(row['psnr_unit'] for row in rows) / len(rows):.2f} dB"
