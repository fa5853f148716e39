"""Batches."""

from typing import Any

from routes.batch import wire
from routes.openapi.openai import OPENAI
from routes.openapi.operations import EVENTS, READ_ERRORS, WORK_ERRORS, Family, Media, Operation

BATCH = Family("Batches", "Batch", OPENAI.errors, OPENAI)

_SEEN = "A key sees its own batches; the admin key sees all."
_STATUS = (
    "`offset` and `limit` choose a part of the results and of the errors, both of which are in the order of the prompts; those"
    " of a batch of base64 are 20 at a time where nothing is said. The answer is sent as it is read, so that ten thousand"
    " results cost neither side any patience."
)
_EVENTS = (
    "`progress` tells how the batch stands, now and whenever that changes. `result` and `problem` tell of one task each, all of"
    " them from the first on; their ids number them, and a client that comes back goes on behind the one that it names as"
    " `Last-Event-ID`. Pictures are links. `done` is the last event; `failure` is the last where the stream broke, and then it"
    " is worth connecting again. Browsers' `EventSource` shows its key as `?key=`; close it on `done`."
)


def operations() -> list[Operation]:
    return [*_creation(), *_reading()]


def _creation() -> list[Operation]:
    def taken(path: str, summary: str, body: type, examples: dict[str, Any], **more: Any) -> Operation:
        return Operation(
            method="post",
            path=path,
            route=path,
            family=BATCH,
            tag=BATCH.name,
            summary=summary,
            description="The same request again with the same `Idempotency-Key` is answered 200, with the same batch, and is"
            " not counted; a new batch is one request of the caller's limits. Fields of other routes that would change what is made"
            " (messages, tools, input pictures, several results of a prompt) are refused by name.",
            bodies=(body,),
            examples=examples,
            says=wire.Accepted,
            same={202: "Taken in. From now on nothing loses it."},
            headers=("location", "idempotent-replayed"),
            errors=WORK_ERRORS,
            **more,
        )

    return [
        taken(
            "/v1/batch/images",
            "A picture of each of many prompts",
            wire.ImagesRequest,
            {"links": {"prompts": ["A red kite", "A blue boat"], "concurrency": 2, "response_type": "url"}},
            parameters=("idempotencyKey", "watermark"),
        ),
        taken(
            "/v1/batch/chat",
            "An answer to each of many prompts",
            wire.ChatRequest,
            {"text": {"prompts": ["Why is the sky blue?", "Why is grass green?"]}},
            parameters=("idempotencyKey",),
        ),
    ]


def _reading() -> list[Operation]:
    def one(path: str, route: str, summary: str, *parameters: str, **more: Any) -> Operation:
        more.setdefault("method", "get")
        more.setdefault("errors", READ_ERRORS)
        return Operation(
            path=path,
            route=route,
            family=BATCH,
            tag=BATCH.name,
            summary=summary,
            parameters=("batch", *parameters),
            **more,
        )

    status = {"says": wire.Status, "description": _STATUS}
    return [
        Operation(
            method="get",
            path="/v1/batch",
            route="/v1/batch",
            family=BATCH,
            tag=BATCH.name,
            summary="Batches, newest first",
            description=f"{_SEEN} Ended ones are forgotten after a while, as `expires_at` says.",
            says=wire.BatchList,
            parameters=("listLimit", "afterBatch", "batchStatus"),
        ),
        one("/v1/batch/{id}", "/v1/batch/{id:str}", "How a batch stands", "offset", "limit", **status),
        one(
            "/v1/batch/{id}/status",
            "/v1/batch/{id:str}/status",
            "How a batch stands",
            "offset",
            "limit",
            **status,
        ),
        one(
            "/v1/batch/{id}/events",
            "/v1/batch/{id:str}/events",
            "A batch as it goes on",
            "afterEvent",
            "lastEventId",
            description=_EVENTS,
            media=(Media(EVENTS, events=(wire.Summary, wire.Result, wire.TaskError)),),
        ),
        one(
            "/v1/batch/{id}",
            "/v1/batch/{id:str}",
            "Cancel what has not begun",
            method="delete",
            description="Tasks that run may finish. To cancel it again changes nothing; once it has ended otherwise that is 409.",
            says=wire.Cancelled,
            errors=(*READ_ERRORS, 409),
        ),
    ]
