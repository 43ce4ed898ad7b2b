"""Which way of evaluating the problems is fastest, and how many of them side by side."""

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.attacks.solvers import library, lowrank, native, residual, swept
from harness.attacks.solvers.evaluator import Evaluator, Loop, Setting, Vectorized
from harness.attacks.solvers.objective import EngineName
from harness.core import Observation, UserError, batch_norms
from harness.federated.scaling import local_steps

SMALL = {"cpu": 1e8, "cuda": 1e11}
"""Below so many operations one closure leaves the device idle. On a CPU measured, on a GPU an estimate."""
SMALL_STEP = {"cpu": 5e7, "cuda": 0.0}
"""Of each of several local steps: below it they leave the device idle, however many. On a GPU never: not measured."""
UNROLLED = 3e8
"""Operations of all local steps above which it was not measured."""
COPIES = 6
"""Of the weights, which differentiating a local step of one problem keeps."""
SLOTS = {"cpu": 16, "cuda": 256}
"""More don't pay: on a CPU they leave the second-level cache. On a GPU an estimate."""
MEMORY = {"cpu": 2e9, "cuda": 16e9}
"""Bytes that all slots may take."""
STOCK = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""torch's own, whose eval kernels vmap can't vectorise: `harness.models.normalization` has one that it can."""


def select_native(setting: Setting, engine: EngineName) -> native.Native | None:
    """Whole searches in native code, where those apply and may be had."""
    wanted = engine in ("auto", "native") and native.refusal(setting) is None
    return native.Native(setting) if wanted and library.load() is not None else None


def no_native(setting: Setting) -> str | None:
    """Why native code neither searches nor evaluates here; None: it does."""
    if lowrank.convolutions(setting.observation.model) is not None:
        return native.refusal(setting) or "was not built here: say lowrank"
    refusal = residual.refusal(setting)
    return refusal or (None if library.load() is not None else "was not built here: say loop")


def no_lowrank(setting: Setting) -> str | None:
    """Why nothing is differentiated by hand in torch here; None: it is."""
    if lowrank.convolutions(setting.observation.model) is None:
        return swept.refusal(setting)
    if lowrank.applies(setting):
        return None
    return "needs DLG or iDLG, one image, fedsgd, a sigmoid LeNet and a plain update"


def select(
    setting: Setting,
    x: Tensor,
    engine: EngineName,
    slots: int | None,
    alone: bool = False,
    one_network: bool = False,
) -> tuple[Evaluator, int]:
    """The evaluator, and the number of slots. Raises UserError where the one that is asked for can't do it.

    `alone`: this is no run; `one_network`: all problems go through one, at the same weights. What is chosen may
    depend on the configuration, never on how many problems there are or are left: a run that goes on, or that is
    extended, must round as before.
    """
    together = one_network and slots != 1 and not alone
    name = automatic(setting, x, together) if engine == "auto" else engine
    if name == "lowrank" and (reason := no_lowrank(setting)):
        raise UserError(f"attack.engine=lowrank {reason}")
    if slots is None:
        slots = 1 if name == "loop" else _affordable(setting, x, name)
    if name == "loop":
        return Loop(setting), slots
    if name == "native":
        if reason := no_native(setting):
            raise UserError(f"attack.engine=native {reason}")
        return residual.Residual(setting), slots
    if name == "lowrank":
        if lowrank.applies(setting):
            return lowrank.LowRank(setting, slots), slots
        return swept.Swept(setting, exact=slots > 1 and not alone), slots
    if not vectorizable(setting):
        raise UserError(
            f"attack.engine={name}: this attack, network, defence or protocol can't be vectorised; say loop"
        )
    if name == "vmap" and (alone or slots == 1):  # where vmap only costs
        return Loop(setting), slots
    return Vectorized(setting, slots, compiled=name == "compiled"), slots


def _affordable(setting: Setting, x: Tensor, engine: EngineName) -> int:
    """As many slots as pay, or as fit: of each the optimiser's state, the point, the best one and the gradient, and
    the evaluator's parameters, update, trial update, and where it goes through a residual network by hand the maps."""
    maps = swept.numbers(setting) if engine == "lowrank" and not lowrank.applies(setting) else 0
    parameters = _parameters(setting)
    state = setting.attack.optimizer.numbers(x.numel())
    size = x.element_size() * (state + 3 * x.numel() + 3 * parameters + maps)
    return max(1, min(SLOTS[x.device.type], int(MEMORY[x.device.type] / size)))


def _parameters(setting: Setting) -> int:
    return sum(value.numel() for value in setting.observation.params.values())


def automatic(setting: Setting, x: Tensor, together: bool = False) -> EngineName:
    """By hand where that applies and ends as well, vmap where it can and a closure is small, else loop.

    `together`: problems go through one network side by side, which by hand is what pays on residual networks.
    """
    if lowrank.applies(setting):
        return "lowrank"
    if residual.at_par(setting) and library.load() is not None:
        return "native"
    if together and x.device.type == "cpu" and swept.at_par(setting):
        return "lowrank" if _affordable(setting, x, "lowrank") > 1 else "loop"
    return "vmap" if vectorizable(setting) and _is_small(setting, x) else "loop"


def _is_small(setting: Setting, x: Tensor) -> bool:
    """Whether one closure leaves the device idle, and all slots' fit into its memory.

    An attack that simulates fewer steps than the client made gains nothing by it, and a single grey image loses.
    """
    needed, device = operations(setting, x), x.device.type
    if needed < SMALL[device]:
        return True
    steps = local_steps(setting.observation)
    kept = x.element_size() * COPIES * steps * _parameters(setting) * SLOTS[device]
    return needed < min(SMALL_STEP[device] * steps, UNROLLED) and kept < MEMORY[device]


def vectorizable(setting: Setting) -> bool:
    """Whether vmap can run the loss: none of its parts may depend on the values of tensors for its course.

    Nor on what is no tensor and each client's own: the order of its steps, or how many images it holds beside those
    that are looked for. Nor may a network normalise by its batch, which vmap can't vectorise.
    """
    observation: Observation = setting.observation
    if observation.knowledge.order is not None or observation.n != observation.examples:
        return False
    if observation.protocol.normalization != "eval" and batch_norms(observation.model):
        return False
    networks: list[nn.Module] = [observation.model]
    if observation.knowledge.prior is not None:
        networks.append(observation.knowledge.prior)
    return (
        getattr(type(setting.attack).loss, "vectorizable", False)
        and all(each.vectorizable for each in observation.knowledge.adaptations)
        and not any(type(module) in STOCK for network in networks for module in network.modules())
    )


def operations(setting: Setting, x: Tensor) -> float:
    """Floating-point operations of one evaluation, counted on the first problem."""
    loop = Loop(setting)
    loop.load(0, setting.observation, setting.known)
    with FlopCounterMode(display=False) as counter:
        loop.evaluate(x[None])
    return float(counter.get_total_flops())
