"""What a class must not do to be configured."""

import pytest

from harness.core import Defense


def test_an_init_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Own has an __init__: .* belongs in __post_init__"):

        class Own(Defense):
            def __init__(self, strength: float) -> None:
                self.strength = strength
