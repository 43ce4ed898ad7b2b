"""Images that are tuned on are none of those that a comparison by the same seed attacks."""

import pytest

from harness.base.errors import UserError
from harness.config import compose
from harness.runs.choice import choose
from harness.tuning.targets import set_apart


@pytest.mark.parametrize("seed", [0, 7])
def test_a_comparison_meets_them_last(seed: int) -> None:
    tuned = set_apart([compose("attack=ig", "trials=5", f"seed={seed}", "scale=paper")])
    compared = compose("attack=ig", "trials=100", f"seed={seed}", "scale=paper")
    images = compared.dataset.load("attack", None)
    rows = [images.indices[position] for position in choose(compared, images)]
    assert len(set(tuned)) == 5
    assert not set(tuned) & set(rows[:100])
    assert set(rows[-5:]) == set(tuned)


def test_what_can_not_be_set_apart_is_refused() -> None:
    with pytest.raises(UserError, match="more than half"):
        set_apart([compose("attack=ig", "trials=250", "scale=paper")])
    with pytest.raises(UserError, match="the same images"):
        set_apart([compose("attack=ig", "trials=2"), compose("attack=ig", "trials=3")])
    with pytest.raises(UserError, match="a tuning chooses them"):
        set_apart([compose("attack=ig", "trials=2", "targets=[1450,1451]")])
    with pytest.raises(UserError, match="images of any class"):
        set_apart([compose("attack=ig", "trials=2", "of_class=1")])
    with pytest.raises(UserError, match="federated rounds"):
        set_apart([compose("attack=dlf", "fl=fedavg", "fl.clients=2", "trials=1")])
