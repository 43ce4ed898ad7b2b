"""A threshold for each sign of a malicious server."""

import math

from harness.base.numbers import Fraction, NonNegative, Positive
from harness.checks.client import ClientChecks
from harness.checks.structure import first_linear, half_negated_rows, loud_bias, parallel_rows
from harness.checks.update import d_snr, relative_loss
from harness.core import Batch, Classifier, component


@component
class Thresholds(ClientChecks):
    """Signs of what Fowl et al. 2022, Wen et al. 2022, Boenisch et al. 2023 and Garov et al. 2024 plant.

    The thresholds are ours. A sign that a model or a batch can't show raises no alarm.
    """

    parallel_rows: Fraction = 0.05
    """Of a layer's rows, how many may measure the same as another: an imprint block's all do."""
    half_negated_rows: Fraction = 0.05
    """Of a layer's rows, how many may be half the negative of the other half: trap weights all are."""
    silent_bias: NonNegative = 5.0
    """The largest bias of a class without weights: a head that fishes has a high one."""
    first_linear_least: NonNegative = 0.02
    """The first linear layer's root mean square times the root of its inputs, at the least."""
    first_linear_most: Positive = 12.0
    """The same, at the most."""
    loss: Positive = 5.0
    """Of the client's images, as a multiple of log K, that of a guess."""
    d_snr: Positive = 5.0
    """How far one image's gradient outweighs the others'."""

    def alarms(self, model: Classifier, batch: Batch) -> list[str]:
        state = model.state_dict()  # parameters that an adapter has frozen are no parameters any more
        bias = loud_bias(state.get(f"{model.head}.weight"), state.get(f"{model.head}.bias"))
        signs = (
            ("parallel rows", parallel_rows(state), 0.0, self.parallel_rows),
            ("half-negated rows", half_negated_rows(state), 0.0, self.half_negated_rows),
            ("silent class", bias, 0.0, self.silent_bias),
            ("first linear layer", first_linear(model), self.first_linear_least, self.first_linear_most),
            ("loss", relative_loss(model, batch), -math.inf, self.loss),
            ("D-SNR", d_snr(model, batch), 0.0, self.d_snr),
        )
        return [name for name, value, low, high in signs if value is not None and not low <= value <= high]
