"""Partitions: every row goes to exactly one client, whatever the data and the settings."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.core import UserError, generator
from harness.federated.partitions.by_class import ByClass
from harness.federated.partitions.dirichlet import Dirichlet
from harness.federated.partitions.iid import IID
from harness.federated.partitions.partition import Partition
from harness.federated.partitions.shards import Shards

LABELS = st.lists(st.integers(0, 6), max_size=60).map(lambda y: torch.tensor(y, dtype=torch.int64))
PARTITIONS: st.SearchStrategy[Partition] = st.one_of(
    st.just(IID()),
    st.just(ByClass()),
    st.integers(1, 5).map(lambda shards: Shards(shards_per_client=shards)),
    st.floats(1e-3, 1e3).map(lambda beta: Dirichlet(beta=beta, minimum=0)),
)
TEN = torch.arange(10).repeat_interleave(100)


def dealt(partition: Partition, labels: Tensor, clients: int, seed: int = 0) -> list[Tensor]:
    return partition(labels, clients, generator("test", seed))


@settings(max_examples=150, deadline=None)
@given(PARTITIONS, LABELS, st.integers(1, 20), st.integers(0, 99))
def test_a_partition_is_a_permutation(partition: Partition, labels: Tensor, clients: int, seed: int) -> None:
    parts = dealt(partition, labels, clients, seed)
    assert len(parts) == clients
    assert sorted(torch.cat(parts).tolist()) == list(range(len(labels)))
    again = dealt(partition, labels, clients, seed)
    assert all(torch.equal(one, other) for one, other in zip(parts, again, strict=True))


@given(LABELS, st.integers(1, 20))
def test_iid_parts_are_of_one_size(labels: Tensor, clients: int) -> None:
    sizes = [len(part) for part in dealt(IID(), labels, clients)]
    assert max(sizes) - min(sizes) <= 1


def test_a_thousand_clients() -> None:
    for partition in (IID(), Shards(), ByClass(), Dirichlet(minimum=1)):
        assert len(dealt(partition, TEN.repeat(10), 1000)) == 1000


def classes(labels: Tensor, part: Tensor) -> int:
    return len(labels[part].unique())


def test_shards_give_few_classes() -> None:
    parts = dealt(Shards(), TEN, 20)
    assert {len(part) for part in parts} == {50}
    assert max(classes(TEN, part) for part in parts) <= 2


def test_by_class_gives_one_class_and_nothing_where_nobody_has_any() -> None:
    parts = dealt(ByClass(), TEN, 30)
    assert {len(part) for part in parts} == {33, 34}
    assert {classes(TEN, part) for part in parts} == {1}
    holes = dealt(ByClass(), TEN[TEN != 3], 10)
    assert [len(part) for part in holes] == [100, 100, 100, 0, 100, 100, 100, 100, 100, 100]
    assert [classes(TEN, part) for part in dealt(ByClass(), TEN, 4)] == [3, 3, 2, 2]


def test_dirichlet_skews_as_beta_says_within_its_bounds() -> None:
    few, many = (dealt(Dirichlet(beta=beta), TEN, 10) for beta in (0.05, 1e3))
    assert min(len(part) for part in (*few, *many)) >= 15
    assert sum(classes(TEN, part) for part in few) < 0.6 * sum(classes(TEN, part) for part in many)
    share = torch.stack([torch.bincount(TEN[part], minlength=10) for part in many])
    assert share.float().std() < 4


def test_dirichlet_gives_up_instead_of_drawing_for_ever() -> None:
    for clients, minimum in ((100, 11), (60, 15)):
        with pytest.raises(UserError, match=r"lower fl\.partition\.minimum"):
            dealt(Dirichlet(beta=0.01, minimum=minimum, draws=20), TEN, clients)
