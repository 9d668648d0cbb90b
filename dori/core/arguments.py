"""Whether a value from the configuration fits the argument that it is given to."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import SchemaError


@cache
def _hints(target: Callable) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # of types that exist for a type checker alone
        return {}


@cache
def _adapter(hint: Any, strict: bool) -> TypeAdapter | None:
    """None for what is no plain type: parts that are built, tensors, functions."""
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=strict))
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, SchemaError, TypeError):
        return None


def misfit(target: Callable, name: str, value: Any) -> str | None:
    """What ``target`` wants for its argument ``name``, where ``value`` is none of it; else None.

    ``value``: of YAML, but no mapping. Where nothing is said of the argument's type, all fits.
    """
    if name not in (hints := _hints(target)):
        return None
    # a word is no number, however it reads; a list may stand for a tuple
    adapter = _adapter(hints[name], not isinstance(value, list))
    try:
        if adapter is not None:
            adapter.validate_python(value)
    except ValidationError:
        return inspect.formatannotation(hints[name])
    return None
