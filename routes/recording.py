"""What is told of every request once it is over: the metrics, the one log line, and the journal's entry."""

import re
from collections.abc import Iterable

import structlog
from msgspec import Struct

from core.chat import Trace, Tried
from core.masking import mask
from journal import Asked, Served
from routes.exchange import UNROUTED, Exchange
from routes.models import KnownModels
from routes.outcomes import Outcomes
from routes.services import RouteServices

access_log = structlog.get_logger("gempool.access")

TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
"""W3C Trace Context, of this version or a later one."""
NAME = 80
"""Characters that are told of a name which the caller chose."""


class Stages(Struct, frozen=True):
    """What a request's time went into, in seconds; together they are the whole of it.

    read: the body, and the pictures that it names by address. queue: for an account. upstream: for the web app. pictures:
    the work on generated ones, and the wait for a place there. send: until the caller had taken the answer. own: the rest.
    """

    read: float
    queue: float
    upstream: float
    pictures: float
    send: float
    own: float


def stages_of(exchange: Exchange, total: float) -> Stages:
    """Choices are made side by side, so those of the one that took longest are told. Where sending and waiting went on
    at once, the time counts as a wait."""
    slowest = max(exchange.traces, key=_spent, default=None) or Trace()
    left = total

    def part(seconds: float) -> float:
        nonlocal left
        taken = min(max(0.0, seconds), left)
        left -= taken
        return taken

    read = part(exchange.read_seconds)
    queue = part(slowest.queued)
    upstream = part(slowest.waited - slowest.queued)
    pictures = part(slowest.pictures)
    send = part(exchange.send_seconds)
    return Stages(read, queue, upstream, pictures, send, left)


class Recorder:
    """Called at the end of every request, however it ended."""

    def __init__(self, services: RouteServices, models: KnownModels, outcomes: Outcomes) -> None:
        self._services = services
        self._models = models
        self._outcomes = outcomes
        services.metrics.build.labels(services.version).set(1)

    async def record(self, exchange: Exchange) -> None:
        total = max(0.0, exchange.monotonic() - exchange.started)
        stages = stages_of(exchange, total)
        if exchange.traces:
            self._outcomes.count(exchange.outcome)
        access_log.info("request", **_facts(exchange, total, stages))
        if exchange.kind in ("text", "picture"):  # what no account is to answer is neither served nor failed
            self._services.noted(self._entry(exchange, total, stages))
        await self._count(exchange, total, stages)

    async def _count(self, exchange: Exchange, total: float, stages: Stages) -> None:
        metrics, route = self._services.metrics, exchange.route
        model = await self._models.label(exchange.model) if exchange.model else "none"
        metrics.requests.labels(route, model, exchange.kind, exchange.outcome).inc()
        made = exchange.kind if exchange.traces else "none"
        if not exchange.watches:
            metrics.request_seconds.labels(route, made).observe(total)
        if exchange.first_content_at is not None:
            first = exchange.first_content_at - exchange.started
            metrics.first_content_seconds.labels(route, made).observe(first)
        if exchange.waited and exchange.outcome == "ok":
            metrics.overhead_seconds.labels(route).observe(exchange.overhead)
        if exchange.traces:
            for stage, seconds in _named(stages):
                if seconds:
                    metrics.stage_seconds.labels(stage).observe(seconds)

    def _entry(self, exchange: Exchange, total: float, stages: Stages) -> Served:
        first = exchange.first_content_at
        return Served(
            at=self._services.clock.now(),
            id=exchange.id,
            replica=self._services.replica,
            caller=exchange.caller_name,
            route=exchange.route,
            model=mask(exchange.model[:NAME]),
            status=exchange.status,
            outcome=exchange.outcome,
            seconds=total,
            first_content=None if first is None else first - exchange.started,
            queued=stages.queue,
            upstream=stages.upstream,
            pictures=stages.pictures,
            asked=tuple(Asked(one.account, one.outcome, one.seconds) for one in _tried(exchange)),
        )


def _facts(exchange: Exchange, total: float, stages: Stages) -> dict[str, object]:
    """The log line's facts, in the order of `docs/logs.md`."""
    facts: dict[str, object] = {
        "request_id": exchange.id,
        "caller": exchange.caller_name,
        "method": "HEAD" if exchange.head_only else exchange.method,
        "route": exchange.route,
        "status": exchange.status,
        "outcome": exchange.outcome,
    }
    if exchange.route == UNROUTED:
        facts["path"] = mask(exchange.path)[:NAME]
    if exchange.param:
        facts["param"] = exchange.param[:NAME]
    if exchange.limit:
        facts["limit"] = exchange.limit
    if exchange.model:
        facts["model"] = exchange.model[:NAME]
        if exchange.upstream_model:
            facts["upstream_model"] = exchange.upstream_model
        if tried := _tried(exchange):
            facts["account"] = tried[-1].account
            if len(tried) > 1:
                facts["accounts"] = told(tried)
        facts["attempts"] = exchange.attempts
    facts["bytes"] = exchange.bytes_sent
    facts["ms"] = _ms(total)
    if exchange.first_content_at is not None:
        facts["ms_first_content"] = _ms(exchange.first_content_at - exchange.started)
    rest = _ms(total)
    for stage, seconds in _named(stages):
        ms = _ms(seconds)
        if stage == "own":
            facts["ms_own"] = round(max(0.0, rest), 2)
        elif ms:
            facts[f"ms_{stage}"] = ms
            rest -= ms
    if (parent := exchange.headers.get(b"traceparent")) and (found := TRACEPARENT.fullmatch(parent)):
        facts["trace_id"] = found[1].decode()
    return facts


def told(tried: Iterable[Tried]) -> str:
    """`alice:throttled bob:ok`."""
    return " ".join(f"{one.account}:{one.outcome}" for one in tried)


def _tried(exchange: Exchange) -> list[Tried]:
    """Of all choices, one after the other."""
    traces = exchange.traces
    return traces[0].tried if len(traces) == 1 else [one for trace in traces for one in trace.tried]


def _spent(trace: Trace) -> float:
    return trace.waited + trace.pictures


def _named(stages: Stages) -> Iterable[tuple[str, float]]:
    return zip(
        Stages.__struct_fields__, (getattr(stages, name) for name in Stages.__struct_fields__), strict=True
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
