"""Errors as Google's services render them."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from core.errors import GatewayError
from core.masking import mask_values
from routes.errors import message_of, param_of, wait_of


class Status(Struct):
    """google.rpc.Status"""

    code: int
    message: str
    status: str
    details: list[dict[str, Any]] | UnsetType = UNSET


class ErrorEnvelope(Struct):
    error: Status


def render(error: GatewayError) -> bytes:
    """The JSON body of an error, also the payload of a stream's error event."""
    # gemini-cli reads the wait from these words.
    message = message_of(error, "retry")
    details: list[dict[str, Any]] = []
    if (field := param_of(error)) is not None:
        violation = {"field": field, "description": mask_values(error.message)}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    if error.status in (429, 503) and error.retryable is not False:
        details.append(
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait_of(error)}s"}
        )
    status = Status(code=error.status, message=message, status=error.google_status, details=details or UNSET)
    return msgspec.json.encode(ErrorEnvelope(status))
