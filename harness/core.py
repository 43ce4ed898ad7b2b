"""The nouns of the harness and the abstract classes that a new component implements."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, ClassVar, Literal, final

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from harness.component import Component as Component
from harness.component import component as component
from harness.errors import Unreadable as Unreadable
from harness.errors import UserError as UserError
from harness.labels.counts import apportion, multiset

Params = dict[str, Tensor]
Split = Literal["attack", "public", "train"]
Shape = tuple[int, int, int]
Status = Literal["converged", "stalled", "budget", "diverged", "failed"]


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that depends on every part, and on nothing else (not on order or process)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A CPU random generator seeded by `derive_seed(*parts)`."""
    return torch.Generator().manual_seed(derive_seed(*parts))


class Images(TorchDataset[tuple[Tensor, int]], ABC):
    """Rows of a data set as (image float32 [c, h, w] in [0, 1], class).

    `indices` are the rows' numbers in the whole data set, `labels` [n] their classes.
    """

    indices: list[int]
    labels: Tensor

    @abstractmethod
    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Batch:
    """A client's secret: images x [n, c, h, w] in [0, 1]; labels y [n] int64, or soft [n, classes]."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)


class Adaptation(ABC):
    """What an attacker who knows the *kind* of a defence does: estimate its parameter from the received
    update alone, then apply the same transform to its own trial update (paper 003, section 3.3)."""

    vectorizable: ClassVar[bool] = False
    """Whether `apply` may run under vmap: its course must not depend on the values of tensors."""

    @abstractmethod
    def estimate(self, observation: "Observation") -> Params:
        """The parameters of the defence, read off the received update: tensors by name."""

    @abstractmethod
    def apply(self, trial: Params, estimate: Params) -> Params:
        """The trial update as the defence would have sent it. Differentiable and pure."""


class Generator(nn.Module, ABC):
    """A prior's generator: latent vectors z [n, latent] (and classes y [n]) to images in [0, 1]."""

    latent: int

    @abstractmethod
    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Images [n, c, h, w] in [0, 1]. Generators without classes ignore y."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the attacker knows beside the update: nothing unless the configuration grants it."""

    labels: Tensor | None = None
    adaptations: tuple[Adaptation, ...] = ()
    prior: Generator | None = None
    order: Sequence[Tensor] | None = None
    """The indices of the examples in each of the client's local steps."""
    public: Images | None = None
    """Labelled images like the clients', but none of theirs."""
    start: Tensor | None = None
    """Images [n, c, h, w], in the units of [0, 1], to begin the search at; None: the attack's own random start."""


@dataclass(frozen=True, eq=False)
class Observation:
    """All that an attacker sees: this object is the threat model.

    `update` has the parameters' names and shapes; it is gradient-like (a positive multiple of the gradient for
    one step). `n` is the number of images to look for, `shape` is (c, h, w); `protocol` is as it was in force.
    """

    model: "Classifier"
    params: Params
    update: Params
    protocol: "Protocol"
    n: int
    shape: Shape
    classes: int
    knowledge: Knowledge = field(default_factory=Knowledge)
    held: int | None = None
    """How many images the client trained on; null: those that are looked for are all."""

    @property
    def examples(self) -> int:
        """How many images stand behind the update: clients tell it, for the server weighs them by it."""
        return self.n if self.held is None else self.held


@dataclass(frozen=True, eq=False)
class Problem:
    """One observation to invert; `id` is its position among the targets of a run."""

    id: int
    observation: Observation
    seed: int


@dataclass(frozen=True, eq=False)
class Attempt:
    """One restart of one problem, with a random generator of its own: results depend on nothing else."""

    problem: Problem
    restart: int

    def generator(self) -> torch.Generator:
        return generator("attack", self.problem.seed, self.restart)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What an attack returns: x [n, c, h, w] in [0, 1], y [n] and how it got there.

    An attack that infers labels alone returns no images, x [0, c, h, w], and a label for every example of the client.

    `score` chooses among restarts (lower is better): the attacker's own objective, never a true metric.
    `unclamped` is x as the search left it, which may be far out of range.
    """

    x: Tensor
    y: Tensor
    loss: float
    score: float
    status: Status
    iterations: int
    evaluations: int
    trace: list[dict[str, float]] = field(default_factory=list)
    problem: int = -1
    seconds: float = 0.0
    unclamped: Tensor | None = None

    @classmethod
    def of_nothing(cls, observation: Observation, images: bool = True) -> "Reconstruction":
        """What stands for an attack that the update gave nothing to work on: grey images that are never scored.

        Without `images`, only as many labels that name no class.
        """
        return cls(
            x=torch.full((observation.n if images else 0, *observation.shape), 0.5),
            y=torch.full((observation.n if images else observation.examples,), -1),
            loss=math.nan,
            score=math.inf,
            status="failed",
            iterations=0,
            evaluations=0,
        )


class Normalize(nn.Module):
    """The first layer of every model: (x - mean) / std per channel, so that all else sees [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[..., c, h, w] in [0, 1] to the network's own units."""
        return (x - self.mean) / self.std

    def invert(self, u: Tensor) -> Tensor:
        """The network's own units back to [0, 1]."""
        return u * self.std + self.mean


class Classifier(nn.Module):
    """A network behind its normalisation; `head` is the dotted name of its last linear layer."""

    def __init__(self, normalize: Normalize, network: nn.Module) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network
        linear = [name for name, module in self.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise UserError(f"{type(network).__name__} has no linear layer to classify with")
        self.head = linear[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, c, h, w] in [0, 1] to logits [n, classes]."""
        logits: Tensor = self.network(self.normalize(x))
        return logits


@component
class Dataset(Component, ABC):
    """A source of labelled images with three disjoint splits."""

    embedded: ClassVar[bool] = False
    """True when the data come with the installed packages."""

    @property
    @abstractmethod
    def shape(self) -> Shape: ...

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""

    @property
    @abstractmethod
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel, on [0, 1]."""

    def fingerprint(self, root: str | None) -> str:
        """What tells one user's files from another's under the same settings; empty for a data set with one content."""
        return ""

    @abstractmethod
    def load(self, split: Split, root: str | None) -> Images:
        """One split. Raises UserError, naming the expected files, when the data are not there."""


@component
class Model(Component, ABC):
    """A network architecture and how its weights come about."""

    normalize: Literal["none", "symmetric", "dataset"] = "none"
    """none: [0, 1]; symmetric: mean = std = .5, so [-1, 1]; dataset: the data set's own statistics."""
    fresh: bool = False
    """Draw new weights for every target (as iDLG.py does), instead of one network for all targets."""
    seed: int | None = None
    """Seed of the weights; null: derived from the run's seed."""

    @abstractmethod
    def network(self, shape: Shape, classes: int) -> nn.Module:
        """A freshly initialised network, drawing from torch's global generator."""

    def calibrate(self, model: "Classifier", public: Callable[[], Images]) -> None:
        """Fit to public images what a malicious server plants in its network: by default nothing."""
        return

    @final
    def build(self, dataset: Dataset, seed: int, root: str | None = None) -> Classifier:
        """The network in eval mode behind its normalisation; the same seed gives the same weights.

        `root` is where the data set's files are, should the network be calibrated on public images.
        """
        channels = dataset.shape[0]
        statistics = {
            "none": ((0.0,) * channels, (1.0,) * channels),
            "symmetric": ((0.5,) * channels, (0.5,) * channels),
            "dataset": dataset.statistics,
        }[self.normalize]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.network(dataset.shape, len(dataset.classes))
        model = Classifier(Normalize(*statistics), network).eval().requires_grad_(False)
        self.calibrate(model, lambda: dataset.load("public", root))
        return model


@component
class Protocol(Component, ABC):
    """What a client computes from its data and sends."""

    batch_size: PositiveInt = 1
    dummies: PositiveInt | None = None
    """How many images an attack looks for; null: as many as the client holds."""

    @property
    def in_rounds(self) -> bool:
        """Whether clients train a model together, round by round; if not, each sends its first update alone."""
        return False

    @property
    @abstractmethod
    def examples(self) -> int:
        """How many images stand behind one update."""

    @abstractmethod
    def update(
        self, model: nn.Module, params: Params, batch: Batch, order: Sequence[Tensor] | None = None
    ) -> Params:
        """The client's update: pure and differentiable in the batch, for the honest client and the attacker alike.

        `order` lists the indices of each local step; None is the order of the batch, the only one an attacker knows.
        """

    def order(self, rng: torch.Generator) -> Sequence[Tensor] | None:
        """The client's own, secret order of its examples."""
        return None

    def epochs(self, examples: int) -> list[list[Tensor]]:
        """The indices of every local step, epoch by epoch, for a client that takes its examples in their own order."""
        return [[torch.arange(examples)]]


@component
class Defense(Component, ABC):
    """A client-side defence. Every hook is the identity unless overridden; none may alter its arguments."""

    def on_batch(self, batch: Batch, rng: torch.Generator) -> Batch:
        return batch

    def on_model(self, model: Classifier) -> Classifier:
        return model

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        return update

    def adaptations(self) -> tuple[Adaptation, ...]:
        """What an attacker who knows this kind of defence (not its secret parameter) does about it."""
        return ()


@component
class LabelInference(Component, ABC):
    """A rule that reads off an update how many images of each class are behind it."""

    requires_public: ClassVar[bool] = False
    """Whether the rule can't answer without `Knowledge.public`."""

    @abstractmethod
    def counts(self, observation: Observation) -> Tensor:
        """How many of the client's examples have each class: [classes] int64, not negative, `examples` in all.

        Raises Unreadable for an update that says nothing, UserError where the rule does not fit the observation.
        """

    def check(self, n: int, examples: int, classes: int) -> None:
        """Raises UserError where the rule can't name labels for n images, when the client holds so many examples."""
        return

    @final
    def labels(self, observation: Observation) -> Tensor:
        """Labels [n] int64 for the images that are looked for, in the proportions of the counts: a sorted multiset."""
        return multiset(apportion(self.counts(observation), observation.n))


@component
class Prior(Component, ABC):
    """A generative prior: how a generator is trained on, or loaded for, a data set."""

    steps: PositiveInt = 1

    def check(self, dataset: Dataset, root: str | None) -> None:
        """Raises UserError now, rather than when the first attack asks for it, where there can't be a generator."""
        return

    @abstractmethod
    def generator(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> Generator | None:
        """The generator in eval mode, from the cache where it is there. None: no prior."""


@component
class Metric(Component, ABC):
    """A score of a reconstruction against the truth, one number per image."""

    higher_is_better: ClassVar[bool] = False
    needs_model: ClassVar[bool] = True
    """False: the score is of the images alone, and so can be had when the attacked network is gone."""

    def prepare(self) -> None:
        """Load what scoring needs. Raises UserError now rather than when the attack is done."""
        return

    @abstractmethod
    def __call__(
        self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params
    ) -> Tensor | None:
        """Scores [n] of batches that are matched image to image. None: it can't be had here."""


@component
class Attack(Component, ABC):
    """A gradient-inversion attack. A new one writes `reconstruct`, or builds on `solvers.OptimizationAttack`."""

    requires_prior: ClassVar[bool] = False
    """Whether the attack can't run without a generative prior."""
    reconstructs_images: ClassVar[bool] = True
    """False: the attack infers labels alone, and what is scored is how many of each class there are."""
    accepts_start: ClassVar[bool] = False
    """Whether the attack begins at `Knowledge.start` where there is one."""
    steps: PositiveInt = 1
    """Outer iterations of one attempt."""
    restarts: PositiveInt = 1
    """Attempts per problem; the one with the lowest score is reported."""

    def check(self, model: Model) -> None:
        """Refuse a network that the attack can't work on. Raises UserError."""
        return

    @final
    def __call__(self, problems: Iterable[Problem | None]) -> Iterator[Reconstruction]:
        """Invert every problem, yielding each reconstruction as it finishes, in any order.

        None among the problems means that the next one depends on a result that is still to come: it is asked for
        again when something has finished. Raises RuntimeError where nothing is running that could finish.
        """
        started: dict[int, float] = {}
        found: dict[int, list[Reconstruction]] = {}

        def attempts() -> Iterator[Attempt | None]:
            for problem in problems:
                if problem is None:
                    yield None
                    continue
                started[problem.id] = perf_counter()
                found[problem.id] = []
                yield from (Attempt(problem, restart) for restart in range(self.restarts))

        for attempt, candidate in self.run(attempts()):
            identity = attempt.problem.id
            found[identity].append(candidate)
            if len(found[identity]) == self.restarts:
                seconds = perf_counter() - started.pop(identity)
                yield self._checked(_best(found.pop(identity)), attempt.problem, seconds)

    def run(self, attempts: Iterator[Attempt | None]) -> Iterator[tuple[Attempt, Reconstruction]]:
        """Carry out attempts, in any order and as many at once as is fastest; None: nothing is ready now."""
        for attempt in attempts:
            if attempt is None:
                raise RuntimeError("the queue waits for a result, and nothing is running")
            observation = attempt.problem.observation
            try:
                yield attempt, self.reconstruct(observation, attempt.generator())
            except Unreadable:
                yield attempt, Reconstruction.of_nothing(observation, self.reconstructs_images)

    @abstractmethod
    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        """One attempt at one problem. Raises Unreadable where the update says nothing to the attack."""

    def _checked(self, found: Reconstruction, problem: Problem, seconds: float) -> Reconstruction:
        """Hold every attack to the same contract: shape, range and finiteness of what it returns."""
        observation, sought = problem.observation, self.reconstructs_images
        expected = (observation.n if sought else 0, *observation.shape)
        labels = observation.n if sought else observation.examples
        if tuple(found.x.shape) != expected or len(found.y) != labels:
            raise RuntimeError(
                f"an attack returned x {tuple(found.x.shape)}, y {len(found.y)}; expected {expected}, {labels}"
            )
        broken = not bool(torch.isfinite(found.x).all())
        x = torch.nan_to_num(found.x.detach(), nan=0.5).clamp(0, 1)
        status: Status = "diverged" if broken else found.status
        return replace(
            found,
            x=x,
            y=found.y.detach(),
            status=status,
            problem=problem.id,
            seconds=seconds,
            unclamped=(found.x if found.unclamped is None else found.unclamped).detach(),
        )


def _best(candidates: list[Reconstruction]) -> Reconstruction:
    finite = [c for c in candidates if c.status not in ("diverged", "failed")] or candidates
    best = min(finite, key=lambda c: c.score if c.score == c.score else float("inf"))
    return replace(best, evaluations=sum(c.evaluations for c in candidates))


@dataclass(frozen=True)
class Record:
    """A finished run: its id, resolved configuration, one row per image, summary and provenance."""

    id: str
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    provenance: dict[str, Any]
