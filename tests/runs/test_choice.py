"""Which images are attacked, and in what order."""

import pytest

from harness.config import compose
from harness.core import UserError
from harness.runs.clients import Clients


def test_the_orders_of_targets() -> None:
    def targets(*overrides: str) -> list[int]:
        made = Clients(compose("trials=12", *overrides))
        return [made.images.indices[place] for place in made.order[:12]]

    assert targets("order=sequential") == sorted(targets("order=sequential"))
    assert targets() != targets("seed=1")
    made = Clients(compose("trials=5", "order=same_class"))
    assert len({int(made.images.labels[place]) for place in made.order}) == 1
    assert made.order[0] == Clients(compose("trials=12")).order[0]
    with pytest.raises(UserError, match="of the class"):
        Clients(compose("trials=100", "order=same_class"))


def test_images_of_one_class_alone_in_the_order_of_all() -> None:
    def attacked(*overrides: str) -> list[int]:
        return Clients(compose("trials=12", *overrides)).order

    labels = Clients(compose("trials=12")).images.labels
    for order in ("random", "sequential"):
        everything, chosen = attacked(f"order={order}"), attacked(f"order={order}", "of_class=7")
        assert chosen == [place for place in everything if labels[place] == 7]
    with pytest.raises(UserError, match="of the class"):
        Clients(compose("trials=100", "of_class=7"))


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["of_class=10"], "numbered from 0 to 9"),
        (["of_class=1", "order=same_class"], "order=random or sequential"),
        (["of_class=1", "targets=[9]"], "neither targets"),
        (["of_class=1", "alike=1"], "alike"),
        (["of_class=1", "fl=fedavg", "fl.clients=4"], "rounds"),
    ],
)
def test_a_class_alone_is_refused_beside_other_choices(overrides: list[str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        compose(*overrides)
