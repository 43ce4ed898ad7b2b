"""What docs/audit.md prints for other frameworks records an update that is audited."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from harness.audit.exact import exact
from tests.audit.clients import RECIPE, Dense, trained
from tests.audit.test_exact import psnr

ROOT = Path(__file__).parents[2]


@dataclass
class FLModel:
    """As NVFlare's, as far as the recipe reads it."""

    params: dict[str, Any]
    params_type: str = "FULL"


def printed(framework: str) -> str:
    text = (ROOT / "docs" / "audit.md").read_text()
    found = re.search(rf"```python\n# of {framework}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def recovered(facts: dict[str, Any], count: int) -> Tensor:
    """The PSNR of the inputs that are found in the update.npz of the current folder."""
    from harness.audit.case import open_case
    from harness.audit.inputs import read_files
    from harness.audit.recipe import read_recipe

    files = read_files(Path("update.npz"))
    case = open_case(files, read_recipe(None, facts | dict(files.facts)))
    inputs = next(each.inputs for each in exact(case, 10) if each.inputs is not None)
    return psnr(inputs, count)


@pytest.mark.parametrize("kind", ["FULL", "DIFF"])
@pytest.mark.parametrize("as_arrays", [True, False], ids=["arrays", "tensors"])
def test_nvflares_model(kind: str, as_arrays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = Dense()
    sent: list[FLModel] = []

    def params() -> dict[str, Any]:
        state = {name: value.clone() for name, value in model.state_dict().items()}
        return {name: value.numpy() for name, value in state.items()} if as_arrays else state

    def train(received: FLModel) -> FLModel:
        trained(model, 1)
        after = params()
        if kind == "DIFF":
            after = {name: value - received.params[name] for name, value in after.items()}
        return FLModel(after, kind)

    flare = SimpleNamespace(receive=lambda: FLModel(params()), send=sent.append)
    exec(printed("NVFlare"), {"flare": flare, "train": train, "numpy": numpy})
    assert len(sent) == 1
    assert float(recovered(RECIPE | {"examples": 1}, 1).min()) > 80


def test_plain_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {"model": Dense(), "train": lambda model: trained(model, 4), "json": json, "numpy": numpy}
    exec(printed("PyTorch"), names)
    facts = {name: value for name, value in RECIPE.items() if name not in ("batch_size", "lr")}
    found = recovered(facts, 4)
    assert len(found) == 4
    assert float(found.min()) > 80
