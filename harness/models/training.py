"""How long a model was trained before its clients send anything."""

import sys
from typing import Literal

import torch

from harness.base.numbers import Count, Natural, Positive
from harness.core import Classifier, Component, Dataset, Model, Split, UserError, component
from harness.identity.identity import canonical
from harness.store.cache import Entry, finite


@component
class Training(Component):
    """Ordinary training, by default on the train split, which no client under attack has images of; 0 steps: untrained.

    What is trained is kept in the cache, for every run that attacks the same model.
    """

    steps: Natural = 0
    """Minibatches."""
    batch_size: Count = 64
    lr: Positive = 1e-3
    """Of Adam."""
    split: Literal["train", "attack", "public"] = "train"
    """The split that is learnt; attack: the very images that are attacked, as Guo et al. 2025 have it (code); public:
    those of no client."""

    @property
    def reads(self) -> frozenset[Split]:
        return frozenset({self.split} if self.steps else ())

    def model(
        self, model: Model, dataset: Dataset, root: str | None, cache: str, seed: int, device: torch.device
    ) -> Classifier:
        """The model in eval mode on a device, its weights drawn by `seed` and trained, or read from the cache.

        Raises UserError for a training that diverged.
        """
        classifier = model.build(dataset, seed, root)
        if self.steps:
            entry = Entry.of(
                cache, type(model).__name__, self._identity(model, dataset, root, seed), "classifier"
            )
            entry.fill(classifier, lambda: self._train(classifier, dataset, root, entry, seed, device))
        return classifier.to(device).eval().requires_grad_(False)

    def _identity(self, model: Model, dataset: Dataset, root: str | None, seed: int) -> dict[str, object]:
        return {
            "training": canonical(self),
            "model": canonical(model),
            "dataset": canonical(dataset),
            "files": dataset.fingerprint(root, sorted(self.reads | model.reads)),
            "seed": seed,
        }

    def _train(
        self,
        model: Classifier,
        dataset: Dataset,
        root: str | None,
        entry: Entry,
        seed: int,
        device: torch.device,
    ) -> None:
        from harness.models.victim import Course, right, train

        course = Course(self.steps, self.batch_size, self.lr)
        train(course, model, dataset.load(self.split, root), seed, device, entry.folder)
        if not finite(model):
            raise UserError(f"the model's training diverged: lower training.lr, and delete {entry.folder}")
        share = right(model, dataset.load("attack", root))
        print(
            f"model: {self.steps:,} steps, {share:.1%} right on the attack split ({entry.folder.name})",
            file=sys.stderr,
            flush=True,
        )
        entry.save(model)
