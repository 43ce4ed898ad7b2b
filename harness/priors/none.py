"""No prior."""

from harness.core import Dataset, Prior, Split, component


@component
class NoPrior(Prior):
    """The attacker has no generator: attacks that search a latent space can't run."""

    @property
    def reads(self) -> frozenset[Split]:
        return frozenset()

    def generator(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> None:
        return None
