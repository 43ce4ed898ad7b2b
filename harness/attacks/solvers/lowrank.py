"""The gradient of the L2 mismatch of updates, written out by hand for sigmoid networks and one image.

What DLG minimises is f(x) = ||g'(x) - g||^2, where g' is itself a gradient, of the loss l in the parameters theta.
Autograd would differentiate through the backward pass. With v = g'(x) - g held fixed, grad f = 2 d/de [dl/dx at theta +
e v]: one pass forward and back gives g' and v, and a second pass carries the derivative in e beside every quantity (the
suffix `_dot`). For one image the gradient of the last layer is an outer product, delta h', so that its part of v
has rank two and is never written out. All that is left are products of matrices over all problems [k] at once, without
a graph. It holds where `applies` says so: convolutions that a sigmoid follows, then one linear layer; FedSGD, one
image, and no defence that the attacker simulates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.attacks.solvers.batches import sigmoid, times
from harness.attacks.solvers.evaluator import Found, Setting, Stack, Stacked
from harness.core import Classifier, Observation, Params, UserError
from harness.federated.fedsgd import FedSGD

RANK_TOLERANCE = 1e-4
"""How far, relative to its length, the head's gradient may be from an outer product."""


@dataclass(frozen=True)
class Convolution:
    """A convolution that a sigmoid follows: its parameters' names, and how it slides over its input."""

    weight: str
    bias: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    def unfold(self, h: Tensor) -> Tensor:
        """Patches [k, c * kernel, places] of maps [k, c, h, w]: a copied view, twice as fast as F.unfold."""
        (down, across), (high, wide) = self.stride, self.kernel
        above, beside = self.padding
        h = F.pad(h, (beside, beside, above, above))
        windows = h.unfold(2, high, down).unfold(3, wide, across)
        return windows.permute(0, 1, 4, 5, 2, 3).reshape(len(h), h.shape[1] * high * wide, -1)

    def fold(self, patches: Tensor, size: torch.Size) -> Tensor:
        """The transpose of `unfold`: maps whose height and width are `size`."""
        return F.fold(patches, size, self.kernel, padding=self.padding, stride=self.stride)


def convolutions(model: Classifier) -> list[Convolution] | None:
    """The convolutions of a network (convolution, sigmoid) x n, flatten, linear; None: it is another network."""
    if not isinstance(model.network, nn.Sequential):
        return None
    names, layers = zip(*model.network.named_children(), strict=True)
    body, tail = layers[:-2], layers[-2:]
    kinds = [*[nn.Conv2d, nn.Sigmoid] * (len(body) // 2), nn.Flatten, nn.Linear]
    if not body or [type(layer) for layer in layers] != kinds:
        return None
    found = [_convolution(f"network.{name}", each) for name, each in zip(names, body, strict=False)][::2]
    plain = [each for each in found if each is not None]
    return plain if len(plain) == len(found) and tail[1].bias is not None else None


def _convolution(name: str, layer: nn.Module) -> Convolution | None:
    if not isinstance(layer, nn.Conv2d) or isinstance(layer.padding, str):
        return None
    usual = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not usual or layer.bias is None:
        return None
    return Convolution(f"{name}.weight", f"{name}.bias", layer.kernel_size, layer.stride, layer.padding)


def head_factors(update: Params, head: str) -> tuple[Tensor, Tensor] | None:
    """delta [classes] and h [features] of a head's gradient delta h'; None: it is no such product.

    For one image it is, and delta is the bias's gradient. Clipping and Soteria keep it so; noise does not.
    """
    weight, delta = update[f"{head}.weight"].double(), update[f"{head}.bias"].double()
    length = delta.square().sum()
    hidden = delta @ weight / length if length > 0 else torch.zeros_like(weight[0])
    error = (weight - torch.outer(delta, hidden)).norm()
    if error > RANK_TOLERANCE * weight.norm():
        return None
    return update[f"{head}.bias"], hidden.to(update[f"{head}.weight"])


def applies(setting: Setting) -> bool:
    """Whether the loss, the network and the update are those that this path is written for."""
    attack, observation = setting.attack, setting.observation
    return (
        attack.optimizer.uses_gradient
        and getattr(type(attack).loss, "squared_matching", False)
        and type(observation.protocol) is FedSGD
        and observation.n == 1
        and not observation.knowledge.adaptations
        and observation.params.keys() == observation.update.keys()
        and convolutions(observation.model) is not None
        and head_factors(observation.update, observation.model.head) is not None
    )


class Pass:
    """The passes through one convolution and its sigmoid, for all problems [k] at once.

    h = sigmoid(a), a = W patches + b; a prime on paper is a `_dot` here: the derivative in e at theta + e v.
    """

    def __init__(self, convolution: Convolution, t: Params, h: Tensor) -> None:
        self.convolution, self.size = convolution, h.shape[-2:]
        self.weight = t[convolution.weight]
        self.received = t[f"update {convolution.weight}"], t[f"update {convolution.bias}"]
        self.patches = convolution.unfold(h)
        self.out = sigmoid(torch.bmm(self.weight, self.patches).add_(t[convolution.bias][:, :, None]))
        self.derivative = self.out * (1 - self.out)

    def maps(self, h: Tensor) -> Tensor:
        """[k, channels, places] as maps for the next layer."""
        kernel, stride, padding = self.convolution.kernel, self.convolution.stride, self.convolution.padding
        height, width = (
            (side + 2 * pad - of) // step + 1
            for side, of, step, pad in zip(self.size, kernel, stride, padding, strict=True)
        )
        return h.view(*h.shape[:2], height, width)

    def backward(self, dh: Tensor) -> Tensor:
        """From dl/dh to v, the mismatch of this layer's gradient, and to dl/da, which it returns."""
        self.dh, self.da = dh, dh * self.derivative
        weight, bias = self.received
        self.v = torch.baddbmm(weight, self.da, self.patches.mT, beta=-1)
        self.v_bias = self.da.sum(2) - bias
        return self.da

    def forward_dot(self, h_dot: Tensor | None) -> Tensor:
        """From the derivative of the input (None: it is zero) to that of h."""
        a_dot = torch.bmm(self.v, self.patches)
        if h_dot is not None:
            a_dot.baddbmm_(self.weight, self.convolution.unfold(h_dot))
        a_dot += self.v_bias[:, :, None]
        self.h_dot = self.derivative * a_dot
        return self.h_dot

    def input_gradient(self) -> Tensor:
        """dl/d(input), as maps."""
        return self.convolution.fold(torch.bmm(self.weight.mT, self.da), self.size)

    def input_gradient_dot(self, dh_dot: Tensor) -> Tensor:
        """The derivative of dl/d(input), as maps, from that of dl/dh."""
        da_dot = torch.addcmul(self.derivative * dh_dot, self.dh * (1 - 2 * self.out), self.h_dot)
        both, gradients = torch.cat([self.weight, self.v], 1), torch.cat([da_dot, self.da], 1)
        patches = torch.bmm(both.mT, gradients)
        return self.convolution.fold(patches, self.size)


class Head:
    """The passes through the last layer and the cross-entropy, for all problems [k] at once."""

    def __init__(self, head: str, t: Params, h: Tensor, target: Tensor) -> None:
        self.weight, self.h, self.received = t[f"{head}.weight"], h, t["delta"]
        self.probability = (t[f"{head}.bias"] + times(self.weight, h)).softmax(1)
        self.delta = self.probability - target
        self.e, self.k = self.delta - self.received, h - t["hidden"]

    def backward(self) -> Tensor:
        """dl/dh."""
        return times(self.weight.mT, self.delta)

    def loss(self) -> Tensor:
        """||v||^2 of the weight and the bias [k]."""
        e, k = _dot(self.e, self.e), _dot(self.k, self.k)
        cross = 2 * _dot(self.e, self.received) * _dot(self.h, self.k)
        return (e * _dot(self.h, self.h) + cross + _dot(self.received, self.received) * k + e)[:, 0]

    def backward_dot(self, h_dot: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives of dl/dh and of dl/d(target), the negative log-probabilities."""
        own = self.e * (1 + _dot(self.h, self.h)) + self.received * _dot(self.k, self.h)
        z_dot = times(self.weight, h_dot) + own
        centred = z_dot - _dot(self.probability, z_dot)
        dh_dot = times(self.weight.mT, self.probability * centred)
        return dh_dot + self.h * _dot(self.e, self.delta) + self.k * _dot(self.received, self.delta), -centred


def mismatch(
    convolutions: list[Convolution], name: str, t: Params, images: Tensor, target: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """||g' - g||^2 [k] and its gradient in images [k, c, h, w] and target probabilities [k, classes]."""
    passes: list[Pass] = []
    h = images
    for convolution in convolutions:
        passes.append(Pass(convolution, t, h))
        h = passes[-1].maps(passes[-1].out)
    head = Head(name, t, h.flatten(1), target)
    dh = head.backward().view_as(h)
    for each in reversed(passes):
        each.backward(dh.flatten(2))
        if each is not passes[0]:
            dh = each.input_gradient()
    h_dot = None
    for each in passes:
        h_dot = each.maps(each.forward_dot(h_dot))
    assert h_dot is not None
    dh_dot, target_gradient = head.backward_dot(h_dot.flatten(1))
    gradient = dh_dot.view_as(h_dot)
    for each in reversed(passes):
        gradient = each.input_gradient_dot(gradient.flatten(2))
    loss = head.loss() + sum(each.v.square().sum((1, 2)) + each.v_bias.square().sum(1) for each in passes)
    return loss, 2 * gradient, 2 * target_gradient


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products [k, 1] of [k, n] and [k, n]."""
    return (a * b).sum(1, keepdim=True)


class LowRank(Stacked):
    """Forward over reverse, as a plain sequence of products over all problems.

    With v = g' - g, the gradient of ||v||^2 is 2 d/de of the loss's gradient in the input at theta + e v, so that no
    second-order graph is needed. The head's part of v is e h' + delta k' with e = delta' - delta and k = h' - h, which
    is exact near zero and never written out as a matrix (classes x features).
    """

    def __init__(self, setting: Setting, slots: int) -> None:
        super().__init__(setting, Stack(slots, shares=True))
        found = convolutions(setting.observation.model)
        assert found is not None
        self.convolutions = found
        self.head = setting.observation.model.head

    def pack(self, observation: Observation, known: Params) -> Params:
        factors = head_factors(observation.update, self.head)
        if factors is None:
            raise UserError("an update's head is not of rank one: say attack.engine=vmap")
        tensors = {"delta": factors[0], "hidden": factors[1]}
        for name in (f"{self.head}.weight", f"{self.head}.bias"):
            tensors[name] = observation.params[name]
        for layer in self.convolutions:
            for source, kind in ((observation.params, ""), (observation.update, "update ")):
                tensors[kind + layer.weight] = source[layer.weight].flatten(1)
                tensors[kind + layer.bias] = source[layer.bias]
        if "logits" not in self.setting.layout.shapes:
            tensors["target"] = F.one_hot(known["labels"][0], observation.classes).to(tensors["delta"])
        return tensors

    def side_by_side(self, x: Tensor) -> Found:
        t = self.stack.first(len(x))
        for name in self.stack.common:
            t[name] = t[name].expand(len(x), *t[name].shape)
        variables = self.setting.layout.unflatten(x)
        logits = variables.get("logits")
        target = t["target"] if logits is None else logits[:, 0].softmax(-1)
        images = variables["images"][:, 0]
        loss, image_gradient, target_gradient = mismatch(self.convolutions, self.head, t, images, target)
        gradients = {"images": image_gradient[:, None]}
        if logits is not None:
            inner = target_gradient - (target * target_gradient).sum(-1, keepdim=True)
            gradients["logits"] = (target * inner)[:, None]
        return loss, self.setting.layout.flatten(gradients)
