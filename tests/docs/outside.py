"""A package from the outside, with one component of every kind that docs/extend.md says can be added."""

PARTS = '''
from math import prod
from typing import Any

import torch
from torch import nn

from harness.core import (
    Attack, Batch, Dataset, Defense, Generator, LabelInference, Metric, Model, Prior, Reconstruction, component,
)
from harness.attacks.solvers.adam import Adam
from harness.datasets.splits import Pool, cut
from harness.federated.fedsgd import FedSGD
from harness.checks.client import ClientChecks
from harness.core.counts import apportion
from harness.models.adapter import Adapter
from harness.plots.scatter import Scatter
from harness.servers.server import ServerPolicy
from harness.starts.policy import StartPolicy


@component
class Rule(LabelInference):
    def counts(self, observation):
        return apportion(torch.ones(observation.classes), observation.examples)


@component
class Grey(Attack):
    labels: LabelInference

    def reconstruct(self, observation, rng):
        found = Reconstruction.of_nothing(observation)
        from dataclasses import replace
        return replace(found, y=self.labels.labels(observation), status="budget", score=0.0, loss=0.0,
                       trace=[{"evaluation": 0, "loss": 0.0}])


@component
class Halving(Defense):
    def on_update(self, update, model, params, batch, rng):
        return {name: value / 2 for name, value in update.items()}


@component
class Stripes(Dataset):
    shape = (1, 8, 8)
    classes = ("across", "down")
    statistics = ((0.5,), (0.5,))

    def load(self, split, root):
        labels = torch.arange(200) % 2
        across = torch.linspace(0, 1, 8).expand(1, 8, 8)
        return cut(Pool(torch.stack([across if y else across.mT for y in labels.tolist()]), labels), split, 0.5)


@component
class Line(Model):
    def network(self, shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), classes))


@component
class Doubled(FedSGD):
    def update(self, model, params, batch, order=None):
        return {name: 2 * value for name, value in super().update(model, params, batch, order).items()}


class Flat(Generator):
    latent = 1

    def forward(self, z, y):
        return z.new_full((len(z), 1, 8, 8), 0.5)


@component
class Even(Prior):
    def generator(self, dataset, root, cache, seed):
        return Flat()


@component
class White(StartPolicy):
    def start(self, memory, shape, rng):
        return torch.ones(shape)


@component
class Whole(Adapter):
    def adapt(self, model, seed):
        return model


@component
class Plain(ServerPolicy):
    """Sends what it has."""


@component
class Suspicious(ClientChecks):
    """Trusts nobody."""

    def alarms(self, model, batch):
        return ["all"]


@component
class Steady(Adam):
    """Steps of one size throughout."""


@component
class Peak(Metric):
    needs_model = False

    def __call__(self, reconstruction, truth, model, params):
        return (reconstruction.x - truth.x).abs().flatten(1).amax(1).double()


@component
class Dots(Scatter):
    """A point per image, once more."""
'''

GROUPS = {
    "labels": "_target_: outside.parts.Rule\n",
    "attack": "defaults:\n  - /labels@labels: own\n  - _self_\n_target_: outside.parts.Grey\n",
    "defense": "_target_: outside.parts.Halving\n",
    "dataset": "_target_: outside.parts.Stripes\n",
    "model": "_target_: outside.parts.Line\n",
    "fl": "_target_: outside.parts.Doubled\n",
    "prior": "_target_: outside.parts.Even\n",
    "start": "_target_: outside.parts.White\n",
    "adapter": "_target_: outside.parts.Whole\n",
    "server": "_target_: outside.parts.Plain\n",
    "checks": "_target_: outside.parts.Suspicious\n",
    "optimizer": "_target_: outside.parts.Steady\nlr: 0.1\n",
    "metric": "defaults: [default]\nmetrics:\n  peak: {_target_: outside.parts.Peak}\n",
}
"""The file own.yaml of each group."""

TABLE = """# @package _global_
defaults:
  - override /hydra/sweeper: table
hydra:
  mode: MULTIRUN
  sweeper:
    name: own
    title: A table of one's own
    source: Nobody, Nowhere, Table 0
    base: [model=own, fl=own, prior=own, metric=own, logger=none, trials=2]
    metrics: {peak: {title: Peak, higher_is_better: false}}
    rows: {Grey: [attack=own]}
    columns: {Halving: [defense=own]}
    plots:
      - {_target_: outside.parts.Dots, name: dots, x: mse, y: peak}
"""
SWEEP = """# @package _global_
defaults:
  - override /hydra/sweeper: grid
hydra:
  mode: MULTIRUN
  sweeper:
    name: own
    title: A sweep of one's own
    base: [model=own, fl=own, prior=own, metric=own, logger=none, trials=2, defense=own]
    grid: {attack: [own], seed: [0]}
    metrics: [peak]
"""
TUNE = """# @package _global_
defaults:
  - override /hydra/sweeper: tune
hydra:
  mode: MULTIRUN
  sweeper:
    name: own
    title: A tuning of one's own
    metric: peak
    higher_is_better: false
    candidates: 2
    base: [model=own, prior=own, metric=own, logger=none, trials=2, defense=own]
    rows:
      IG:
        overrides: [attack=ig]
        space: {attack.optimizer.lr: {low: 0.01, high: 1.0, log: true}}
"""
