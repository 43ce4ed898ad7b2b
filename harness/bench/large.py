"""Large networks, where one closure fills the machine: IG's closure and GGL's candidate, ours and the authors'."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.attacks.ggl import GGL
from harness.attacks.inverting import InvertingGradients
from harness.attacks.matching import total_variation
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.evaluator import Loop
from harness.bench import problems, serial
from harness.bench.report import BenchResult
from harness.bench.timing import interleaved, operations, sgemm_peak
from harness.config.composition import compose
from harness.core import Model, Observation
from harness.labels.analytic import Analytic
from harness.machine.memory import reuse_freed_memory
from harness.models.convnet import ConvNet
from harness.models.resnet import ResNet
from harness.priors.networks import ConvolutionalGenerator
from harness.runs.clients import Clients

SHAPE, CLASSES = (3, 32, 32), 10
PRECISION_STEPS = 80


def inverting(name: str, model: Model, repeats: int) -> list[BenchResult]:
    """IG's closure: cosine distance and total variation, one image."""
    reuse_freed_memory()
    seen = [problems.observe(model, SHAPE, CLASSES, 0)]
    setting, x = problems.setting(_attack(autocast=False), seen)
    calls: dict[str, Callable[[], object]] = {"authors": authors_inverting(seen[0], x)}
    for side, autocast in (("ours", False), ("bf16", True)):
        own = replace(setting, attack=_attack(autocast))
        loop = problems.loaded(Loop(own), own.attack, seen)
        calls[side] = lambda loop=loop: loop.evaluate(x)  # type: ignore[misc]
    found = _bench_result(name, calls, repeats)
    times = {side: float(found.details[f"ms per closure, {side}"]) for side in calls}
    return [found, BenchResult(f"{name}_bf16", times["authors"] / times["bf16"], {})]


def _attack(autocast: bool) -> InvertingGradients:
    return InvertingGradients(steps=1, optimizer=Adam(), labels=Analytic(), autocast=autocast)


def precision(count: int) -> list[BenchResult]:
    """What bfloat16 costs in PSNR: IG on ConvNet64, the same images and starts."""
    quality: dict[str, float] = {}
    for autocast in (False, True):
        run = compose(
            "attack=ig",
            f"attack.steps={PRECISION_STEPS}",
            f"attack.autocast={str(autocast).lower()}",
            "model=convnet64",
            "dataset=photos32",
            f"trials={count}",
            "device=cpu",
        )
        clients = Clients(run)
        truth = {k: clients[k] for k in range(count)}
        found = run.attack(client.problem for client in truth.values())
        errors = [(one.x - truth[one.problem].truth.x).square().mean() for one in found]
        quality["bf16" if autocast else "float32"] = float(torch.stack(errors).log10().mul(-10).mean())
    details: dict[str, float | str] = {f"mean PSNR, {name}, dB": value for name, value in quality.items()}
    details |= {"images": count, "network": "ConvNet64", "steps": PRECISION_STEPS}
    return [BenchResult("ig_bf16_quality", quality["float32"] - quality["bf16"], details)]


def labels(observation: Observation) -> Tensor:
    """The labels that the attacker was given."""
    assert observation.knowledge.labels is not None
    return observation.knowledge.labels


def authors_inverting(observation: Observation, x: Tensor) -> Callable[[], object]:
    """IG's closure as the authors have it, at x [size]."""
    network = serial.trainable(observation)
    images = x.clone().view(1, *SHAPE).requires_grad_()
    label = labels(observation)
    received = list(observation.update.values())
    parameters = list(network.parameters())

    def closure() -> Tensor:
        network.zero_grad()
        images.grad = None
        trial = torch.autograd.grad(F.cross_entropy(network(images), label), parameters, create_graph=True)
        inner, own, other = torch.zeros(()), torch.zeros(()), torch.zeros(())
        for g, target in zip(trial, received, strict=True):
            inner = inner - (g * target).sum()
            own = own + g.pow(2).sum()
            other = other + target.pow(2).sum()
        loss = 1 + inner / own.sqrt() / other.sqrt() + 0.1 * total_variation(images)
        loss.backward()
        return loss

    return closure


def latent(repeats: int) -> list[BenchResult]:
    """GGL's candidate on ResNet-18: generate, differentiate, compare."""
    reuse_freed_memory()
    attack = GGL(steps=1, optimizer=CMA(), labels=Analytic())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        prior = ConvolutionalGenerator(SHAPE, latent=128, base=512, kernel=2).eval().requires_grad_(False)
    seen = [problems.observe(ResNet(), SHAPE, CLASSES, 0, prior=prior)]
    setting, x = problems.setting(attack, seen)
    loop = problems.loaded(Loop(setting), attack, seen)
    network = serial.trainable(seen[0])
    calls: dict[str, Callable[[], object]] = {
        "authors": lambda: _authors_latent(network, prior, seen[0], x),
        "ours": lambda: loop.evaluate(x),
    }
    return [_bench_result("ggl", calls, repeats)]


def _authors_latent(network: nn.Module, prior: nn.Module, observation: Observation, z: Tensor) -> float:
    with torch.no_grad():
        images = prior(z, None)
    loss = F.cross_entropy(network(images), labels(observation))
    trial = torch.autograd.grad(loss, list(network.parameters()))
    with torch.no_grad():
        parts = [((g - own) ** 2).sum() for g, own in zip(trial, observation.update.values(), strict=True)]
        return float(sum(parts) / len(parts))


def _bench_result(name: str, calls: dict[str, Callable[[], object]], repeats: int) -> BenchResult:
    work, peak = operations(calls["authors"]), sgemm_peak()
    spent = interleaved(calls, repeats)
    details: dict[str, float | str] = {"GFLOP per closure, authors'": work / 1e9}
    for side, value in spent.items():
        details[f"ms per closure, {side}"] = 1e3 * value
        details[f"share of sgemm's peak, {side}"] = work / value / peak
    return BenchResult(name, spent["authors"] / spent["ours"], details)


def convnet(repeats: int) -> list[BenchResult]:
    """ConvNet64."""
    return inverting("ig_convnet", ConvNet(), repeats)


def resnet(repeats: int) -> list[BenchResult]:
    """ResNet-18."""
    return inverting("ig_resnet", ResNet(), repeats)
