"""The scale of an update: how far it is from a gradient."""

from harness.core import Observation, Params
from harness.federated.fedavg import FedAvg


def mean_gradient(observation: Observation) -> Params:
    """The received update as the mean gradient over the client's local steps, whatever scaling it was sent in.

    FedSGD's update is that already. For FedAvg it is (theta_0 - theta_T) / (lr * steps): exact for plain SGD.
    """
    protocol = observation.protocol
    if not isinstance(protocol, FedAvg):
        return observation.update
    steps = protocol.steps(observation.examples)
    divisor = {"raw": protocol.lr * steps, "per_step": protocol.lr, "per_lr": float(steps)}[protocol.scaling]
    return {name: value / divisor for name, value in observation.update.items()}
