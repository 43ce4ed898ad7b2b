"""In what order the jobs of a command are begun."""

from collections.abc import Sequence

from harness.config.experiment import Experiment
from harness.runs.answers import wanted

Job = tuple[Experiment, ...]
"""Runs whose attacks share one engine."""


def in_turn(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """What is trained once, a generator or a model, is trained by the first that needs it, and others wait for it.

    So first come the jobs that train something, then those that wait for nothing, and last those that would wait. Of
    each kind the longest is first, so that no worker is left alone with it at the end.
    """
    trained: set[str] = set()
    turns: tuple[list[Job], ...] = ([], [], [])
    for job in sorted(jobs, key=work, reverse=True):
        needed = _trained(job[0])
        turns[0 if needed - trained else 2 if needed else 1].append(job)
        trained |= needed
    return tuple(job for turn in turns for job in turn)


def work(job: Job) -> int:
    """About how much a job computes: the images that all evaluations of its searches go through at most.

    What is trained, by the attack or before it, and how large a client of a federation comes out, is not counted.
    """
    one = job[0]
    images = sum(len(step) for epoch in one.fl.epochs(one.fl.examples) for step in epoch)
    return len(job) * wanted(one) * one.attack.evaluations * images


def _trained(experiment: Experiment) -> set[str]:
    """What a run shares with others that has to be trained before."""
    needed = {repr((experiment.prior, experiment.dataset))} if experiment.attack.requires_prior else set()
    if experiment.training.steps:
        model = experiment.model
        seed = experiment.seed if model.seed is None else model.seed
        needed.add(repr((experiment.training, model, experiment.dataset, seed)))
    return needed
