"""What would change a verdict: the same client under other conditions."""

from pathlib import Path

import pytest
import torch

from harness.audit.conditions import CLIENTS, Condition, conditions
from harness.base.schema import CONF
from tests.audit.clients import client, trained, written
from tests.audit.test_bad_input import Normal
from tests.audit.test_exact import opened


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Condition]:
    """Of a client with one image, by the beginning of their names."""
    case = opened(client(tmp_path_factory.mktemp("update") / "u.npz", 1))
    return {each.name: each for each in conditions(case, 16)}


def named(under: dict[str, Condition], beginning: str) -> Condition:
    return next(each for name, each in under.items() if name.startswith(beginning))


def test_every_defence_of_the_harness_is_tried(under: dict[str, Condition]) -> None:
    words = {"dpsgd": "dp-sgd", "clipping_noise": "clipping to half its norm, and noise"}
    for path in (CONF / "defense").glob("*.yaml"):
        name = words.get(path.stem, path.stem)
        assert path.stem == "none" or any(each.lower().startswith(name) for each in under), path.stem
    assert named(under, "epochs x 5").clients == named(under, "batch and examples x 2").clients == CLIENTS
    assert not [each for each in under.values() if each.reason]


def test_means_have_intervals_and_the_worst_image_is_told(under: dict[str, Condition]) -> None:
    found = named(under, "as it was")
    assert found.clients == CLIENTS
    assert found.exact is not None
    assert found.exact_interval is not None
    assert found.exact_interval[0] <= found.exact <= found.exact_interval[1] <= 1
    assert found.exact == 1
    assert found.worst is not None
    assert found.worst > 80
    assert found.labels_interval is not None


def test_defences_hide_images(under: dict[str, Condition]) -> None:
    for name in ("noise as large as the update", "DP-SGD"):
        assert named(under, name).exact == 0
        assert named(under, name).worst is None
    augmented, before = named(under, "augmentation"), named(under, "as it was")
    assert augmented.worst is None or augmented.worst <= (before.worst or 0)
    assert named(under, "clipping to half its norm").exact == before.exact  # of pure scaling


def test_batch_norm_leaves_no_gradient_of_one_image(tmp_path: Path) -> None:
    torch.manual_seed(0)
    facts = {"model": "tests.audit.test_bad_input:Normal", "examples": 8}
    case = opened(written(tmp_path / "u.npz", trained(Normal(), 8), **facts))
    assert not any(each.name.startswith("DP-SGD") for each in conditions(case, 1))
