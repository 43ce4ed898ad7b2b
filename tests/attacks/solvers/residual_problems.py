"""Residual networks of odd sizes whose batch normalisation does something, and what clients send from them."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.attacks.dlg import DLG
from harness.attacks.ggl import GGL
from harness.attacks.gradinversion import GradInversion
from harness.attacks.idlg import IDLG
from harness.attacks.inverting import InvertingGradients
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.evaluator import Evaluator, Loop, Setting
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.variables import Layout
from harness.core import Batch, Classifier, Defense, Knowledge, Normalize, Observation, Shape, generator
from harness.federated.fedsgd import FedSGD
from harness.labels.analytic import Analytic
from harness.models.resnet import ResNet
from harness.priors.networks import ConvolutionalGenerator

SHAPE: Shape = (3, 9, 11)
CLASSES = 5
IG = InvertingGradients(steps=1, optimizer=Adam(signed=True), labels=Analytic())
ATTACKS: dict[str, OptimizationAttack] = {
    "ig": IG,
    "ig, l2": InvertingGradients(steps=1, optimizer=Adam(signed=True), labels=Analytic(), distance="l2"),
    "ig, soft": InvertingGradients(steps=1, optimizer=Adam(), labels=Analytic(), soft_labels=True),
    "gi": GradInversion(steps=1, optimizer=Adam(), labels=Analytic()),
    "dlg": DLG(steps=1, optimizer=LBFGS()),
    "idlg": IDLG(steps=1, optimizer=LBFGS(), labels=Analytic()),
}


def classifier(network: nn.Module, dtype: torch.dtype = torch.float32, shape: Shape = SHAPE) -> Classifier:
    """In eval mode, with running statistics, scales and shifts of its own."""
    rng = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.2, 0.2),
            ):
                assert values is not None
                values.data = low + (high - low) * torch.rand(values.shape, generator=rng)
    normalize = Normalize((0.4,) * shape[0], (0.3,) * shape[0])
    return Classifier(normalize, network).eval().requires_grad_(False).to(dtype)


def resnet(width: int, blocks: int = 1, seed: int = 0, shape: Shape = SHAPE) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ResNet(width=width, blocks=blocks).network(shape, CLASSES)


def seen(model: Classifier, seed: int = 0, shape: Shape = SHAPE, images: int = 1) -> Observation:
    rng = torch.Generator().manual_seed(seed)
    truth = Batch(
        torch.rand(images, *shape, generator=rng).to(model.normalize.mean),
        torch.arange(images) + seed % CLASSES,
    )
    params = {name: value.detach() for name, value in model.named_parameters()}
    protocol = FedSGD(batch_size=images)
    update = {name: value.detach() for name, value in protocol.update(model, params, truth).items()}
    return Observation(model, params, update, protocol, images, shape, CLASSES, Knowledge(labels=truth.y))


def in_double(observation: Observation, model: Classifier) -> Observation:
    """The same observation for a model in double precision."""
    return replace(
        observation,
        model=model,
        params={name: value.double() for name, value in observation.params.items()},
        update={name: value.double() for name, value in observation.update.items()},
    )


def setting(attack: OptimizationAttack, observation: Observation, seed: int = 0) -> tuple[Setting, Tensor]:
    """What the engine makes of a problem, and a point [size] between its start and a grey image."""
    start = attack.initial(observation, generator("start", seed))
    layout = Layout({name: value.shape for name, value in start.items()})
    x = layout.flatten(start).to(observation.model.normalize.mean)
    return Setting(attack, layout, observation, attack.prepare(observation)), x


def evaluated(evaluator: Evaluator, setting: Setting, x: Tensor) -> tuple[float, Tensor]:
    """Loss and gradient [size] of the setting's own problem."""
    evaluator.load(0, setting.observation, setting.known)
    _, loss, gradient = evaluator.evaluate(x[None])
    return float(loss), torch.zeros(0) if gradient is None else gradient[0]


def expected(attack: OptimizationAttack, observation: Observation, model: Classifier, x: Tensor) -> Any:
    """What autograd says in double precision."""
    exact, _ = setting(attack, in_double(observation, model))
    return evaluated(Loop(exact), exact, x.double())


def ggl(defense: Defense | None = None) -> tuple[GGL, Observation]:
    """GGL, and what it sees of a client that this defence guards."""
    observation = seen(classifier(resnet(8)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = ConvolutionalGenerator((3, 8, 8), latent=6, base=4, kernel=2).eval().requires_grad_(False)
    adaptations = () if defense is None else defense.adaptations()
    knowledge = replace(observation.knowledge, prior=prior, adaptations=adaptations)
    observation = replace(seen(classifier(resnet(8)), shape=(3, 8, 8)), knowledge=knowledge)
    return GGL(steps=1, optimizer=CMA(), labels=Analytic()), observation
