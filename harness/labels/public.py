"""Public images of each class, for the rules that learn from some."""

import torch
from torch import Tensor

from harness.core import Observation, UserError, generator


def public_images(observation: Observation, rule: str, count: int) -> list[Tensor]:
    """For each class `count` public images [count, c, h, w], drawn again where there are fewer.

    Raises UserError, naming the rule, if the attacker has no public images, or none of some class.
    """
    public = observation.knowledge.public
    if public is None:
        raise UserError(f"labels={rule} needs public images with labels: say knowledge.public=true")
    rng = generator("labels", "public")
    like = next(iter(observation.params.values()))
    found = []
    for label in range(observation.classes):
        rows = (public.labels == label).nonzero().flatten()
        if len(rows) == 0:
            raise UserError(f"labels={rule}: the public images show none of class {label}")
        order = rows[torch.randperm(len(rows), generator=rng)]
        chosen = order[torch.arange(count) % len(order)].tolist()
        found.append(torch.stack([public[row][0] for row in chosen]).to(like))
    return found
