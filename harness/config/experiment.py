"""One run as it is configured, and the id that it has."""

import dataclasses
import functools
import hashlib
import json
from typing import Any, ClassVar

from harness.config.execution import Execution
from harness.config.setup import Setup
from harness.core import Component, component
from harness.identity.identity import canonical, components, plain


@component
class Experiment(Setup, Execution):
    """One run, ready to be carried out: every part is validated, and the scale is applied."""

    execution: ClassVar[frozenset[str]] = frozenset(f.name for f in dataclasses.fields(Execution))

    @property
    def title(self) -> str:
        """What a progress bar calls the run."""
        named = " x ".join(self.choices[group] for group in ("attack", "defense", "dataset") if self.choices)
        return self.label.name or named or self.id

    @functools.cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of the identity. Derived once: workers are handed it."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def identity(self) -> dict[str, Any]:
        """All that the reconstructions depend on: settings, the content of files, and the code of others.

        Less what is as it was before the setting was there, so that new options keep old results valid.
        """
        settings: dict[str, Any] = canonical(self)
        files = self.dataset.fingerprint(self.data.root, self.splits)
        return settings | ({"files": files} if files else {})

    @property
    def parts(self) -> list[Component]:
        """Every component that the numbers may depend on."""
        fields = (f.name for f in dataclasses.fields(self) if f.name not in self.execution)
        return [part for name in fields for part in components(getattr(self, name))]

    @property
    def group_key(self) -> str:
        """What runs have in common that one call of an attack can carry out: all but the start, and all but the seed
        where no network is trained, whose statistics would differ."""
        apart = ("start",) if self.training.steps else ("seed", "start")
        same = {name: value for name, value in self.identity.items() if name not in apart}
        same |= {name: plain(getattr(self, name)) for name in SHARED}
        return json.dumps(same, sort_keys=True)

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration as plain data, complete with defaults."""
        return {
            f.name: plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in ("logger", "paths", "data", "label", "lease", "report")
        }


SHARED = ("data", "paths", "device", "threads", "ranks", "nodes", "trials", "metric", "report")
"""What identifies no run, but must be the same for runs side by side."""
