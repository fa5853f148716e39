"""A trace tells which accounts were asked, how each ended, and what the time went into."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.chat import Ask, Delta, Message, Picture, PictureWish, Text
from core.clock import SystemClock
from core.errors import (
    AccountThrottled,
    GatewayError,
    NetworkFault,
    PromptRefused,
    SessionExpired,
    UpstreamFailed,
    UpstreamUnstable,
)
from core.metrics import Metrics
from engine import Engine, EngineSettings
from engine.studio import PLACES, Studio, StudioSettings
from pool.upstream import Done
from storage import Local, Shelf
from tests.fakes.sessions import Scene
from tests.support.files import PNG
from tests.support.pools import Bench, accounts, live_waits, until

MODEL = "gemini-3-flash-preview"
WELL: list[Scene] = [Delta("Well."), Done()]


def ask(*, picture: bool = False, stream: bool = False) -> Ask:
    wish = PictureWish() if picture else None
    return Ask(MODEL, (Message("user", (Text("a lantern"),)),), stream=stream, picture=wish)


class Desk:
    """An engine over accounts that do what the test says."""

    def __init__(self, url: str, folder: Path) -> None:
        self.bench = Bench(url)
        self.web = self.bench.web
        self.metrics = Metrics()
        local = Local(folder, SystemClock())
        shelf = Shelf(local, local, self.metrics, SystemClock())
        self.studio = Studio(shelf, StudioSettings(enabled=False), self.metrics)
        self.engines: list[Engine] = []

    async def open(self, count: int, options: EngineSettings | None = None, **changes: Any) -> Engine:
        pool = await self.bench.pool(accounts(count, **changes))
        engine = Engine(pool, options or EngineSettings(), self.metrics, SystemClock(), self.studio)
        self.engines.append(engine)
        return engine

    async def close(self) -> None:
        for engine in self.engines:
            await engine.close()
        await self.studio.close()
        await self.bench.close()


@pytest.fixture
async def desk(empty_valkey: str, tmp_path: Path) -> AsyncIterator[Desk]:
    found = Desk(empty_valkey, tmp_path / "pictures")
    yield found
    await found.close()


def outcomes(asked: Ask) -> list[str]:
    return [one.outcome for one in asked.trace.tried]


async def test_every_account_that_was_asked_is_told_in_order(desk: Desk) -> None:
    """Those that failed with the reason, the last with how it ended."""
    engine = await desk.open(3)
    desk.web.anybody = [
        [AccountThrottled("429")],
        [UpstreamUnstable("500", kind="http_5xx")],
        WELL,
    ]
    asked = ask()
    await engine.answer(asked)
    assert outcomes(asked) == ["throttled", "unstable", "ok"]
    assert [one.account for one in asked.trace.tried] == [account for account, *_ in desk.web.asked]
    assert asked.trace.attempts == 3


async def test_an_attempt_lasts_from_its_lease_to_its_end(desk: Desk) -> None:
    """Whatever the upstream does in between; the wait for it is the request's, and none of it a queue's."""
    engine = await desk.open(1)
    go = asyncio.Event()
    desk.web.anybody = [[go, *WELL]]
    asked = ask()
    answering = asyncio.create_task(engine.answer(asked))
    await until(lambda: _is(bool(desk.web.asked)))
    await asyncio.sleep(0.05)
    go.set()
    await answering
    (one,) = asked.trace.tried
    assert one.seconds >= 0.05
    assert asked.trace.waited - asked.trace.queued >= 0.05
    assert asked.trace.queued < 0.05


async def test_the_wait_for_an_account_is_the_queues(desk: Desk) -> None:
    """A second request stands behind the first, and its trace says for how long."""
    engine = await desk.open(1, max_concurrency=1)
    go = asyncio.Event()
    desk.web.anybody = [[go, *WELL], WELL]
    first, second = ask(), ask()
    one = asyncio.create_task(engine.answer(first))
    await until(lambda: _is(bool(desk.web.asked)))
    two = asyncio.create_task(engine.answer(second))
    await until(live_waits(desk.bench.pools[0]))
    await asyncio.sleep(0.05)
    go.set()
    await asyncio.gather(one, two)
    assert second.trace.queued >= 0.05
    assert second.trace.queued == pytest.approx(second.trace.waited, abs=0.05)


async def test_the_pause_between_rounds_is_the_queues(desk: Desk) -> None:
    """All accounts have failed once: what passes before they are asked anew is a wait for an account."""
    engine = await desk.open(1)
    desk.web.anybody = [[UpstreamUnstable("500", kind="http_5xx")], WELL]
    asked = ask()
    await engine.answer(asked)
    assert outcomes(asked) == ["unstable", "ok"]
    assert asked.trace.queued >= 0.1


async def test_the_work_on_pictures_is_told_with_the_wait_for_a_place(desk: Desk) -> None:
    """Neither is a wait for the upstream; without pictures there is none."""
    engine = await desk.open(1)
    desk.web.anybody = [[Picture(PNG, "image/png"), Done()]]
    asked = ask(picture=True)
    async with AsyncExitStack() as places:
        for _ in range(PLACES):
            await places.enter_async_context(desk.studio.place())
        drawing = asyncio.create_task(engine.answer(asked))
        await until(lambda: _is(asked.trace.waited > 0 and bool(desk.web.asked)))
        await asyncio.sleep(0.05)
    await drawing
    assert asked.trace.pictures >= 0.04
    assert asked.trace.waited < asked.trace.pictures + 0.05
    assert outcomes(asked) == ["ok"]
    desk.web.anybody = [WELL]
    plain = ask()
    await engine.answer(plain)
    assert plain.trace.pictures == 0


async def test_a_caller_who_leaves_is_no_failure(desk: Desk) -> None:
    """The account that was asked then is told as cancelled."""
    engine = await desk.open(1)
    desk.web.anybody = [[Delta("One."), asyncio.Event()]]
    asked = ask(stream=True)
    async with aclosing(engine.stream(asked)) as events:
        async for _ in events:
            break
    assert outcomes(asked) == ["cancelled"]


async def test_what_was_the_callers_is_told_by_its_code(desk: Desk) -> None:
    """A refused prompt ends the request, with the code that the caller reads."""
    engine = await desk.open(2)
    desk.web.anybody = [[PromptRefused("No.")]]
    asked = ask()
    with pytest.raises(PromptRefused):
        await engine.answer(asked)
    assert outcomes(asked) == ["content_filter"]


async def test_a_trace_outlives_a_failure(desk: Desk) -> None:
    """Where nobody answered, the trace has all who were asked."""
    engine = await desk.open(2, EngineSettings(attempts=2))
    desk.web.anybody = [[UpstreamUnstable("500", kind="http_5xx")]]
    asked = ask()
    with pytest.raises(UpstreamFailed):
        await engine.answer(asked)
    assert outcomes(asked) == ["unstable", "unstable"]
    assert asked.trace.attempts == 2


ENDS: list[Sequence[Scene]] = [
    WELL,
    [AccountThrottled("429")],
    [UpstreamUnstable("500", kind="http_5xx")],
    [NetworkFault("no route")],
    [SessionExpired("401")],
    [Delta("One."), UpstreamUnstable("reset", kind="dropped")],
    [PromptRefused("No.")],
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=4),
    stream=st.booleans(),
    leaves_after=st.sampled_from([None, 0]),
)
async def test_as_many_are_told_as_were_asked(
    empty_valkey: str, tmp_path: Path, ends: list[Sequence[Scene]], stream: bool, leaves_after: int | None
) -> None:
    """However it ends: one entry for each attempt, one `ok` at most and that the last; no stage is longer than the whole."""
    desk = Desk(empty_valkey, tmp_path / "pictures")
    try:
        engine = await desk.open(2, EngineSettings(deadline=3, queue_timeout=0.3))
        desk.web.anybody = [*ends]
        asked = ask(stream=stream)
        before = time.monotonic()
        try:
            async with aclosing(engine.stream(asked)) as events:
                async for _ in events:
                    if leaves_after is not None:
                        break
        except GatewayError:
            pass
        whole = time.monotonic() - before
        trace = asked.trace
        assert len(trace.tried) == trace.attempts
        assert "ok" not in outcomes(asked)[:-1]
        assert 0 <= trace.queued <= trace.waited <= whole
        assert trace.waited + trace.pictures <= whole
        assert all(0 <= one.seconds <= whole for one in trace.tried)
        total = desk.metrics.registry.get_sample_value
        for one in trace.tried:
            labels = {"account": one.account, "outcome": one.outcome}
            assert total("gempool_upstream_calls_total", labels) == sum(
                (other.account, other.outcome) == (one.account, one.outcome) for other in trace.tried
            )
    finally:
        await desk.close()


async def _is(fact: bool) -> bool:
    return fact
