"""Bodies of the routes of batches."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from engine.service import BatchKind, BatchState
from routes.drawing import PictureFields
from routes.inline import Inline


class ImagesRequest(PictureFields):
    """The body of POST /v1/batch/images: one picture of each prompt."""

    prompts: list[str]
    concurrency: int | None = None
    response_type: str | None = None
    response_format: str | None = None


class ChatRequest(Struct):
    """The body of POST /v1/batch/chat: one answer to each prompt."""

    prompts: list[str]
    concurrency: int | None = None
    model: str | None = None


class Accepted(Struct):
    """A batch that is taken in."""

    batch_id: str
    total: int
    status: BatchState
    message: str


class Summary(Struct):
    """How a batch stands. completed, failed, cancelled: tasks that ended so; pending: those that have not, with those that run;
    progress: `ended/total`. Times are ISO 8601 in UTC, null where they are yet to come. why: what the tasks wait for now."""

    batch_id: str
    object: Literal["batch"]
    kind: BatchKind
    model: str
    total: int
    completed: int
    failed: int
    cancelled: int
    pending: int
    running: int
    progress: str
    status: BatchState
    concurrency: int
    created_at: str | None
    started_at: str | None
    ended_at: str | None
    expires_at: str | None
    why: str | UnsetType = UNSET


class Page(Summary):
    """next_offset: where what is left begins; there where something is."""

    next_offset: int | UnsetType = UNSET


class Result(Struct):
    """A task that went well: `url` or `image` of a picture, or `text`. size: as measured. tries: how often it was tried.

    image: a data URL; null, beside a `message`, for a picture that cannot be read any more. A `message` alone, with none of these:
    all that was kept of the task was sealed with another key.
    """

    task_id: str
    index: int
    tries: int
    url: str | UnsetType = UNSET
    image: Inline | UnsetType | None = UNSET
    text: str | UnsetType = UNSET
    size: str | UnsetType = UNSET
    watermark: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class TaskError(Struct):
    """A task that failed for good, after so many tries."""

    task_id: str
    index: int
    message: str
    code: str
    tries: int


class Status(Page):
    """With the tasks that have ended, by their prompts' indexes."""

    results: list[Result] = []
    errors: list[TaskError] = []


class Cancelled(Summary):
    """message: what became of it."""

    message: str = ""


class BatchList(Struct):
    """Newest first. total: of all that may be seen; not told of those of one status. next: `after` of the next page."""

    batches: list[Summary]
    has_more: bool
    next: str | None
    total: int | UnsetType = UNSET
