"""nevergrad's CMA-ES of 2021, for which today's has no option. Imports nevergrad, which takes long."""

from typing import Any

from nevergrad.optimization.optimizerlib import _CMA


class Keeping(_CMA):  # type: ignore[misc]
    """Loses no candidate, and never begins again: as nevergrad 0.4.3.

    pycma takes what it is told but once between two askings. nevergrad 1.0 drops a population that is refused; 0.4.3
    kept it, and told it together with the candidate that was evaluated next.
    """

    _to_be_told: list[Any]

    @property
    def es(self) -> Any:
        """pycma's strategy; nevergrad 1.0 would make a new one where its criteria stop it."""
        return super().es if self._es is None else self._es

    def _internal_tell_candidate(self, candidate: Any, loss: float) -> None:
        waiting, generation = [*self._to_be_told, candidate], self.es.countiter
        super()._internal_tell_candidate(candidate, loss)
        if not self._to_be_told and self.es.countiter == generation:
            self._to_be_told = waiting
