"""Types of settings that are numbers: finite, with a cap that the message names, and never true or false."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError(
            "number", "a number is wanted (YAML takes yes, no, on, off for true and false)"
        )
    return value


Number = BeforeValidator(_no_truth)

LARGEST = 1e38
"""Of what single precision holds: a larger setting would become infinite where it is used."""
Real = Annotated[float, Number, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Number, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NonNegative = Annotated[float, Number, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Fraction = Annotated[float, Number, Field(ge=0, le=1, allow_inf_nan=False)]
ProperFraction = Annotated[float, Number, Field(ge=0, lt=1, allow_inf_nan=False)]
"""Less than 1."""
Percent = Annotated[float, Number, Field(ge=0, le=100, allow_inf_nan=False)]

Seed = Annotated[int, Number, Field(ge=0, le=2**32 - 1)]
Steps = Annotated[int, Number, Field(gt=0, le=100_000_000)]
"""How often something is done, one after the other."""
Natural = Annotated[int, Number, Field(ge=0, le=100_000_000)]
"""Zero is none; or the number of an image in its data set."""
Count = Annotated[int, Number, Field(gt=0, le=1_000_000)]
"""Of things that are held side by side: images, clients, classes."""
Side = Annotated[int, Number, Field(gt=0, le=4096)]
"""Pixels."""
Width = Annotated[int, Number, Field(gt=0, le=65_536)]
"""Channels, units or bins of one layer."""
Depth = Annotated[int, Number, Field(gt=0, le=1000)]
"""Blocks on top of each other."""
Restarts = Annotated[int, Number, Field(gt=0, le=10_000)]
Processes = Annotated[int, Number, Field(gt=0, le=1024)]
"""Processes, threads or machines."""
