"""What a table shows beside its cells."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from harness.core import Component, component
from harness.store.records import Store
from harness.tables.measurement import Outcome


@component
class Supplement(Component, ABC):
    """Figures and statistics that only one kind of table has; a table's YAML names those that it wants.

    They are `.md`, `.csv` and `.png` files in the table's directory, and are published with it.
    """

    @abstractmethod
    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        """Write the files, as far as the finished runs allow; `dataset` is our name for it."""
