"""What operations share: ways to show a key, parameters, headers, errors. Pure."""

from collections.abc import Sequence
from typing import Any, get_args

from engine.service import BatchState
from routes.openapi.operations import Access, Family
from routes.openapi.shown.errors import error_shown

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "As OpenAI's clients send the key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "googleKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-goog-api-key",
        "description": "As Google's clients send it. Below `/v1/models` it also chooses Gemini's dialect.",
    },
    "queryKey": {"type": "apiKey", "in": "query", "name": "key"},
    "adminKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-admin-key",
        "description": "The admin key; it is taken in the other places as well.",
    },
}
TAGS = {
    "OpenAI": "What OpenAI's clients call, below a base URL that ends in `/v1`.",
    "Gemini": "What Google's clients call, below a base URL without a version; the same under each prefix.",
    "Short forms": "A prompt in, an answer out.",
    "Files": "Pictures that links lead to.",
    "Batches": "Many prompts for later: they run behind the live requests and survive restarts.",
    "Operations": "What operators and their tools read, and how they hand in cookies.",
    "Admin": "The operator's page and what it asks.",
}


def security(access: Access, *, required: bool) -> list[dict[str, list[str]]]:
    """required: a key is configured. Without one nothing has to be sent."""
    if access == "open":
        return []
    names = ["adminKey", "bearer"] if access == "admin" else ["bearer", "apiKey", "googleKey", "queryKey"]
    ways: list[dict[str, list[str]]] = [{name: []} for name in names]
    return ways if required else [*ways, {}]


def _text(name: str, where: str, description: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "in": where, "description": description, **more}
    return {"schema": {"type": "string"}, **found}


def _number(name: str, least: int, description: str, **more: Any) -> dict[str, Any]:
    return _text(
        name, "query", description, schema={"type": "integer", "minimum": least, "maximum": 10**9, **more}
    )


PARAMETERS: dict[str, Any] = {
    "model": _text(
        "model", "path", "A model's name; it may hold slashes.", required=True, example="gemini-2.5-pro"
    ),
    "imageModel": _text(
        "model",
        "path",
        "A model's name; it may hold slashes.",
        required=True,
        example="gemini-2.5-flash-image",
    ),
    "response": _text("response", "path", "A response's id.", required=True, example="resp_1"),
    "file": _text("name", "path", "As the link to the picture has it.", required=True, example="a.png"),
    "account": _text("id", "path", "An account's id.", required=True, example="alice"),
    "pageFile": _text(
        "path", "path", "As the page has it; it may hold slashes.", required=True, example="app.css"
    ),
    "referenceFile": _text(
        "path", "path", "As the page has it; it may hold slashes.", required=True, example="reference.css"
    ),
    "alt": _text(
        "alt",
        "query",
        "`sse` for server-sent events; otherwise the chunks are the items of one JSON array.",
        schema={"type": "string", "enum": ["sse", "json"]},
    ),
    "watermark": _text(
        "watermark",
        "query",
        "`keep` leaves the visible logo on generated pictures.",
        schema={"type": "string", "enum": ["keep", "remove"]},
    ),
    "watermarkHeader": _text(
        "x-gempool-watermark",
        "header",
        "The same as a header, since Google's bodies have no field for it.",
        schema={"type": "string", "enum": ["keep", "remove"]},
    ),
    "requestId": _text(
        "x-request-id",
        "header",
        "An id for the request's log line and answer. One that has anything but letters, digits, '.', '_' and '-', or"
        " more than 128 of them, is replaced.",
    ),
    "batch": _text("id", "path", "A batch's id.", required=True, example="batch_1"),
    "offset": _number("offset", 0, "How many of the results, and of the errors, are left out."),
    "limit": _number("limit", 0, "How many of either are told at most; 0 for none."),
    "listLimit": _number("limit", 1, "How many are listed at most.", maximum=100, default=20),
    "afterBatch": _text("after", "query", "`next` of the page before."),
    "batchStatus": _text(
        "status",
        "query",
        "Only those that stand so.",
        schema={"type": "string", "enum": list(get_args(BatchState))},
    ),
    "afterEvent": _number("after", 0, "The number of the last event that is known already."),
    "lastEventId": _text(
        "last-event-id",
        "header",
        "The same as a header, which goes before it.",
        schema={"type": "string", "pattern": "^[0-9]{1,9}$"},
    ),
    "idempotencyKey": _text(
        "idempotency-key",
        "header",
        "The caller's own name for the request, such as a UUID: a repeat of it makes no second batch.",
        schema={"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    ),
    "range": _text("range", "header", "One range of bytes.", example="bytes=0-1023"),
}


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


HEADERS: dict[str, Any] = {
    "x-request-id": _header("The request's id in the gateway's log."),
    "x-gempool-attempts": _header("Accounts that were tried.", "integer"),
    "x-gempool-overhead-ms": _header("The gateway's own share of the time, in milliseconds.", "number"),
    "x-ratelimit-limit-requests": _header("Requests that the caller's nearest limit allows.", "integer"),
    "x-ratelimit-remaining-requests": _header("What is left of it.", "integer"),
    "x-ratelimit-reset-requests": _header("When it is whole again, such as `1m30s`."),
    "x-gempool-picture-sizes": _header("The measured sizes of the answer's pictures."),
    "location": _header("Where the batch's status is read."),
    "idempotent-replayed": _header("`true` where the batch was there already."),
    "retry-after": _header("Seconds to wait before a repeat.", "integer"),
    "x-should-retry": _header("`false` where a repeat cannot help."),
    "www-authenticate": _header("`Bearer`."),
    "allow": _header("The methods that the route has."),
}
LIMIT_HEADERS = tuple(name for name in HEADERS if name.startswith("x-ratelimit-"))
WORK_HEADERS = ("x-gempool-attempts", "x-gempool-overhead-ms", *LIMIT_HEADERS)

_ERRORS = {
    400: "The request is not valid; the message names the field and the remedy.",
    401: "No key, or one that is not known.",
    403: "The key, or the address, may not do this.",
    404: "No such model, method, picture, batch or route; of models the known ones are listed.",
    405: "The route has other methods.",
    408: "The body did not arrive in time.",
    409: "It is over: what was asked for cannot be done any more. The message says how things stand.",
    413: "More than is taken; the message names the bound.",
    415: "A type of body or file that is not taken.",
    422: "The model never gave a call or JSON that keeps its schema, or an `Idempotency-Key` stands for another request; a repeat is no remedy.",
    429: "The caller's own limit, or every account is busy. `Retry-After` tells the wait.",
    431: "The request's headers are too large.",
    500: "A fault of the gateway.",
    502: "The upstream failed.",
    503: "No account can serve now, or all that were asked failed. `Retry-After` tells the wait.",
    504: "The time for the request is over.",
}
_MORE_HEADERS = {
    401: ("www-authenticate",),
    405: ("allow",),
    409: ("x-should-retry",),
    422: ("x-should-retry",),
    429: ("retry-after", "x-should-retry", *LIMIT_HEADERS),
    503: ("retry-after", "x-should-retry"),
}


def headers_of(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("x-request-id", *names)}


def error_name(dialects: Sequence[Family], status: int) -> str:
    return "Or".join(dialect.prefix for dialect in dialects) + f"Error{status}"


def error_responses(dialects: Sequence[Family], schema: dict[str, Any]) -> dict[str, Any]:
    """Each error of a dialect, or of either of two, by its name in the document."""
    return {
        error_name(dialects, status): {
            "description": description,
            "headers": headers_of(*_MORE_HEADERS.get(status, ())),
            "content": {
                "application/json": {
                    "schema": schema,
                    "examples": {
                        dialect.name: {"value": error_shown(dialect.prefix, status)} for dialect in dialects
                    },
                }
            },
        }
        for status, description in _ERRORS.items()
    }
