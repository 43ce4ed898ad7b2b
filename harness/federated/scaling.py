"""The scale of an update: how far it is from a gradient, and where the client's weights ended."""

from dataclasses import replace

import torch

from harness.core import Observation, Params


def local_steps(observation: Observation) -> int:
    """How many local steps are behind the update; 1 for FedSGD, which sends a gradient instead."""
    return observation.protocol.local_steps(observation.examples)


def mean_gradient(observation: Observation) -> Params:
    """The received update as the mean gradient over the client's local steps, whatever scaling it was sent in."""
    return observation.protocol.mean_gradient(observation.update, observation.examples)


def trained_params(observation: Observation) -> Params:
    """The weights of the client after its last local step; under FedSGD, where it takes none, those it was sent."""
    protocol = observation.protocol
    return protocol.trained_params(observation.params, observation.update, observation.examples)


def rate(observation: Observation, name: str) -> float:
    """How far a parameter goes in a local step, as a multiple of the mean gradient: lr, but for momentum."""
    still = {each: torch.zeros_like(value) for each, value in observation.params.items()}
    way = -trained_params(replace(observation, params=still))[name].double()
    gradient = mean_gradient(observation)[name].double()
    return float((way * gradient).sum() / gradient.square().sum()) / local_steps(observation)
