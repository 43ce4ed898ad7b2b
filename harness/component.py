"""What is configured: a class whose annotations are its schema. Light, for much is configured without torch."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

import pydantic

from harness.threat import Need

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def component(cls: type[T]) -> type[T]:
    """Make a class its own configuration schema: typed, validated, keyword-only and frozen."""
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    return cast(type[T], made)


@component
class Component:
    """The root of all that is configured. Bump `version` when a change alters the numbers it produces."""

    version: ClassVar[int] = 1
    execution: ClassVar[frozenset[str]] = frozenset()
    """Settings that change the speed alone, and so are no part of what identifies a run."""
    needs: ClassVar[frozenset[Need]] = frozenset()
    """What an attacker who has it needs beyond an honest-but-curious server who sees the updates."""

    @classmethod
    def needed(cls, settings: Mapping[str, Any]) -> frozenset[Need]:
        """As `needs`, with these settings; for components of which some settings need more."""
        return cls.needs
