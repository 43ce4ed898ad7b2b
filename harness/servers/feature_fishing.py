"""Feature fishing: among images of one class, a head by which that with the smallest feature alone has a gradient."""

import copy
import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from harness.base.numbers import Positive, Steps
from harness.base.threat import Need
from harness.core import Classifier, Images, Params, UserError, component
from harness.models.head import head_input, head_parameters
from harness.servers.fishing import Fishing

LOOKED_AT = 256
"""Public images by which a feature is chosen."""


@component
class FeatureFishing(Fishing):
    """Wen et al. 2022, section 3.3: for clients of a single class. Only its row has a weight, alpha at one feature,
    so that images above a cut are sure of their class and have no slope.

    The server asks the same client again and again: an honest model's update tells the class; then the head's own part
    the mean feature of the images below the cut, which is the next cut, until it stands still: then it is that of the
    image with the smallest feature. An image of another class is wrong above the cut, and has a slope: of a mixed batch
    nothing is isolated.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.PARAMETERS, Need.PUBLIC})
    steepness: Positive = 300.0
    """Alpha times the feature's deviation on public images: 30 leaves a percent of the others in."""
    queries: Steps = 20
    """How often the client is asked at most."""
    still: Positive = 1e-4
    """The cut stands still when it moves by less, in deviations of the feature."""

    def approach(
        self, model: Classifier, ask: Callable[[Classifier], Params], public: Callable[[], Images]
    ) -> Classifier:
        """Raises UserError for a head without a bias, or whose features are all dead."""
        model = copy.deepcopy(model)
        _, weight, bias = self.head(model)
        feature, deviation, cut = self._feature(model, public())
        alpha = self.steepness / deviation
        names = head_parameters(model)
        target = self.shown(model, ask)
        for _ in range(self.queries):
            with torch.no_grad():
                weight.zero_()
                weight[target, feature] = alpha
                bias.zero_()
                bias[target] = math.log(max(len(bias) - 1, 1)) - alpha * cut
            update = ask(model)
            slopes, sums = (update[name or ""].double() for name in names)
            mean = float(slopes[target, feature] / sums[target])
            if not math.isfinite(mean) or abs(mean - cut) < self.still * deviation:
                break
            cut = mean
        return model

    def _feature(self, model: Classifier, public: Images) -> tuple[int, float, float]:
        """The number of a feature that is never zero, or the most seldom, its deviation, and a cut above all images.

        An image whose feature is the zero of a ReLU has no slope through it.
        """
        shown = torch.stack([public[place][0] for place in range(min(len(public), LOOKED_AT))])
        params: Params = dict(model.named_parameters())
        with torch.no_grad():
            like = next(iter(params.values()))
            seen: Tensor = head_input(model, params, shown.to(like)).double()
        deviation, least = seen.std(0), seen.quantile(0.01, dim=0)
        seldom = -(seen == 0).double().mean(0)
        rank = torch.where(seldom < 0, seldom, least / deviation).masked_fill(deviation == 0, -math.inf)
        feature = int(rank.argmax())
        if not float(deviation[feature]) > 0:
            raise UserError("server=feature_fishing: no feature before the head tells two images apart")
        spread = float(deviation[feature])
        return feature, spread, float(seen[:, feature].max()) + 10 * spread
