"""Asks in the background: every account that such a request uses is one that live requests leave."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from core.chat import Ask, Delta, Message, Picture, PictureWish, Shape, Text
from core.clock import SystemClock
from core.errors import AccountThrottled, PoolBusy, UpstreamUnstable
from core.metrics import Metrics
from engine import Engine, EngineSettings
from engine.settings import ConversationSettings
from pool import Lease, Pool
from pool.upstream import Done
from simulator import Simulator
from tests.fakes.sessions import Scene
from tests.support.adapter import journal
from tests.support.pools import ANY, Bench, accounts, until
from tests.support.replicas import Replicas, question

MODEL = "gemini-3-flash-preview"
SETTINGS = EngineSettings(background_patience=0.2, queue_timeout=20.0, reasks=2)
TEXT = Ask(MODEL, (Message("user", (Text("a lantern in the fog"),)),), background=True)
PICTURE = replace(TEXT, picture=PictureWish(pixels=4096))
SHAPED = replace(TEXT, shape=Shape({"type": "object", "required": ["name"]}))


def png(width: int) -> bytes:
    return cv2.imencode(".png", np.zeros((4, width, 3), np.uint8))[1].tobytes()


FULL: list[Scene] = [Picture(png(4096), "image/png"), Done()]
COPY: list[Scene] = [Picture(png(2048), "image/png", preview=True), Done()]


class Noted:
    """A pool that notes how it is asked for leases."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def lease(self, lanes: tuple[str, ...], **options: Any) -> Lease:
        self.asked.append(options)
        return await self._pool.lease(lanes, **options)


class Works:
    """An engine over accounts with one place each."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.web = bench.web
        self.engines: list[Engine] = []

    async def open(self, count: int) -> tuple[Engine, Noted]:
        noted = Noted(await self.bench.pool(accounts(count, max_concurrency=1)))
        engine = Engine(cast(Any, noted), SETTINGS, Metrics(), SystemClock())
        self.engines.append(engine)
        return engine, noted

    def asked(self) -> list[str]:
        return [account for account, _, _ in self.web.asked]


@pytest.fixture
async def works(empty_valkey: str) -> AsyncIterator[Works]:
    works = Works(Bench(empty_valkey))
    yield works
    for engine in works.engines:
        await engine.close()
    await works.bench.close()


@pytest.mark.parametrize("ask", [TEXT, PICTURE])
async def test_it_is_refused_where_live_requests_leave_nothing(works: Works, ask: Ask) -> None:
    """As busy after its own patience, a picture as well, which otherwise waits until its deadline; a live request is
    served by the account that was left."""
    engine, pool = await works.open(2)
    works.web.anybody = [FULL]
    held = await pool.lease(ANY)
    started = time.monotonic()
    with pytest.raises(PoolBusy) as refused:
        await engine.answer(ask)
    assert 0.2 <= time.monotonic() - started < 5
    assert refused.value.retry_after is not None
    assert works.asked() == []
    await engine.answer(replace(ask, background=False))
    await held.release()
    await engine.answer(ask)
    assert len(works.asked()) == 2


@pytest.mark.parametrize("background", [True, False])
async def test_another_attempt_leaves_an_account_too(works: Works, background: bool) -> None:
    """The account that is asked after a failure is one that live requests can spare, or there is none."""
    engine, pool = await works.open(3)
    held = await pool.lease(ANY)
    works.web.answers = {"a1": [[AccountThrottled("429")]]}
    if background:
        with pytest.raises(PoolBusy):
            await engine.answer(TEXT)
        assert works.asked() == ["a1"]
    else:
        await engine.answer(replace(TEXT, background=False))
        assert works.asked() == ["a1", "a2"]
    await held.release()


@pytest.mark.parametrize("background", [True, False])
async def test_a_larger_picture_is_no_reason(works: Works, background: bool) -> None:
    """Where a copy came, a further account is asked for the original only if live requests can spare it."""
    engine, pool = await works.open(3)
    held = await pool.lease(ANY)
    works.web.answers = {"a1": [COPY], "a2": [FULL]}
    answer = await engine.answer(replace(PICTURE, background=background))
    assert [picture.width for picture in answer.pictures] == [2048 if background else 4096]
    assert works.asked() == (["a1"] if background else ["a1", "a2"])
    await held.release()


@pytest.mark.parametrize("background", [True, False])
async def test_every_lease_of_a_request_is_of_its_kind(works: Works, background: bool) -> None:
    """The first, the next after a failure, the one for the original, the one that passes over an avoided account, and the
    one after an answer that did not fit: all in the background, none for longer than its patience; or all live."""
    engine, pool = await works.open(4)
    works.web.answers = {"a0": [[UpstreamUnstable("no", kind="empty")], COPY], "a1": [FULL]}
    works.web.anybody = [FULL]
    for _ in range(5):  # a failure and another account; a copy and its original; an account that is avoided
        await engine.answer(replace(PICTURE, background=background))
    works.web.answers = {}
    works.web.anybody = [[Delta("{}"), Done()], [Delta('{"name": "Ada"}'), Done()]]
    assert (await engine.answer(replace(SHAPED, background=background))).text == '{"name":"Ada"}'
    assert len(pool.asked) >= 8
    assert {options.get("background", False) for options in pool.asked} == {background}
    assert {options.get("only", "") for options in pool.asked} == {""}
    assert not background or max(options["patience"] for options in pool.asked) <= 0.2


async def test_live_requests_come_before_those_of_the_background(works: Works) -> None:
    """Of two that wait the live one is answered first, though it came later."""
    engine, pool = await works.open(1)
    held = await pool.lease(ANY)
    order: list[str] = []

    async def ask(kind: str) -> None:
        asked = replace(TEXT, background=kind == "background")
        while kind not in order:
            try:
                await engine.answer(asked)
                order.append(kind)
            except PoolBusy:
                assert kind == "background"

    tasks = [asyncio.create_task(ask("background")), asyncio.create_task(ask("live"))]

    async def waits() -> bool:
        return (await engine.status()).waiting == 1

    await until(waits)
    await held.release()
    await asyncio.gather(*tasks)
    assert order == ["live", "background"]


async def test_its_chats_do_not_stay(web: Simulator, replicas: Replicas) -> None:
    """Where the operator has conversations kept, those of the background leave no chat in an account all the same."""
    replica = await replicas.start(web, conversations=ConversationSettings(mode="sticky"))
    await replica.engine.answer(replace(question("for later", stream=False), background=True))
    assert sum(len(journal(web, account["id"])["chats"]) for account in web.accounts) == 0
    await replica.engine.answer(question("for now", stream=False))
    assert sum(len(journal(web, account["id"])["chats"]) for account in web.accounts) == 1
