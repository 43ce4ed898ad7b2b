"""The picture of a table where its runs were published with more images than it shows."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.tables.gallery import _block, _shown


@pytest.mark.parametrize("count", [1, 4, 5, 8])
def test_of_what_was_published_as_many_pictures_as_the_cell_has_images(count: int) -> None:
    truth = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outcome: Any = SimpleNamespace(id="run")
    nothing = torch.full((count, 3, 32, 32), torch.nan)
    shown = _shown(
        [outcome],
        lambda _: {"truth": nothing, "reconstruction": nothing},
        lambda runs: (_block(truth), _block(1 - truth)),
    )
    assert shown is not None
    for found, images in ((shown.originals, truth), (shown.found, 1 - truth)):
        assert found.tobytes() == _block(images[:count]).tobytes()
        assert found.size == _block(images[:count]).size
