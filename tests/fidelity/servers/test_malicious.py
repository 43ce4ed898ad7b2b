"""Malicious parameters: which images have a gradient, and what it is."""

import torch
from torch import Tensor, nn

from harness.core import Batch, Classifier, Images, Normalize, Observation, Params
from harness.core.gradient import gradient
from harness.federated.fedsgd import FedSGD
from harness.servers.class_fishing import ClassFishing
from harness.servers.feature_fishing import FeatureFishing
from harness.servers.trap_weights import TrapWeights
from tests.fidelity.attacks.statements import configured
from tests.fidelity.conftest import Fidelity
from tests.fidelity.ledger import largest_difference

SHAPE, CLASSES, N = (3, 8, 8), 6, 5


def victim(*layers: nn.Module) -> Classifier:
    return Classifier(Normalize((0.0,) * 3, (1.0,) * 3), nn.Sequential(*layers)).double().eval()


def observed(model: Classifier, x: Tensor, y: Tensor) -> Observation:
    params: Params = {name: value.detach() for name, value in model.named_parameters()}
    update = {name: value.detach() for name, value in gradient(model, params, Batch(x, y)).items()}
    return Observation(
        model=model, params=params, update=update, protocol=FedSGD(batch_size=len(x)), n=len(x), shape=SHAPE,
        classes=CLASSES,
    )  # fmt: skip


class Shown(Images):
    """Public images, all of one class."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.indices, self.labels = x, list(range(len(x))), torch.zeros(len(x), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.x[position], 0


def images(n: int) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def fished(bias: float) -> tuple[Params, Params]:
    """The isolated gradient of one image of class 2 among four of others, and that of the image alone."""
    torch.manual_seed(0)
    model = victim(
        nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 16), nn.ReLU(),
        nn.Linear(16, CLASSES),
    )  # fmt: skip
    server = ClassFishing(target=2, bias=bias)
    server.plant(model, 0)
    x, y = images(N), torch.tensor([0, 1, 2, 3, 4])
    isolated = server.received(observed(model, x, y)).update
    alone = observed(model, x[2:3], y[2:3]).update
    return isolated, {name: alone[name] for name in isolated}


def test_class_fishing_isolates_the_image_of_its_class(fidelity: Fidelity) -> None:
    what = "n times the update behind the head, the gradient of the class's one image (Wen et al. 2022, section 3.2)"
    fidelity("server", "class_fishing", what, *fished(1000.0))
    errors = [largest_difference(*fished(bias)) for bias in (100.0, 10.0)]
    assert errors[0] < 1e-5 < errors[1], "biases of 10 are not enough"


def test_feature_fishing_isolates_the_smallest_feature_of_one_class(fidelity: Fidelity) -> None:
    """The update of a client with one class, and that of the one image alone; of a mixed batch it is not."""
    torch.manual_seed(0)
    honest = victim(nn.Flatten(), nn.Linear(192, 32), nn.Sigmoid(), nn.Linear(32, CLASSES))
    server, asked = FeatureFishing(), 0
    apart = []
    for y in (torch.full((N,), 3), torch.tensor([3, 1, 2, 0, 4])):
        x = images(N)

        def ask(model: Classifier, x: Tensor = x, y: Tensor = y) -> Params:
            nonlocal asked
            asked += 1
            return observed(model, x, y).update

        model = server.approach(honest, ask, lambda: Shown(images(20)))
        head = model.get_submodule("network.3")
        assert isinstance(head, nn.Linear)
        column = int(head.weight[3].abs().argmax())
        seen = model.network[:3](x)[:, column]  # type: ignore[index]
        one = int(seen.argmin())
        isolated = server.received(observed(model, x, y))
        alone = observed(model, x[one : one + 1], y[one : one + 1]).update
        apart.append((isolated.update, {name: alone[name] for name in isolated.update}))
        assert isolated.knowledge.labels is not None
    what = "n times the update behind the head, that of the image with the least feature (Wen et al. 2022, section 3.3)"
    fidelity("server", "feature_fishing", what, *apart[0])
    assert largest_difference(*apart[1]) > 0.1, "a mixed batch is not isolated"
    assert asked <= 2 * (server.queries + 1)


def test_a_unit_that_one_image_switched_on_is_that_image(fidelity: Fidelity) -> None:
    torch.manual_seed(0)
    model = victim(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    TrapWeights(scale=0.9).plant(model, 0)
    layer = model.get_submodule("network.1")
    assert isinstance(layer, nn.Linear)
    rows = layer.weight.detach()
    halves = (rows < 0).sum(1), (rows > 0).sum(1)
    what = "a random half of each row negative, the other as large times the scale (Boenisch et al. 2023, section 4.2)"
    mirrored = torch.stack([row[row > 0].sort().values / 0.9 for row in rows])
    assert all(int(count) == 96 for half in halves for count in half)
    fidelity(
        "server", "trap_weights", what, mirrored, torch.stack([(-row[row < 0]).sort().values for row in rows])
    )
    x, y = images(N), torch.tensor([0, 1, 2, 3, 4])
    on = x.flatten(1) @ rows.T > 0
    seen = observed(model, x, y)
    attack = configured("quotients")
    readings = attack.readings(seen)
    alone = on.sum(0) == 1
    expected = torch.stack([x[on[:, unit].nonzero().item()] for unit in alone.nonzero().flatten().tolist()])
    single = alone[on.any(0)]
    what = "dW_k / db_k of a unit that one image switched on, that image (Boenisch et al. 2023, section 4.1)"
    fidelity("attack", "quotients", what, readings[single], expected)
    repeated = attack.reconstruct(seen, torch.Generator())
    count = int(repeated.trace[0]["returned"])
    nearest = torch.cdist(repeated.x[:count].flatten(1), x.flatten(1)).argmin(1)
    what = "readings that repeat, images of the client (ours)"
    fidelity("attack", "quotients", what, repeated.x[:count], x[nearest])
    assert count >= 2
    assert len(nearest.unique()) == count
