"""What is configured: a class whose annotations are its schema. Light, for much is configured without torch."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast, dataclass_transform

import pydantic

from harness.base.threat import Need

T = TypeVar("T")
Split = Literal["attack", "public", "train"]
HARNESS = __name__.partition(".")[0]


def absolute(path: Path) -> Path:
    """The path from the root on, with ~ expanded: what reads it may stand in another folder."""
    return path.expanduser().absolute()


AbsolutePath = Annotated[Path, pydantic.AfterValidator(absolute)]
"""A setting that names a file or a folder. A run's id holds the content behind a `Path`, and never the path."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
def component(cls: type[T]) -> type[T]:
    """Make a class its own configuration schema: typed, validated, keyword-only and frozen."""
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    return cast(type[T], made)


def setting(default: T, *, absence: object = dataclasses.MISSING, once: str = "") -> T:
    """A setting whose default has moved, or that was given another name, after runs were stored.

    `absence` is the value that runs had which do not name it: the default of the day on which the setting came. A run's
    id leaves out what equals it, and a stored configuration without the setting means it. Nothing said: the default.
    `once` is the name that the setting has in ids and in configurations stored before it was renamed.
    """
    said = {} if absence is dataclasses.MISSING else {"absence": absence}
    made: T = dataclasses.field(default=default, metadata=said | ({"once": once} if once else {}))
    return made


@component
class Component:
    """The root of all that is configured. Bump `version` when a change alters the numbers it produces."""

    version: ClassVar[int] = 1
    execution: ClassVar[frozenset[str]] = frozenset()
    """Settings that change the speed alone, or what is shown of a run, and so are no part of what identifies it."""
    once: ClassVar[str] = ""
    """The name that a class had when runs of it were first stored, should it be renamed."""
    needs: ClassVar[frozenset[Need]] = frozenset()
    """What an attacker who has it needs beyond an honest-but-curious server who sees the updates."""

    def __init_subclass__(cls) -> None:
        """Raises TypeError for an `__init__` of a class's own, past which no setting would be checked."""
        if "__init__" in vars(cls):
            raise TypeError(
                f"{cls.__name__} has an __init__: its settings are annotations alone; "
                "what is made of them belongs in __post_init__"
            )

    @classmethod
    def needed(cls, settings: Mapping[str, Any]) -> frozenset[Need]:
        """As `needs`, with these settings; for components of which some settings need more."""
        return cls.needs

    def revision(self) -> int:
        """The `version` of the component as it is set; overridden where only some settings' numbers have changed."""
        return self.version

    @property
    def reads(self) -> frozenset[Split]:
        """The splits of the data set that it reads beside the attacked one, so that a run's id holds their content."""
        return frozenset({"public"} if Need.PUBLIC in self.needed(vars(self)) else ())
