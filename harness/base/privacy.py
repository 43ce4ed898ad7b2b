"""Differential privacy: what the noise of a defence is worth, as epsilon at a small delta.

Neighbours are a client with a datum and one where it counts as nothing (zero-out; Kairouz et al. 2021): an image where
each is clipped, else all of an update. The server sees every update of the client and no sum of clients.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.base.components import find
from harness.base.errors import UserError
from harness.base.rows import Row

TITLE = "Privacy (epsilon of what a client has sent by then)"
DELTA = 1e-5
"""As Abadi et al. 2016 have it."""
Sampling = Literal["shuffled", "poisson"]


@dataclass(frozen=True)
class Release:
    """What a defence bounds, and the noise that it puts on it."""

    each: Literal["step", "update"]
    """How often: in each local step, where one image is bounded, or once, where all of the update is."""
    bound: float | None = None
    """The most that the datum moves what is released, in Euclidean norm; None: nothing clips."""
    noise: float = 0.0
    """Standard deviation, in units of the bound's."""
    sampling: Sampling = "shuffled"
    """How the images of a step are taken to be drawn: as they are, or anew for every step."""

    def then(self, other: "Release") -> "Release":
        """This and then another: what comes after noise alters nothing about it, but adding more."""
        if self.each == "step" or other.each == "step":
            return self if self.each == "step" else other
        if self.noise or other.bound is None:
            return replace(self, noise=math.hypot(self.noise, other.noise))
        return replace(self, bound=min(other.bound, self.bound or math.inf))


def epsilon(noise: float, times: int, delta: float = DELTA) -> float:
    """The smallest epsilon of so many Gaussian mechanisms, each with noise of so many sensitivities: exact.

    Together they are one with noise / sqrt(times) (Dong et al. 2022, corollary 3.3), which is (epsilon, delta)-private
    for delta = Phi(m/2 - epsilon/m) - exp(epsilon) Phi(-m/2 - epsilon/m), m = sqrt(times) / noise (Balle & Wang 2018,
    theorem 8).
    """
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr

    m = math.sqrt(times) / noise

    def excess(e: float) -> float:
        return float(ndtr(m / 2 - e / m) - math.exp(min(0.0, e + log_ndtr(-m / 2 - e / m)))) - delta

    if excess(0.0) <= 0:
        return 0.0
    return float(brentq(excess, 0.0, m * m / 2 + m * math.sqrt(2 * math.log(1 / delta)), xtol=1e-9))


def sampled_epsilon(noise: float, share: float, times: int, delta: float = DELTA) -> float:
    """As `epsilon`, had each step drawn every image anew with a probability: Renyi's (Mironov et al. 2019).

    Raises UserError where dp-accounting is not installed.
    """
    try:
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
        from dp_accounting.rdp import RdpAccountant
    except ImportError as error:
        raise UserError(
            "defense.sampling=poisson needs dp-accounting: pip install -c constraints-dp.txt '.[dp]'"
        ) from error
    step = PoissonSampledDpEvent(share, GaussianDpEvent(noise))
    return float(RdpAccountant().compose(step, times).get_epsilon(delta))


def told(config: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """What the noise of a configuration is worth after the last of the rounds in its rows; empty without noise."""
    node, fl = config.get("defense", {}), config.get("fl", {})
    kind: Any = find("defense", node["_target_"]) if "_target_" in node else None
    release: Release | None = kind and kind.release(node)
    if release is None or not release.noise:
        return ""
    if release.bound is None:
        return "none: sensitivity unbounded"
    rounds = max((row.get("round") or 1 for row in rows), default=1)
    noise, passes = release.noise / release.bound, rounds * fl.get("local_epochs", 1)
    after = f" after {rounds} rounds" if rounds > 1 else ""
    if release.each == "update":
        return f"{epsilon(noise, rounds):.3g} for an update{after}, delta {DELTA:g}"
    if release.sampling == "shuffled":
        return f"{epsilon(noise, passes):.3g} for an image{after}, delta {DELTA:g}"
    held = min((row["examples"] for row in rows if row.get("examples")), default=None)
    held = held or fl.get("examples_per_client", fl["batch_size"])
    share = min(1.0, fl["batch_size"] / held)
    value = sampled_epsilon(noise, share, passes * math.ceil(held / fl["batch_size"]))
    return f"{value:.3g} for an image{after}, were batches drawn anew for every step, delta {DELTA:g}"
