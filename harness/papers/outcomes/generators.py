"""How good the generators are that GGL searches: their distance to real images, beside that of other real images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from harness.base.files import write_atomically
from harness.base.numbers import Count
from harness.base.rows import pipes, to_csv
from harness.config.experiment import Experiment
from harness.core import Classifier, Generator, Images, Model, UserError, component
from harness.metrics.confidence import Confidence
from harness.models.training import Training
from harness.models.victim import pairs
from harness.papers.outcomes.pictures import sheet
from harness.plots import pictures
from harness.priors.quality import features, frechet, samples
from harness.runs.targets import PRIOR_SEED
from harness.store.records import Store
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement

REAL = "other real images"
FEWEST = 2
"""Images of which there is a covariance."""


@component
class Generators(Supplement):
    """generators.md and generators.csv: the Frechet distance of each row's generator to the images that are attacked,
    on features of a network trained on images of no client; generators.png: a sheet of each.

    A generator that is not in the store is left out: none is trained for this.
    """

    model: Model
    """The judge of the images."""
    training: Training
    images: Count = 5000
    """Compared, where there are as many."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        found = _searched(outcomes)
        if not found:
            return
        first = next(iter(found.values()))
        try:
            real, other = _real(first, self.images)
        except UserError:  # the table is shown without its data
            return
        images = {REAL: other} | dict(_generated(found, store, len(real)))
        if len(images) == 1 or len(real) < FEWEST:
            return
        judge = self._judge(first, store)
        seen = features(judge, real)
        distances = {name: frechet(features(judge, each), seen) for name, each in images.items()}
        lines: list[Sequence[object]] = [["images", "number", "frechet"]]
        lines += [[name, len(real), f"{value:.6g}"] for name, value in distances.items()]
        write_atomically(directory / "generators.csv", to_csv(lines).encode())
        told = f"{type(self.model).__name__} after {self._steps(first):,} steps"
        write_atomically(directory / "generators.md", _page(dataset, distances, len(real), told).encode())
        pictures.save(sheet(images), directory / "generators.png")

    def _judge(self, experiment: Experiment, store: Store) -> Classifier:
        training = replace(self.training, steps=self._steps(experiment))
        metric = Confidence(dataset=experiment.dataset, model=self.model, training=training)
        return metric.judge(experiment.data.root, str(store.root / "judges"))

    def _steps(self, experiment: Experiment) -> int:
        """Those of the judge; at a scale whose generators have fewer, as few."""
        return min(self.training.steps, experiment.scale.prior_steps or self.training.steps)


def _searched(outcomes: Sequence[Outcome]) -> Mapping[str, Experiment]:
    """One finished experiment for each generator that a row on the first such row's data set searches."""
    found: dict[str, Experiment] = {}
    for outcome in outcomes:
        experiment = outcome.experiment
        if not outcome.record or experiment is None or not experiment.attack.requires_prior:
            continue
        first = next(iter(found.values()), experiment)
        if experiment.dataset == first.dataset:
            steps = experiment.prior.steps
            name = experiment.choices["prior"] or type(experiment.prior).__name__
            found.setdefault(f"{name}, {steps:,} steps" if steps > 1 else name, experiment)
    return found


def _real(experiment: Experiment, most: int) -> tuple[Tensor, Tensor]:
    """As many images that may be attacked as others, which are public. Raises UserError where they are not at hand."""
    dataset, root = experiment.dataset.resolved(experiment.data.root), experiment.data.root
    both: list[Images] = [dataset.load("attack", root), dataset.load("public", root)]
    count = min(most, *map(len, both))
    real, other = (pairs(images, torch.arange(count))[0] for images in both)
    return real, other


def _generated(found: Mapping[str, Experiment], store: Store, count: int) -> Iterator[tuple[str, Tensor]]:
    """The images of each generator that is at hand, [count, c, h, w]."""
    for name, experiment in found.items():
        root, cache = experiment.data.root, str(store.root / "priors")
        dataset = experiment.dataset.resolved(root)
        if experiment.prior.at_hand(dataset, root, cache, PRIOR_SEED):
            network: Generator | None = experiment.prior.generator(dataset, root, cache, PRIOR_SEED)
            if network is not None:
                yield name, samples(network, count, len(dataset.classes))


def _page(dataset: str, distances: Mapping[str, float], count: int, judge: str) -> str:
    floor = distances[REAL]
    rows = [
        [name, f"{value:.2f}", f"{value / floor:.1f}" if floor > 0 else "-"]
        for name, value in distances.items()
    ]
    head = ["images", "Fréchet distance", "over that of real images"]
    return f"""# How good the generators are

{dataset}. Fréchet distance of {count:,} images to as many real ones that may be attacked, on what the head of a network
sees that was trained on images of no client under attack ({judge}). Real images that no client
holds are the least that can be hoped for. [Samples](generators.png).

{pipes([head, *rows])}
"""
