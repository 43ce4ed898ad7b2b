# mine.py
import numpy
import torch


class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(
            torch.nn.Flatten(), torch.nn.Linear(192, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
        )


def record(model, x, y):
    before = {f"before/{name}": value.numpy().copy() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    after = {f"after/{name}": value.numpy() for name, value in model.state_dict().items()}
    numpy.savez("update.npz", **before, **after)
