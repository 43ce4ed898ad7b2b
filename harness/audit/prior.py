"""A generative prior that an attacker learns from public images, in the time that a budget leaves."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from harness.base.components import build
from harness.config.composition import part
from harness.core import Generator, UserError, derive_seed, generator
from harness.priors.networks import ConvolutionalGenerator, estimate_statistics
from harness.priors.wgan_gp import WGANGP

SETTINGS = "wgan_gp_small"
"""Of conf/prior: what a processor can train."""
FEWEST, LEAST, MOST = 100, 100, 1300
"""Public images, and steps of training, below which there is no prior worth the name; and the steps of the settings."""
TRIAL = 10
"""Steps by which the cost of one is told."""


@dataclass(frozen=True, eq=False)
class LearntPrior:
    """A generator, and in words what it was made from."""

    generator: Generator
    origin: str


def learnt(public: Tensor, seconds: float) -> LearntPrior:
    """A WGAN-GP of public images in bytes [n, c, h, w], by as many steps as there are seconds for.

    Raises UserError where there are too few images or seconds, or the sides of the images do not halve.
    """
    if len(public) < FEWEST:
        raise UserError(f"a prior wants {FEWEST} public images at least, and {len(public)} are there")
    began = time.perf_counter()
    settings: WGANGP = build("prior", part("prior", SETTINGS))
    _seconds(settings, 1, public)  # the first imports what trains
    begin = _seconds(settings, 1, public)
    cost = max(_seconds(settings, 1 + TRIAL, public) - begin, 1e-6) / TRIAL
    left = seconds - (time.perf_counter() - began) - begin
    steps = min(MOST, int(left / cost))
    if steps < LEAST:
        raise UserError(
            f"{LEAST} steps of a prior would take {LEAST * cost:.0f} s, more than its share of the budget"
        )
    network = _trained(replace(settings, steps=steps), public)
    estimate_statistics(network, generator("audit", "prior"))
    spent = time.perf_counter() - began
    origin = f"a prior learnt from {len(public)} public images in {steps} steps ({spent:.0f} s)"
    return LearntPrior(network.eval().requires_grad_(False), origin)


def _seconds(settings: WGANGP, steps: int, public: Tensor) -> float:
    began = time.perf_counter()
    _trained(replace(settings, steps=steps), public)
    return time.perf_counter() - began


def _trained(settings: WGANGP, public: Tensor) -> ConvolutionalGenerator:
    from harness.priors.training import train

    channels, height, width = public.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("audit prior"))
        network = ConvolutionalGenerator(
            (channels, height, width), settings.latent, settings.base, settings.kernel
        )
    with TemporaryDirectory() as folder:
        train(settings, network, public, 0, Path(folder) / "prior.ckpt")
    return network
