"""What code that differentiates residual networks by hand knows."""

from harness.attacks.solvers.evaluator import Setting
from harness.attacks.solvers.matched import matched
from harness.attacks.solvers.units import UnknownNetwork, units
from harness.attacks.solvers.variables import LOGITS
from harness.federated.fedsgd import FedSGD


def refusal(setting: Setting) -> str | None:
    """Why this setting is not for such code; None: it is."""
    observation = setting.observation
    if type(observation.protocol) is not FedSGD:
        return "needs fedsgd"
    if setting.attack.optimizer.uses_gradient and (reason := _unmatched(setting)):
        return reason
    try:
        found = units(observation.model)
    except UnknownNetwork as unknown:
        return str(unknown)
    known = {f"{observation.model.head}.weight", f"{observation.model.head}.bias"}
    for unit in found:
        known |= {f"{unit.convolution}.weight", f"{unit.normalization}.weight", f"{unit.normalization}.bias"}
    whole = known == observation.update.keys() == observation.params.keys()
    return None if whole else "needs a whole update"


def _unmatched(setting: Setting) -> str | None:
    observation = setting.observation
    searched = setting.layout.shapes.keys() <= {"images", LOGITS}
    if not searched or matched(setting.attack, observation, setting.known) is None:
        return "needs an attack that matches updates by their cosine or in L2, without autocast"
    return "knows no defence that the attacker simulates" if observation.knowledge.adaptations else None
