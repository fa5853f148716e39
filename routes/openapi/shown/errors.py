"""What errors look like: one for each status, rendered as the routes render it. Pure."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from core import errors
from core.errors import GatewayError
from routes.gemini.errors import render as as_google
from routes.openai.errors import render as as_openai

_RENDER: Final[Mapping[str, Callable[[GatewayError], bytes]]] = {"OpenAI": as_openai, "Gemini": as_google}
"""By the prefix of a dialect's structs."""

_ERRORS: Final = (
    errors.InvalidRequest("'n' must be from 1 to 4, not 9.", param="n"),
    errors.Unauthenticated("The API key is not valid. Send one that the gateway's operator has given out."),
    errors.Forbidden("This key is not for the model. It may ask 'gemini-2.5-flash'.", param="model"),
    errors.UnknownModel(
        "There is no model 'gpt-9'. Known are gemini-2.5-flash, gemini-2.5-pro.", param="model"
    ),
    errors.MethodNotAllowed("PUT is not supported here. Use GET, HEAD.", allow="GET, HEAD"),
    errors.RequestTimeout("The body did not arrive within 60 seconds. Send it again."),
    errors.Conflict("The batch has ended: completed."),
    errors.RequestTooLarge("The body has more than 41943040 bytes. Send less."),
    errors.UnsupportedMedia("A body of 'text/plain' is not taken. Send application/json."),
    errors.AnswerUnfit("The model never gave JSON that keeps the schema: 'city' is missing."),
    errors.PoolBusy("Every account is busy.", retry_after=12.0),
    errors.HeadTooLarge("The request's headers are too large. Send less than 64 KiB."),
    errors.InternalError("The gateway failed on this request. Please try again."),
    errors.UpstreamUnstable("no answer", kind="stalled"),
    errors.NoAccount("No account can serve.", retry_after=30.0),
    errors.DeadlineExceeded("The time for the request is over."),
)
_BY_STATUS: Final = {error.status: error for error in _ERRORS}


def error_shown(dialect: str, status: int) -> Any:
    """An error's body as the dialect of that prefix has it."""
    return json.loads(_RENDER[dialect](_BY_STATUS[status]))
