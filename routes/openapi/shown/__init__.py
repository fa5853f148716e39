"""What good answers look like: examples by operation, form and title. Tests hold each to its schema. Pure."""

from collections.abc import Mapping
from typing import Any

from routes.openapi.operations import Operation
from routes.openapi.shown import admin, batch, gemini, openai, ops, plain
from routes.openapi.shown.parts import Shown

__all__ = ["PARTS", "refused", "shown"]

PARTS = (openai.SHOWN, plain.SHOWN, batch.SHOWN, ops.SHOWN, admin.SHOWN)
"""Examples by method and path, but for Gemini's."""

_ALL = {key: found for part in PARTS for key, found in part.items()}


def shown(operation: Operation) -> Shown:
    """Of an operation's good answers; nothing where it has none with a body, or they are files."""
    _, mark, method = operation.path.rpartition("/models/{model}")
    if mark and method.startswith(":"):
        return gemini.SHOWN[method]
    if operation.family.name == "Gemini":
        return gemini.SHOWN["" if mark else "list"]
    return _ALL.get((operation.method, operation.path), {})


def refused(operation: Operation, status: int) -> Mapping[str, Any]:
    """Of an error of another shape than the family's, by title."""
    return ops.REFUSED[operation.path, status]
