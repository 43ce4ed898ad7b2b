"""Runs: clients send updates, an attack inverts them, metrics score it, the store keeps it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.attacks.solvers.variables import LATENT
from harness.base import interruption
from harness.base.errors import warn
from harness.base.files import to_json, write_atomically
from harness.base.progress import Bar, meanwhile, task
from harness.base.rows import Row
from harness.base.threat import tag
from harness.config.experiment import Experiment
from harness.core import Attack, Reconstruction, Record, Watch
from harness.identity.changes import methods
from harness.identity.identity import components
from harness.loggers.logger import RunInfo, Session, warn_unlogged
from harness.machine.device import device
from harness.machine.ranks import Group, Share, started_elsewhere
from harness.plots.pictures import draw_run
from harness.runs.active import ActiveRun, invert
from harness.runs.answers import answer, bring_up_to_date, config_of, prepare_metrics, wanted
from harness.runs.clients import open_targets
from harness.runs.logged import log, log_again, shown_rows
from harness.runs.memory import check_memory
from harness.runs.scoring import score
from harness.runs.targets import Client, Targets
from harness.runs.watching import Shares, Watching
from harness.store.iterates import beside, shown
from harness.store.lease import LOOK, Held
from harness.store.provenance import dated, note_stored, provenance
from harness.store.recording import Run, Shard
from harness.store.records import MARK, Store, hint_older, summarise

if TYPE_CHECKING:
    from lightning_fabric import Fabric

COLLECT_SECONDS = 1.0
"""Between two looks at what the ranks have stored."""


def run(experiment: Experiment) -> Record:
    """Carry out what is not yet done of a run, image by image, and return its record.

    Where another process is at it, wait until that has finished or is dead.
    """
    store = Store(experiment.paths.runs)
    while True:
        try:
            (record,) = run_together([experiment])
            return record
        except Held as held:
            warn(f"{held}; waiting for it")
        while store.holder(experiment.id):
            interruption.check()
            time.sleep(LOOK)


def run_together(experiments: Sequence[Experiment]) -> list[Record]:
    """Carry out what is not yet done of runs that differ in seed and start alone, in one call of their attack.

    Returns their records in order. What a run finds does not depend on those beside it. Federated runs are carried out
    one after the other, for each has a simulation of its own. Raises Held when another process is at one of them: the
    others are left, as far as they have come.
    """
    if len({experiment.group_key for experiment in experiments}) > 1:
        raise ValueError("runs side by side may differ in seed and start alone")
    store = Store(experiments[0].paths.runs)
    found = {experiment.id: answer(store, experiment) for experiment in experiments}
    pending = {e.id: e for e in experiments if found[e.id] is None}
    stored = [identity for identity, record in found.items() if record is not None]
    for identity in stored:
        store.tidy(identity)
    note_stored([store.root / identity for identity in stored])
    warn_unlogged((record, e.logger) for e in experiments if (record := found[e.id]))
    if pending:
        interruption.check()
        hint_older(store.root)
        apart = experiments[0].fl.in_rounds
        for job in [[e] for e in pending.values()] if apart else [list(pending.values())]:
            found |= {record.id: record for record in _carry_out(store, job)}
    return [record for experiment in experiments if (record := found[experiment.id])]


def _carry_out(store: Store, experiments: Sequence[Experiment]) -> Iterator[Record]:
    first = experiments[0]
    torch.set_num_threads(first.threads)
    return _in_ranks(store, experiments) if first.ranks * first.nodes > 1 else _alone(store, experiments)


def _alone(store: Store, experiments: Sequence[Experiment]) -> Iterator[Record]:
    """In this process."""
    with ExitStack() as stack:
        runs = _open(store, experiments, stack)
        first, finished = runs[0], runs[0].stored.finished
        with task(_title(experiments), _left(runs), worth=1 / wanted(experiments[0])) as bar:
            work = _Work(experiments[0].attack, runs, bar)
            first.clients.serve(work.attack, finished, store.root / experiments[0].id)
        yield from work.records
        for one in work.at_work:
            if one.done:  # stored whole, but killed before it was finished
                yield _finish(one)
        if not all(one.done for one in work.at_work):
            interruption.check()


class _Work:
    """Runs under way: what their attacks find is stored as it comes, and a run that has all is finished."""

    def __init__(self, attack: Attack, runs: Sequence[ActiveRun], bar: Bar) -> None:
        self._attack, self._shares, self._clock = attack, Shares(bar), _Clock()
        self.at_work = list(runs)
        self.records: list[Record] = []

    def attack(self) -> None:
        """Attack all that can be attacked by now."""
        for one, client, found in invert(self._attack, self.at_work, self._watch):
            rows = _store(one, client, found)
            log(one.session, one.stored, one.pictured, found.problem, rows, found.trace)
            self._shares.finish((one.number, found.problem), _postfix(rows))
            self._clock.share(self.at_work)
            if one.done:
                self.at_work.remove(one)
                self.records.append(_finish(one))

    def _watch(self, one: ActiveRun, client: Client) -> Watch:
        return Watching(self._shares, one.number, client, self._attack, one.session)


def _in_ranks(store: Store, experiments: Sequence[Experiment]) -> Iterator[Record]:
    """In several processes, the first of which keeps the runs: it logs what comes, and finishes them at the end."""
    first, clock = experiments[0], _Clock()
    group = Group(first.ranks, first.nodes, device(first.device).type)
    with group.heeding(store.root / f".stop-{first.id}"), ExitStack() as stack:
        runs = _open(store, experiments, stack) if group.leads else []
        with (
            task(_title(experiments), _left(runs)) as bar,
            meanwhile(lambda: _collect(runs, bar), COLLECT_SECONDS),
        ):
            spent = group.launch(partial(_share, experiments))
        clock.share(runs)
        for one, cpu_seconds in zip(runs, spent, strict=False):
            one.cpu_seconds = cpu_seconds
            if one.done:
                yield _finish(one)
        group.wait()
        if not all(one.done for one in runs):
            interruption.check()
            raise RuntimeError("the ranks have ended, and not all targets are attacked")
    if not group.leads:
        yield from (record for e in experiments if (record := answer(store, e)))


def _share(experiments: Sequence[Experiment], fabric: "Fabric") -> list[float]:
    """What one rank attacks and stores. Returns the CPU seconds of each run, over all ranks."""
    share, clock = Share(fabric.global_rank, fabric.world_size), _Clock()
    interruption.leave_to_parent()
    torch.set_num_threads(experiments[0].threads)
    fabric.barrier()  # until the runs are there
    if experiments[0].attack.reconstructs_images:
        prepare_metrics(experiments[0])
    runs = [
        ActiveRun(each, own, Shard(each.paths.runs / each.id, share.rank), Session(), number, share)
        for number, (each, own) in enumerate(zip(experiments, _clients(experiments), strict=True))
    ]
    for one, client, found in invert(experiments[0].attack, runs):
        _store(one, client, found)
        clock.share(runs)
    if started_elsewhere():
        interruption.check()
    spent = fabric.all_reduce(torch.tensor([one.cpu_seconds for one in runs]), reduce_op="sum")
    return [float(each) for each in spent]


def _collect(runs: Sequence[ActiveRun], bar: Bar) -> None:
    """Take in what the ranks have stored since, and log it."""
    for one in runs:
        assert isinstance(one.stored, Run)
        for problem in one.stored.merge():
            rows = shown_rows(one.stored, problem, one.experiment.report)
            log(one.session, one.stored, one.pictured, problem, rows, one.stored.trace(problem))
            bar.advance(_postfix(rows))


def _left(runs: Sequence[ActiveRun]) -> int:
    """How many clients are still to be attacked."""
    return sum(len(one.left) for one in runs)


def _open(store: Store, experiments: Sequence[Experiment], stack: ExitStack) -> list[ActiveRun]:
    """The runs with their data and their stores, before a logger begins with any of them."""
    check_memory(experiments[0])
    clients = _clients(experiments)
    if experiments[0].attack.reconstructs_images:
        prepare_metrics(experiments[0])
    runs: list[ActiveRun] = []
    for experiment, own in zip(experiments, clients, strict=True):
        stored = store.open(
            experiment.id, experiment.config, experiment.lease.expiry, partial(_answered, store, experiment)
        )
        stack.callback(stored.close)
        bring_up_to_date(experiment, own, stored)
        session = experiment.logger.open(_information(experiment, stored))
        write_atomically(stored.directory / MARK, (to_json(experiment.identity, indent=1) + "\n").encode())
        runs.append(ActiveRun(experiment, own, stored, session, len(runs)))
        stack.push(runs[-1].closing)
        log_again(session.forgetful(), stored, runs[-1].pictured, experiment.report)
    return runs


def _answered(store: Store, experiment: Experiment) -> bool:
    return answer(store, experiment) is not None


def _clients(experiments: Sequence[Experiment]) -> list[Targets]:
    """The clients of runs side by side, with one prior for all."""
    first = open_targets(experiments[0])
    return [first, *(open_targets(experiment, first) for experiment in experiments[1:])]


def _store(active: ActiveRun, client: Client, found: Reconstruction) -> list[Row]:
    """Score a reconstruction and store it."""
    scored = score(active.experiment, client, found)
    raw = found.end.unclamped if active.policy.learns else None
    images = scored.images | ({} if raw is None else {"unclamped": raw}) | _latents(found)
    active.stored.append(found.problem, scored.rows, images, found.trace)
    return [shown(row, active.experiment.report) for row in scored.rows]


def _latents(found: Reconstruction) -> dict[str, Tensor]:
    """The latent vectors of both iterates, where there are any, in the order of the search."""
    last = {} if found.last is None else beside({LATENT: found.last.latent})
    return {name: z for name, z in ({LATENT: found.latent} | last).items() if z is not None}


def _finish(active: ActiveRun) -> Record:
    assert isinstance(active.stored, Run)
    spent = {"seconds": active.seconds, "cpu_seconds": active.cpu_seconds}
    logger = {"logger": ", ".join(active.experiment.logger.names)}
    origin = provenance(active.clients.device) | dated() | spent | logger
    origin["methods"] = methods([*active.experiment.parts, *components(active.experiment.metric)])
    active.stored.trim()
    active.stored.config = config_of(active.experiment, len(active.stored.finished))
    active.stored.finish(summarise(active.stored.rows), origin, draw_run)
    record = answer(Store(active.experiment.paths.runs), active.experiment)
    assert record is not None
    gallery = active.stored.directory / "gallery.png"
    active.session.finish(record, gallery if gallery.exists() else None)
    active.closing.close()
    return record


class _Clock:
    """Time since it was last looked at, in equal shares for the runs at work."""

    def __init__(self) -> None:
        self.seconds, self.cpu_seconds = time.perf_counter(), time.process_time()

    def share(self, runs: Sequence[ActiveRun]) -> None:
        seconds, cpu_seconds = time.perf_counter(), time.process_time()
        for one in runs:
            one.seconds += (seconds - self.seconds) / len(runs)
            one.cpu_seconds += (cpu_seconds - self.cpu_seconds) / len(runs)
        self.seconds, self.cpu_seconds = seconds, cpu_seconds


def _information(experiment: Experiment, stored: Run) -> RunInfo:
    label, choices = experiment.label, experiment.choices
    return RunInfo(
        id=experiment.id,
        directory=stored.directory,
        config=experiment.config,
        group=label.group or choices.get("dataset"),
        job_type=label.job_type or choices.get("attack"),
        name=label.name or f"{experiment.title}, seed {experiment.seed}",
        tags=(
            *label.tags,
            tag(experiment.config),
            *(choices[g] for g in ("dataset", "scale") if g in choices),
        ),
    )


def _title(experiments: Sequence[Experiment]) -> str:
    """What a progress bar calls runs side by side."""
    others = len(experiments) - 1
    return f"{experiments[0].title} and {others} beside it" if others else experiments[0].title


def _postfix(rows: list[Row]) -> str:
    """What a progress bar says of the newest images."""
    values = [row["psnr_unit"] for row in rows if row.get("psnr_unit") is not None]
    return f"psnr_unit {sum(values) / len(values):.2f} dB" if values else ""
