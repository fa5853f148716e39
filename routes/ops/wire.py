"""Bodies of the operators' routes. `/health` is put together in `routes.ops.health`."""

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType

from engine.service import CookieStatus
from routes.openai.errors import ErrorBody
from routes.ops.health import Health

NAME = "gemini-pool-gateway"


class TaskStats(Struct):
    running: int
    pending: int
    completed: int
    failed: int


class Concurrency(Struct):
    in_flight: int
    waiting: int
    capacity: int


class HealthReport(Struct):
    """`why` is for callers with a key. There may be more: what the operator's own parts add."""

    status: Health
    version: str
    client_ready: bool
    accounts: Mapping[str, int]
    task_stats: TaskStats
    concurrency: Concurrency
    why: str | UnsetType = UNSET


class Ready(Struct):
    ready: bool


class NotReady(Struct):
    ready: bool
    why: str
    error: ErrorBody


class Info(Struct):
    name: str
    version: str
    uptime_seconds: float
    default_model: str
    default_image_model: str
    endpoints: list[str]


class Root(Struct):
    name: str
    version: str
    info: str
    health: str
    openapi: str
    admin: str
    docs: str


class Accounts(Struct):
    accounts: list[CookieStatus]
