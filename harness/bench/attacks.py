"""Whole attacks: images per CPU second and success, ours and the authors' on the same problems."""

from dataclasses import dataclass

import torch

from harness.attacks.optimization import OptimizationAttack
from harness.base.statistics.intervals import wilson
from harness.bench import serial
from harness.bench.report import BenchResult
from harness.bench.timing import Stopwatch, operations, peak_memory, sgemm_peak
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import Attempt, Reconstruction, UserError
from harness.runs.clients import Client, Clients

SUCCESS = 1e-3
"""Mean squared error below which an image is recovered (Zhao et al. 2020, figure 3)."""


@dataclass(frozen=True)
class BenchCase:
    """An attack on a data set, the data set that stands in where that is absent, and the steps of either side."""

    attack: str
    dataset: str
    stand_in: str
    steps: int

    def overrides(self, dataset: str, problems: int) -> tuple[str, ...]:
        """The settings of a run of ours on so many images."""
        return (
            f"attack={self.attack}",
            f"dataset={dataset}",
            f"trials={problems}",
            f"attack.steps={self.steps}",
            "device=cpu",
        )

    def data(self, dataset: str) -> str:
        """What is said of the data set that was taken."""
        return dataset if dataset == self.dataset else f"{dataset}, since {self.dataset} is not there"


CASES = {
    "idlg_mnist": BenchCase("idlg", "mnist", "digits32", 60),
    "dlg_mnist": BenchCase("dlg", "mnist", "digits32", 60),
    "idlg_cifar10": BenchCase("idlg", "tile_sheets_cifar10", "photos32", 100),
}


def compare(name: str, problems: int) -> list[BenchResult]:
    """Attack the same images from the same starts, one side after every image of the other."""
    case = CASES[name]
    clients, dataset = open_clients(case, problems)
    ours, theirs = Stopwatch(), Stopwatch()
    found: dict[int, Reconstruction] = {}
    baseline: dict[int, serial.SerialResult] = {}
    pending: dict[int, Client] = {position: clients[position] for position in range(problems)}
    attack = clients.experiment.attack
    results = attack(client.problem for client in pending.values())
    while len(found) < problems:
        with ours:
            one = next(results)
        found[one.problem] = one
        with theirs:
            baseline[one.problem] = serial_attack(clients.experiment, pending[one.problem], case.steps)
        _progress(name, len(found), problems, theirs.seconds / ours.seconds)
    return [_bench_result(name, case, dataset, pending, found, baseline, ours.seconds, theirs.seconds)]


def open_clients(case: BenchCase, problems: int) -> tuple[Clients, str]:
    """The clients, and the name of the data set that they have."""
    for dataset in (case.dataset, case.stand_in):
        try:
            return Clients(experiment(case, dataset, problems)), dataset
        except UserError as error:
            print(f"{dataset}: {error}")
    raise UserError(f"neither {case.dataset} nor {case.stand_in} can be loaded")


def experiment(case: BenchCase, dataset: str, problems: int) -> Experiment:
    """What the harness would run."""
    return compose(*case.overrides(dataset, problems), "logger=none")


def serial_attack(experiment: Experiment, client: Client, steps: int) -> serial.SerialResult:
    """The authors' loop on one image, from the start that ours has."""
    attack = experiment.attack
    assert isinstance(attack, OptimizationAttack)
    observation = client.problem.observation
    start = attack.initial(observation, Attempt(client.problem, 0).generator())
    label = attack.prepare(observation).get("labels", client.truth.y)
    return serial.attack(observation, start["images"], start.get("logits"), label, steps)


def _bench_result(
    name: str,
    case: BenchCase,
    dataset: str,
    clients: dict[int, Client],
    found: dict[int, Reconstruction],
    baseline: dict[int, serial.SerialResult],
    ours: float,
    theirs: float,
) -> BenchResult:
    count = len(clients)
    truth = {position: client.truth.x for position, client in clients.items()}
    success = {k: float((one.x - truth[k]).square().mean()) < SUCCESS for k, one in found.items()}
    control = {k: float((one.x - truth[k]).square().mean()) < SUCCESS for k, one in baseline.items()}
    low, high = wilson(sum(success.values()), count)
    control_low, control_high = wilson(sum(control.values()), count)
    rates = {
        "ours": sum(one.evaluations for one in found.values()) / ours,
        "serial": sum(one.evaluations for one in baseline.values()) / theirs,
    }
    work, peak = _closure_operations(clients[0], case), sgemm_peak()
    alike = (
        low <= sum(control.values()) / count <= high
        and control_low <= sum(success.values()) / count <= control_high
    )
    details: dict[str, float | str] = {
        "data": case.data(dataset),
        "problems": count,
        "steps": f"{case.steps} x 20 moves",
        "CPU s per image, ours": ours / count,
        "CPU s per image, serial": theirs / count,
        "closures per CPU s, ours": rates["ours"],
        "closures per CPU s, serial": rates["serial"],
        "ratio of closures per CPU s": rates["ours"] / rates["serial"],
        "share of sgemm's peak, ours": rates["ours"] * work / peak,
        "share of sgemm's peak, serial": rates["serial"] * work / peak,
        "success, ours": f"{sum(success.values())}/{count} (95 %: {low:.2f}-{high:.2f})",
        "success, serial": f"{sum(control.values())}/{count} (95 %: {control_low:.2f}-{control_high:.2f})",
        "success inside each other's interval": "yes" if alike else "no",
        "problems where both agree": sum(success[k] == control[k] for k in success),
        "evaluations per image, ours": sum(one.evaluations for one in found.values()) / count,
        "evaluations per image, serial": sum(one.evaluations for one in baseline.values()) / count,
        "peak memory, MB": peak_memory(),
    }
    return BenchResult(name, theirs / ours, details)


def _closure_operations(client: Client, case: BenchCase) -> float:
    """Operations of the authors' closure."""
    observation = client.problem.observation
    images = torch.rand_like(client.truth.x).requires_grad_()
    logits = torch.zeros(1, observation.classes, requires_grad=True) if case.attack == "dlg" else None
    received = list(observation.update.values())
    evaluate = serial.closure(serial.trainable(observation), received, images, logits, client.truth.y)
    return operations(evaluate)


def _progress(name: str, done: int, problems: int, ratio: float) -> None:
    print(f"{name}: {done}/{problems}, {ratio:.2f}x so far", flush=True)
