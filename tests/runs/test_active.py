"""Which rank attacks which client."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config.composition import compose
from harness.loggers.logger import Session
from harness.machine.ranks import Share
from harness.runs.active import ActiveRun
from harness.runs.clients import Clients
from harness.starts.feedback import Feedback
from harness.starts.policy import StartPolicy
from harness.starts.random import Random
from harness.store.recording import Run, Shard

TRIALS = 7


@pytest.fixture(scope="module")
def clients() -> Clients:
    return Clients(compose(f"trials={TRIALS}"))


def handed_out(clients: Clients, folder: Path, start: StartPolicy, number: int, share: Share) -> list[int]:
    """The clients that a rank attacks, if nothing comes back."""
    experiment = replace(clients.experiment, start=start)
    one = ActiveRun(experiment, clients, Shard(folder, share.rank), Session(), number, share)
    found = []
    while (client := one.next()) is not None:
        found.append(client.problem.id)
    assert one.exhausted or one.policy.learns
    return found


@settings(deadline=None, max_examples=5)
@given(ranks=st.integers(1, 9), number=st.integers(0, 3))
def test_every_client_has_exactly_one_rank(
    clients: Clients, tmp_path_factory: pytest.TempPathFactory, ranks: int, number: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    found = [handed_out(clients, folder, Random(), number, Share(rank, ranks)) for rank in range(ranks)]
    assert sorted(client for each in found for client in each) == list(range(TRIALS))
    counts = Counter(len(each) for each in found)
    assert max(counts) - min(counts) <= 1


def test_those_of_a_policy_that_learns_stay_together(clients: Clients, tmp_path: Path) -> None:
    found = [handed_out(clients, tmp_path, Feedback(), 1, Share(rank, 3)) for rank in range(3)]
    assert found == [[], [0], []]  # and 0 is waited for


def test_what_is_stored_is_handed_out_to_no_rank(clients: Clients, tmp_path: Path) -> None:
    stored = Run(tmp_path, {})
    for problem in (0, 3, 4):
        stored.append(
            problem,
            [{"mse": 0.0}],
            {"truth": torch.zeros(1, 1, 2, 2), "reconstruction": torch.zeros(1, 1, 2, 2)},
            [],
        )
    found = [handed_out(clients, tmp_path, Random(), 0, Share(rank, 2)) for rank in range(2)]
    assert found == [[2, 6], [1, 5]]
