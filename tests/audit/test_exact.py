"""Closed forms on updates of known images: exact where they say so, silent where they can't be."""

from pathlib import Path

import numpy
import pytest
import torch

from harness.audit.case import Case, open_case
from harness.audit.exact import Exact, exact
from harness.audit.inputs import read_files
from harness.audit.recipe import read_recipe
from tests.audit.clients import SHAPE, Dense, Narrow, client, images, trained, written


def opened(path: Path) -> Case:
    files = read_files(path)
    return open_case(files, read_recipe(None, files.facts))


def psnr(found: torch.Tensor, count: int) -> torch.Tensor:
    x, _ = images(count)
    error = torch.cdist((found + 1) / 2, x.flatten(1).double()).square() / x[0].numel()
    return -10 * error.min(1).values.log10()


def test_a_single_image_is_solved_for(tmp_path: Path) -> None:
    _, single, several = exact(opened(client(tmp_path / "u.npz", 1)), 5)
    assert single.status == "done"
    assert single.images
    assert float(psnr(single.inputs, 1).min()) > 100
    assert several.status == "not applicable"


@pytest.mark.parametrize("count", [3, 5])
def test_spear_certifies_a_batch_with_its_labels(count: int, tmp_path: Path) -> None:
    counted, _, found = exact(opened(client(tmp_path / "u.npz", count)), 10)
    assert counted.reason.startswith(f"{count} by the rank")
    assert found.reason == f"{count} of {count} certified"
    assert float(psnr(found.inputs, count).min()) > 80
    assert sorted(found.labels.tolist()) == sorted(images(count)[1].tolist())


BRIGHT = torch.randint(256, (4, *SHAPE), generator=torch.Generator().manual_seed(0))
README = torch.tensor(numpy.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), numpy.uint8)).movedim(3, 1)
DRAWS = [*((BRIGHT, seed) for seed in (0, 1, 4, 13, 24)), *((README, seed) for seed in (505, 524))]


def narrow(path: Path, noise: torch.Tensor, seed: int, seconds: float = 10) -> tuple[Exact, torch.Tensor]:
    """What SPEAR says of four images of noise in front of 64 units, and the error [found, 4] of what it certifies."""
    x = 0.5 + noise / 510
    torch.manual_seed(seed)
    arrays = trained(Narrow(), 4, data=(x, torch.arange(4)))
    *_, found = exact(opened(written(path, arrays, model="tests.audit.clients:Narrow", examples=4)), seconds)
    error = torch.cdist((found.inputs + 1) / 2, x.flatten(1).double()).square() / x[0].numel()
    return found, error


@pytest.mark.parametrize(("noise", "seed"), DRAWS)
def test_spear_finds_batches_whose_images_leave_few_units_off(
    noise: torch.Tensor, seed: int, tmp_path: Path
) -> None:
    """Of bright noise, four images are off at 3 to 17 of some 40 units each, most of them common to several."""
    found, error = narrow(tmp_path / "u.npz", noise, seed)
    assert found.reason == "4 of 4 certified"
    assert sorted(error.argmin(1).tolist()) == [0, 1, 2, 3]
    assert float(error.min(1).values.max()) < 1e-10


def test_spear_certifies_no_image_whose_off_units_are_all_off_for_another_too(tmp_path: Path) -> None:
    """Its direction may hold any share of the other's, and the other's input of its own: nothing tells those two."""
    found, error = narrow(tmp_path / "u.npz", README, 525, 1)
    assert found.reason == "2 of 4 certified"
    assert sorted(error.argmin(1).tolist()) == [0, 1]
    assert float(error.min(1).values.max()) < 1e-10


def test_several_steps_are_told_from_one(tmp_path: Path) -> None:
    counted, _, found = exact(opened(client(tmp_path / "u.npz", 12)), 1)
    assert counted.reason.startswith("12 by the rank")
    assert found.reason == "there were 2 local steps, and it is exact for one"


def test_the_rank_stands_for_examples_that_are_not_known(tmp_path: Path) -> None:
    torch.manual_seed(0)
    case = opened(written(tmp_path / "u.npz", trained(Dense(), 5)))
    assert case.recipe.examples == 5
    assert any("rank of the gradient" in note for note in case.notes)


def test_the_head_is_where_the_logits_come_from(tmp_path: Path) -> None:
    case = opened(client(tmp_path / "u.npz"))
    assert case.model.head == "network.head"
    assert [layer.name for layer in case.layers] == ["network.first", "network.second", "network.head"]
    assert [layer.relu for layer in case.layers] == [True, True, False]
    assert case.update.frozen == ("spare.weight", "spare.bias")
