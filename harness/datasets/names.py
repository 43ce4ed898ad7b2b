"""Class names as a configuration gives them."""

from typing import Any

from pydantic_core import PydanticCustomError


def quoted(names: Any) -> Any:
    """The names, if all are texts: YAML takes no, yes, 0, 1 or 1e3 for something else unless they are in quotes."""
    if isinstance(names, list | tuple) and not all(isinstance(name, str) for name in names):
        spelt = ", ".join(f'"{name}"' if isinstance(name, str) else '"..."' for name in names[:3])
        raise PydanticCustomError(
            "names",
            "YAML takes a name for a number or for true and false: put every name in quotes, [{spelt}]",
            {"spelt": spelt},
        )
    return names
