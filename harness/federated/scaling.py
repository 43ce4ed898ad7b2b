"""The scale of an update: how far it is from a gradient, and where the client's weights ended."""

from harness.core import Observation, Params
from harness.federated.fedavg import FedAvg


def local_steps(observation: Observation) -> int:
    """How many local steps are behind the update; 1 for FedSGD, which sends a gradient instead."""
    protocol = observation.protocol
    return protocol.steps(observation.examples) if isinstance(protocol, FedAvg) else 1


def mean_gradient(observation: Observation) -> Params:
    """The received update as the mean gradient over the client's local steps, whatever scaling it was sent in.

    FedSGD's update is that already. For FedAvg it is (theta_0 - theta_T) / (lr * steps): exact for plain SGD. Momentum
    carries gradients on, each as often as there are steps to come: exact where they stay the same.
    """
    protocol = observation.protocol
    if not isinstance(protocol, FedAvg):
        return observation.update
    steps, kept = protocol.steps(observation.examples), protocol.momentum
    reach = (steps - kept * (1 - kept**steps) / (1 - kept)) / (1 - kept)  # sum of kept**age over all steps
    divisor = {
        "raw": protocol.lr * reach,
        "per_step": protocol.lr * (reach / steps),
        "per_lr": reach,
    }[protocol.scaling]
    return {name: value / divisor for name, value in observation.update.items()}


def trained_params(observation: Observation) -> Params:
    """The weights of the client after its last local step; under FedSGD, where it takes none, those it was sent."""
    protocol = observation.protocol
    if not isinstance(protocol, FedAvg):
        return observation.params
    steps = protocol.steps(observation.examples)
    factor = {"raw": 1.0, "per_step": float(steps), "per_lr": protocol.lr}[protocol.scaling]
    return {name: value - factor * observation.update[name] for name, value in observation.params.items()}
