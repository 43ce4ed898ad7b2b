"""The state machine of every start policy, with scripted results: alone, in a run, and in a run that was killed."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from harness.config.composition import compose
from harness.core import Attack, Attempt, Images, Reconstruction, Status, UserError, component, derive_seed
from harness.metrics.mse import MSE
from harness.metrics.scores import Scores
from harness.runs.clients import Clients
from harness.runs.run import run
from harness.starts.controls import Constant, MeanImage, Uniform
from harness.starts.feedback import Feedback, FeedbackNoiseFactor
from harness.starts.policy import Memory, SearchResult, StartPolicy
from harness.starts.random import Random

SHAPE = (1, 1, 32, 32)
STATUS: dict[str, Status] = {
    "S": "converged",
    "F": "stalled",
    "B": "budget",
    "N": "diverged",
    "X": "converged",
}
"""Success; failures; a result that is not finite, which calls itself diverged (N) or even converged (X)."""

Expected = list[float | None]
NAN = math.nan

# The result of attack 1, 2, 3, ... is an image of 1s, 2s, 3s, ...: far out of [0, 1], as what the search left may be.
CASES: list[tuple[StartPolicy, str, Expected]] = [
    (Feedback(), "SSFSS", [None, None, 1.5, 1.5, 2.75, 3.875]),
    (Feedback(), "FFS", [None, None, None, None]),
    (Feedback(), "FSBS", [None, None, None, None, 3.0]),
    (Feedback(), "FFFF", [None] * 5),
    (Feedback(), "SXNS", [None, None, None, None, 2.5]),
    (Feedback(), "NSS", [None, None, None, 2.5]),
    (Feedback(alpha=0.25), "SSS", [None, None, 1.25, 1.6875]),
    (Feedback(after=3), "SSSF", [None, None, None, 2.25, 2.25]),
    (FeedbackNoiseFactor(), "SSFS", [None, None, 1.5, 2.25, 3.125]),
    (FeedbackNoiseFactor(), "FFS", [None, None, 1.5, 2.25]),
    (FeedbackNoiseFactor(), "SNF", [None, None, None, 2.0]),
    (FeedbackNoiseFactor(), "NXFB", [None, None, None, None, 3.5]),
    (Feedback(alpha=1, after=1), "SFSN", [None, 1.0, 1.0, 3.0, 3.0]),
    (Constant(), "SFN", [0.5] * 4),
    (Random(), "SSFN", [None] * 5),
]
IDS = [f"{type(policy).__name__}-{number}-{script}" for number, (policy, script, _) in enumerate(CASES)]


def result(position: int, mark: str) -> Tensor:
    return torch.full(SHAPE, NAN if mark in "NX" else position + 1.0)


def nothing() -> Images:
    raise AssertionError("this policy needs no public images")


def level(start: Tensor | None) -> float | None:
    """The one value of a start."""
    if start is None:
        return None
    assert start.shape == SHAPE
    (value,) = set(start.flatten().tolist())
    return float(value)


@pytest.mark.parametrize(("policy", "script", "expected"), CASES, ids=IDS)
def test_where_each_search_begins(policy: StartPolicy, script: str, expected: Expected) -> None:
    rng = torch.Generator()
    memory, starts = policy.begin(nothing), []
    for position, mark in enumerate(script):
        starts.append(level(policy.start(memory, SHAPE, rng)))
        memory = policy.learn(memory, SearchResult(result(position, mark), 0.0, STATUS[mark]))
    assert [*starts, level(policy.start(memory, SHAPE, rng))] == expected


@component
class Scripted(Attack):
    """Ends as the script says, and notes what it was told to begin with. It dies before attack `dies`."""

    seen: ClassVar[list[tuple[int, float | None]]] = []
    dies: ClassVar[int] = -1
    script: str

    def run(self, attempts: Iterator[Attempt | None]) -> Iterator[tuple[Attempt, Reconstruction]]:
        positions = {derive_seed("attack", 0, position): position for position in range(len(self.script))}
        for attempt in attempts:
            assert attempt is not None
            position = positions[attempt.problem.seed]
            if position == self.dies:
                raise KeyboardInterrupt
            self.seen.append((position, level(attempt.problem.observation.knowledge.start)))
            x, status = result(position, self.script[position]), STATUS[self.script[position]]
            yield attempt, Reconstruction(x, torch.zeros(1, dtype=torch.int64), 0.0, 0.0, status, 1, 1)

    def reconstruct(self, observation: object, rng: torch.Generator) -> Reconstruction:
        raise NotImplementedError


@pytest.mark.parametrize(("policy", "script", "expected"), CASES, ids=IDS)
def test_a_killed_run_goes_on_with_the_same_blend(
    policy: StartPolicy, script: str, expected: Expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = dataclasses.replace(
        compose(f"trials={len(script)}", "logger=none", f"paths.runs={tmp_path}"),
        start=policy,
        attack=Scripted(script=script),
        metric=Scores(metrics={"mse": MSE()}),
    )
    monkeypatch.setenv("HARNESS_PLUGINS", "tests")
    monkeypatch.setattr(Scripted, "seen", [])
    for dies in (1, 2):
        monkeypatch.setattr(Scripted, "dies", dies)
        with pytest.raises(KeyboardInterrupt):
            run(experiment)
    monkeypatch.setattr(Scripted, "dies", -1)
    run(experiment)
    assert Scripted.seen == list(enumerate(expected[:-1]))


def test_what_follows_a_failure_begins_at_the_last_iterates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, and where the best iterates are others."""
    light = ("logger=none", f"paths.runs={tmp_path}", "trials=3", "attack=idlg", "attack.steps=1")
    experiment = compose(*light, "attack.optimizer.max_iter=4", "start=feedback_noise_factor")
    found: list[Reconstruction] = []
    starts: list[Tensor | None] = []
    attack_of, observe = type(experiment.attack)._checked, Clients._knowledge

    def checked(self: Attack, *arguments: Any) -> Reconstruction:
        found.append(attack_of(self, *arguments))
        return found[-1]

    def knowledge(self: Clients, model: Any, sent: Any, start: Tensor | None) -> Any:
        starts.append(start)
        return observe(self, model, sent, start)

    monkeypatch.setattr(type(experiment.attack), "_checked", checked)
    monkeypatch.setattr(Clients, "_knowledge", knowledge)
    run(experiment)
    first, second, _ = (one.end.unclamped for one in found)
    assert first is not None
    assert second is not None
    assert all(one.status == "budget" for one in found)
    assert starts[2] is not None
    assert torch.equal(starts[2], 0.5 * second + 0.5 * first)
    assert not torch.equal(found[1].x, second)


def test_uniform_noise_is_new_for_every_attack_and_in_range() -> None:
    one, same = (Uniform().start(Memory(), SHAPE, torch.Generator().manual_seed(3)) for _ in range(2))
    other = Uniform().start(Memory(), SHAPE, torch.Generator().manual_seed(4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert 0 <= float(one.min()) < 0.1 < 0.9 < float(one.max()) <= 1


def test_the_mean_image_is_that_of_the_public_images() -> None:
    public = compose().dataset.load("public", None)
    policy = MeanImage()
    memory = policy.begin(lambda: public)
    start = policy.start(memory, (2, 1, 32, 32), torch.Generator())
    expected = torch.stack([image for image, _ in public]).mean(0)  # type: ignore[attr-defined]
    assert start.shape == (2, 1, 32, 32)
    torch.testing.assert_close(start, expected.expand(2, -1, -1, -1), rtol=0, atol=1e-6)


def rows(folder: Path, *overrides: str) -> list[dict[str, object]]:
    record = run(compose("logger=none", f"paths.runs={folder}", "trials=3", "attack.steps=2", *overrides))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in record.rows]


@pytest.mark.parametrize("attack", ["dlg", "idlg"])
def test_without_any_success_feedback_behaves_as_random(attack: str, tmp_path: Path) -> None:
    never = (f"attack={attack}", "attack.tolerance=1e-30")
    assert rows(tmp_path, *never, "start=feedback") == rows(tmp_path, *never, "start=random")
    assert rows(tmp_path, *never, "start=constant_grey") != rows(tmp_path, *never, "start=random")


def test_only_the_image_differs_between_starts() -> None:
    from harness.attacks.dlg import DLG
    from harness.runs.clients import Clients

    experiment = compose("attack=dlg")
    clients, grey = Clients(experiment), torch.full(SHAPE, 0.5)
    one, other = clients.client(1).problem, clients.client(1, grey).problem
    assert one.seed == other.seed
    for name, update in one.observation.update.items():
        assert torch.equal(update, other.observation.update[name])
    assert isinstance(experiment.attack, DLG)
    starts = [
        experiment.attack.initial(p.observation, torch.Generator().manual_seed(0)) for p in (one, other)
    ]
    assert torch.equal(starts[0]["logits"], starts[1]["logits"])
    assert not torch.equal(starts[0]["images"], starts[1]["images"])
    assert torch.equal(starts[1]["images"], grey)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["attack=ggl", "prior=untrained", "start=constant_grey"], "GGL searches for no images"),
        (["attack=ig", "start=feedback"], "attack.tolerance=1e-4"),
        (["start=feedback", "start.alpha=2"], "start.alpha"),
        (["targets=[9]", "order=sequential"], "targets are named"),
        (["order=backwards"], "order"),
    ],
)
def test_what_can_not_work_is_a_user_error(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(*overrides)
