"""The first linear layer, and what it sees."""

import torch
from torch import nn

from harness.core import Classifier, Normalize
from harness.models.embeddings import embeddings, first_linear


def test_what_the_first_of_two_linear_layers_sees() -> None:
    before = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
    network = nn.Sequential(before, nn.Linear(32, 5), nn.ReLU(), nn.Linear(5, 3))
    model = Classifier(Normalize((0.5,), (0.25,)), network)
    x, params = torch.rand(4, 1, 6, 6), {name: 2 * value for name, value in model.named_parameters()}
    assert first_linear(model) == "network.1"
    layer, bias = params["network.0.0.weight"], params["network.0.0.bias"]
    by_hand = nn.functional.conv2d((x - 0.5) / 0.25, layer, bias).relu().flatten(1)
    assert torch.equal(embeddings(model, params, x), by_hand)
