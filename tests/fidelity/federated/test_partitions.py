"""How images are dealt out to clients, counted anew."""

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from harness.core import generator
from harness.federated.partitions.by_class import ByClass
from harness.federated.partitions.dirichlet import Dirichlet
from harness.federated.partitions.iid import IID
from harness.federated.partitions.partition import Partition
from harness.federated.partitions.shards import Shards
from tests.fidelity.conftest import Fidelity

CLASSES = 10


def labels(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


def held(partition: Partition, count: int, clients: int) -> list[Counter[int]]:
    """How many images of each class every client is dealt."""
    y = labels(count)
    parts = partition(y, clients, generator("fidelity partition"))
    return [Counter(y[part].tolist()) for part in parts]


def test_iid_clients_hold_even_shares(fidelity: Fidelity) -> None:
    sizes = [sum(counts.values()) for counts in held(IID(), 1003, 8)]
    fidelity(
        "partition",
        "iid",
        "sizes: 1,003 images shuffled, and cut among 8 clients (McMahan et al. 2017, section 3)",
        torch.tensor(sorted(sizes)),
        torch.tensor([125] * 5 + [126] * 3),
        tolerance=0,
    )


def test_by_class_gives_a_class_to_each_client(fidelity: Fidelity) -> None:
    shown = held(ByClass(), 600, 20)
    fidelity(
        "partition",
        "by_class",
        "client k of 20 holds half of class k mod 10, and nothing else",
        torch.tensor([[counts[label] for label in range(CLASSES)] for counts in shown]),
        torch.tensor(
            [[30 * (label == client % CLASSES) for label in range(CLASSES)] for client in range(20)]
        ),
        tolerance=0,
    )


def test_shards_are_of_sorted_classes(fidelity: Fidelity) -> None:
    """600 images in 20 shards of 30: each is half a class, and a client holds two of them."""
    shown = held(Shards(shards_per_client=2), 600, 10)
    assert all(sorted(counts.values()) in ([30, 30], [60]) for counts in shown)
    total = sum(shown, Counter())
    fidelity(
        "partition",
        "shards",
        "2 of 20 shards of 30 images each, cut from the images sorted by class (McMahan et al. 2017, section 3)",
        torch.tensor(
            [[sum(counts.values()), *{count % 30 for count in counts.values()}] for counts in shown]
        ),
        torch.tensor([[60, 0]] * 10),
        tolerance=0,
    )
    assert set(total.values()) == {60}


def test_dirichlet_follows_the_papers_code(fidelity: Fidelity) -> None:
    """The code's loop written out: numpy's Dirichlet for each class, nothing for full clients, floor of the sums."""
    clients, count, minimum = 12, 1200, 15
    rng = generator("fidelity partition")
    torch.randperm(count, generator=rng)  # the order of the rows
    dice = np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
    sizes = np.zeros((CLASSES, clients), dtype=int)
    while sizes.sum(0).min() < minimum:
        sizes = np.zeros((CLASSES, clients), dtype=int)
        for label in range(CLASSES):
            share = dice.dirichlet(np.repeat(0.5, clients))
            share = np.array([p * (n < count / clients) for p, n in zip(share, sizes.sum(0), strict=True)])
            share = share / share.sum()
            cuts = (np.cumsum(share) * (count // CLASSES) + 1e-9).astype(int)[:-1]
            sizes[label] = [len(part) for part in np.split(np.arange(count // CLASSES), cuts)]
    shown = held(Dirichlet(beta=0.5, minimum=minimum), count, clients)
    fidelity(
        "partition",
        "dirichlet",
        "images of each class and client: shares from Dir(.5) for each class, nothing for clients that hold N / K, "
        "drawn again while one holds less than 15 (Zhu et al. 2024, section IV-A, and its code)",
        torch.tensor([[counts[label] for counts in shown] for label in range(CLASSES)]),
        torch.tensor(sizes),
        tolerance=0,
    )
