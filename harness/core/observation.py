"""What an attacker sees and knows, and nothing else: the threat model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from harness.core.dataset import Images
from harness.core.normalization import Statistics
from harness.core.prior import Generator
from harness.core.types import Params, Shape

if TYPE_CHECKING:
    from harness.core.model import Classifier
    from harness.core.protocol import Protocol


class Adaptation(ABC):
    """What an attacker who knows the *kind* of a defence does: estimate its parameter from the received
    update alone, then apply the same transform to its own trial update (Li et al. 2022, section 3.3)."""

    vectorizable: ClassVar[bool] = False
    """Whether `apply` may run under vmap: its course must not depend on the values of tensors."""

    @abstractmethod
    def estimate(self, observation: "Observation") -> Params:
        """The parameters of the defence, read off the received update: tensors by name."""

    @abstractmethod
    def apply(self, trial: Params, estimate: Params) -> Params:
        """The trial update as the defence would have sent it. Differentiable and pure."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the attacker knows beside the update: nothing unless the configuration grants it."""

    labels: Tensor | None = None
    adaptations: tuple[Adaptation, ...] = ()
    prior: Generator | None = None
    order: Sequence[Tensor] | None = None
    """The indices of the examples in each of the client's local steps."""
    embeddings: Tensor | None = None
    """What the first linear layer sees of each of the client's images [n, d]."""
    public: Images | None = None
    """Labelled images like the clients', but none of theirs."""
    learned: nn.Module | None = None
    """What the attack has trained on public images beforehand (`Attack.learn`)."""
    start: Tensor | None = None
    """Images [n, c, h, w], in the units of [0, 1], to begin the search at; None: the attack's own random start."""


@dataclass(frozen=True, eq=False)
class Observation:
    """All that an attacker sees: this object is the threat model.

    `update` has the parameters' names and shapes; it is gradient-like (a positive multiple of the gradient for
    one step). `n` is the number of images to look for, `shape` is (c, h, w); `protocol` is as it was in force, or what
    the attacker takes it to be.
    """

    model: "Classifier"
    params: Params
    update: Params
    protocol: "Protocol"
    n: int
    shape: Shape
    classes: int
    knowledge: Knowledge = field(default_factory=Knowledge)
    trained_on: int | None = None
    """How many images the client trained on; null: those that are looked for are all."""
    statistics: Statistics | None = None
    """Of the client's batches, where the protocol has it send them."""

    @property
    def examples(self) -> int:
        """How many images stand behind the update: clients tell it, for the server weighs them by it."""
        return self.n if self.trained_on is None else self.trained_on
