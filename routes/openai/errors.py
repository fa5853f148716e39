"""Errors as OpenAI renders them."""

import msgspec
from msgspec import Struct

from core.errors import GatewayError
from routes.errors import message_of, param_of


class ErrorBody(Struct):
    message: str
    type: str
    param: str | None
    code: str


class ErrorEnvelope(Struct):
    error: ErrorBody


def envelope(error: GatewayError) -> ErrorEnvelope:
    # SDKs and their users know one code for every 429; the message tells which limit it was.
    code = "rate_limit_exceeded" if error.status == 429 else error.code
    return ErrorEnvelope(
        ErrorBody(message=message_of(error), type=error.type, param=param_of(error), code=code)
    )


def render(error: GatewayError) -> bytes:
    """The JSON body of an error, also the payload of a stream's error event."""
    return msgspec.json.encode(envelope(error))
