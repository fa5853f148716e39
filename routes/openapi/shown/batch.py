"""Answers about batches."""

from collections.abc import Mapping
from typing import Any, Final

from routes.openapi.operations import EVENTS
from routes.openapi.shown.parts import LINK, Shown, as_events, as_json

_SUMMARY: dict[str, Any] = {
    "batch_id": "batch_1",
    "object": "batch",
    "kind": "images",
    "model": "gemini-3-pro-image-preview",
    "total": 3,
    "completed": 1,
    "failed": 1,
    "cancelled": 0,
    "pending": 1,
    "running": 1,
    "progress": "2/3",
    "status": "running",
    "concurrency": 2,
    "created_at": "2026-11-22T00:00:00.000Z",
    "started_at": "2026-11-22T00:00:01.000Z",
    "ended_at": None,
    "expires_at": None,
}
_RESULT = {
    "task_id": "batch_1-0",
    "index": 0,
    "tries": 1,
    "url": LINK,
    "size": "2048x2048",
    "watermark": "removed",
}
_PROBLEM = {
    "task_id": "batch_1-2",
    "index": 2,
    "message": "The prompt was refused.",
    "code": "content_policy_violation",
    "tries": 1,
}
_STATUS = as_json(running={**_SUMMARY, "results": [_RESULT], "errors": [_PROBLEM]})
_ACCEPTED = as_json(
    accepted={
        "batch_id": "batch_1",
        "total": 3,
        "status": "queued",
        "message": "The batch is taken in. GET /v1/batch/batch_1/status tells how it stands, DELETE /v1/batch/batch_1"
        " cancels it.",
    }
)


SHOWN: Final[Mapping[tuple[str, str], Shown]] = {
    ("post", "/v1/batch/images"): _ACCEPTED,
    ("post", "/v1/batch/chat"): _ACCEPTED,
    ("get", "/v1/batch"): as_json(
        batches={"batches": [_SUMMARY], "has_more": False, "next": None, "total": 1}
    ),
    ("get", "/v1/batch/{id}"): _STATUS,
    ("get", "/v1/batch/{id}/status"): _STATUS,
    ("get", "/v1/batch/{id}/events"): {
        EVENTS: {"running": as_events(("progress", _SUMMARY), ("result", _RESULT), ("problem", _PROBLEM))}
    },
    ("delete", "/v1/batch/{id}"): as_json(
        cancelled={
            **_SUMMARY,
            "status": "cancelling",
            "message": "What has not begun is cancelled; 1 task runs on.",
        }
    ),
}
