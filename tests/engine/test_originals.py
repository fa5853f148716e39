"""Where an account gives a picture as a copy that is smaller than asked, one further account is asked."""

import asyncio
from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from core.chat import Answer, Ask, Delta, Event, Finish, Message, Picture, PictureWish, Text
from core.clock import SystemClock
from core.errors import AccountThrottled, SessionExpired, UpstreamUnstable
from core.metrics import Metrics
from engine import Engine, EngineSettings
from engine.originals import REST
from pool import Pool, State
from pool.upstream import Done
from tests.fakes.sessions import Scene
from tests.support.pools import Bench, accounts, state, until

MODEL = "gemini-3-flash-preview"


def png(width: int, height: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()


FULL = Picture(png(4096, 8), "image/png")
COPY = Picture(png(2048, 4), "image/png", preview=True)
SMALLER = Picture(png(1024, 2), "image/png", preview=True)
SMALL_ORIGINAL = Picture(png(1024, 2), "image/png")
EVEN = Picture(png(2048, 4), "image/png")


class LateClock:
    """The system's, moved on by hand."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self.ahead = 0.0

    def now(self) -> float:
        return self._system.now() + self.ahead

    def monotonic(self) -> float:
        return self._system.monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await self._system.sleep(seconds)


class Gallery:
    """An engine over accounts whose pictures come as the test says."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.web = bench.web
        self.metrics = Metrics()
        self.clock = LateClock()
        self.engines: list[Engine] = []

    async def open(
        self, count: int, settings: EngineSettings | None = None, **changes: object
    ) -> tuple[Engine, Pool]:
        pool = await self.bench.pool(accounts(count, **changes))
        engine = Engine(pool, settings or EngineSettings(), self.metrics, self.clock)
        self.engines.append(engine)
        return engine, pool

    def give(self, **answers: Scene | list[Scene]) -> None:
        """What each account answers from now on, again and again."""
        self.web.answers = {
            name: [[*given, Done()] if isinstance(given, list) else [given, Done()]]
            for name, given in answers.items()
        }

    def asked(self) -> list[str]:
        asked = [account for account, _, _ in self.web.asked]
        self.web.asked.clear()
        return asked

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def gallery(empty_valkey: str) -> AsyncIterator[Gallery]:
    bench = Bench(empty_valkey)
    gallery = Gallery(bench)
    yield gallery
    for engine in gallery.engines:
        await engine.close()
    await bench.close()


def wished(pixels: int = 4096, *, stream: bool = False) -> Ask:
    message = Message("user", (Text("a lantern in the fog"),))
    return Ask(MODEL, (message,), stream=stream, picture=PictureWish(pixels=pixels))


async def side(engine: Engine, pixels: int = 4096) -> int:
    (picture,) = (await engine.answer(wished(pixels))).pictures
    return picture.width


async def at_rest(engine: Engine) -> bool:
    return (await engine.status()).in_flight == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_another_accounts_original_is_handed_out(gallery: Gallery, stream: bool) -> None:
    """With that answer's words, as one more attempt, counted as a failover; the first account is well all the same."""
    engine, pool = await gallery.open(2)
    gallery.web.anybody = [[Delta("small"), COPY, Done()], [Delta("large"), FULL, Done()]]
    events: list[Event] = [event async for event in engine.stream(wished(stream=stream))]
    text, given, finish = events
    assert text == Delta("large")
    assert isinstance(given, Picture)
    assert given.width == 4096
    assert isinstance(finish, Finish)
    assert finish.attempts == 2
    assert set(gallery.asked()) == {"a0", "a1"}
    assert gallery.value("gempool_failovers_total", reason="no_full_size") == 1
    assert gallery.value("gempool_picture_downloads_total", form="preview") == 1
    assert gallery.value("gempool_picture_downloads_total", form="full") == 1
    assert [await state(pool, f"a{n}") for n in range(2)] == [(State.ACTIVE, "")] * 2
    views, _ = await pool.snapshot()
    assert {view.record.consecutive_failures for view in views} == {0}
    await until(lambda: at_rest(engine))


@pytest.mark.parametrize("wished", [1024, 2048, 4096])
async def test_a_copy_is_no_original_however_large(gallery: Gallery, wished: int) -> None:
    """It is scaled, and the logo with it: another account is asked for what the model made."""
    engine, _ = await gallery.open(2)
    gallery.give(a0=COPY, a1=FULL)
    assert await side(engine, wished) == 4096  # not reduced here: no studio
    assert sorted(gallery.asked()) == ["a0", "a1"]


async def test_an_original_that_is_smaller_than_asked_is_enough(gallery: Gallery) -> None:
    """No other account would give more: one prompt."""
    engine, _ = await gallery.open(2)
    gallery.give(a0=SMALL_ORIGINAL, a1=SMALL_ORIGINAL)
    assert await side(engine, 4096) == 1024
    assert len(gallery.asked()) == 1


async def test_an_account_that_gives_copies_is_avoided_for_a_while(gallery: Gallery) -> None:
    """Five minutes long it costs no prompt, texts are answered by it all the same, and then it is tried again."""
    engine, _ = await gallery.open(2)
    gallery.give(a0=COPY, a1=FULL)
    with capture_logs() as lines:
        for _ in range(6):
            assert await side(engine) == 4096
    assert gallery.asked().count("a0") == 1
    (line,) = [line for line in lines if "avoided" in line["event"]]
    assert (line["account"], line["instead"], line["log_level"]) == ("a0", "a1", "warning")
    plain = Ask(MODEL, (Message("user", (Text("hello"),)),))
    gallery.give(a0=Delta("a"), a1=Delta("b"))
    assert {(await engine.answer(plain)).text for _ in range(2)} == {"a", "b"}
    gallery.clock.ahead += REST + 1
    gallery.asked()
    gallery.give(a0=FULL, a1=FULL)
    for _ in range(4):
        assert await side(engine) == 4096
    assert gallery.asked().count("a0") == 2


async def test_an_avoided_account_is_better_than_none(gallery: Gallery) -> None:
    """Where the others are gone, or busy for longer than a text would wait, its copies are taken."""
    engine, pool = await gallery.open(2, EngineSettings(queue_timeout=0.05), max_concurrency=1)
    gallery.give(a0=COPY, a1=FULL)
    for _ in range(2):
        assert await side(engine) == 4096
    gate = asyncio.Event()
    gallery.web.answers["a1"] = [[gate, FULL, Done()]]
    slow = asyncio.ensure_future(side(engine))

    async def busy() -> bool:
        return (await engine.status()).in_flight == 1

    await until(busy)
    assert await side(engine) == 2048
    gate.set()
    assert await slow == 4096
    gallery.web.answers["a1"] = [[SessionExpired("gone")]]
    assert await side(engine) == 2048
    assert (await state(pool, "a1"))[0] is not State.ACTIVE
    assert await side(engine) == 2048


async def test_where_no_account_gives_originals_copies_are_taken_as_they_come(gallery: Gallery) -> None:
    """The web app's own fault costs one prompt in five minutes; nobody is avoided for it."""
    engine, _ = await gallery.open(3)
    gallery.give(a0=COPY, a1=COPY, a2=COPY)
    with capture_logs() as lines:
        for _ in range(7):
            assert await side(engine) == 2048
    asked = gallery.asked()
    assert len(asked) == 8
    assert set(asked) == {"a0", "a1", "a2"}
    assert len([line for line in lines if "copies are taken" in line["event"]]) == 1
    gallery.clock.ahead += REST + 1
    for _ in range(3):
        assert await side(engine) == 2048
    assert len(gallery.asked()) == 4


async def test_one_original_shows_that_the_web_app_is_well(gallery: Gallery) -> None:
    """Two accounts of three give copies. Once the third has given an original, those two are avoided."""
    engine, _ = await gallery.open(3)
    gallery.give(a0=COPY, a1=COPY, a2=FULL)
    sides = [await side(engine) for _ in range(12)]
    assert sides[3:] == [4096] * 9
    assert len(gallery.asked()) <= 12 + 1


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [(SMALLER, COPY, 2048), (COPY, SMALLER, 2048), (COPY, SMALL_ORIGINAL, 2048), (SMALLER, EVEN, 2048)],
)
async def test_the_larger_picture_wins(gallery: Gallery, first: Picture, second: Picture, wins: int) -> None:
    """Whichever account it came from."""
    engine, _ = await gallery.open(2)
    gallery.web.anybody = [[first, Done()], [second, Done()]]
    assert await side(engine) == wins
    assert len(gallery.asked()) == 2
    await until(lambda: at_rest(engine))


async def test_of_the_same_size_the_original_is_taken(gallery: Gallery) -> None:
    """The logo comes off it cleanly."""
    engine, _ = await gallery.open(2)
    gallery.web.anybody = [[COPY, Done()], [EVEN, Done()]]
    (picture,) = (await engine.answer(wished())).pictures
    assert not picture.preview


@pytest.mark.parametrize(
    "failure",
    [
        [UpstreamUnstable("broke", kind="dropped")],
        [AccountThrottled("too much")],
        [Delta("I can't draw that."), Done()],
        [Delta("You've reached your image limit for today."), Done()],
        [Done(web_pictures=2)],
        [Done()],
        [Picture(b"<html>", "image/png"), Done()],
    ],
)
async def test_whatever_befalls_the_further_account_the_picture_is_there(
    gallery: Gallery, failure: list[Scene]
) -> None:
    """The kept one is handed out, and a third account is not asked."""
    engine, _ = await gallery.open(3)
    gallery.web.anybody = [[Delta("small"), COPY, Done()], failure, [FULL, Done()]]
    answer: Answer = await engine.answer(wished())
    assert (answer.text, answer.pictures[0].width) == ("small", 2048)
    assert (answer.finish.attempts, len(gallery.asked())) == (2, 2)
    await until(lambda: at_rest(engine))


async def test_a_single_account_gives_what_it_has(gallery: Gallery) -> None:
    """The copy is handed out at once where there is no other account."""
    lonely, _ = await gallery.open(1)
    gallery.give(a0=COPY)
    assert await side(lonely) == 2048
    assert gallery.asked() == ["a0"]


@pytest.mark.parametrize(("patience", "size"), [(30.0, 4096), (0.05, 2048)])
async def test_a_busy_account_is_waited_for_as_long_as_a_text_waits(
    gallery: Gallery, patience: float, size: int
) -> None:
    """The original comes once it is free; where that takes too long the copy is handed out."""
    engine, _ = await gallery.open(2, EngineSettings(queue_timeout=patience), max_concurrency=1)
    gate = asyncio.Event()
    gallery.web.anybody = [[gate, FULL, Done()], [COPY, Done()], [FULL, Done()]]
    slow = asyncio.ensure_future(side(engine))

    async def asked(times: int) -> bool:
        return len(gallery.web.asked) == times

    await until(lambda: asked(1))
    with capture_logs() as lines:
        second = asyncio.ensure_future(side(engine))
        await until(lambda: asked(2))
        if size == 4096:
            gate.set()
        assert await asyncio.wait_for(second, 10) == size
    why = [line["why"] for line in lines if "copy is handed out" in line["event"]]
    assert why == ([] if size == 4096 else ["pool_busy"])
    gate.set()
    assert await slow == 4096


async def test_the_first_account_is_free_while_the_second_is_asked(gallery: Gallery) -> None:
    """And who leaves meanwhile frees the second one too."""
    engine, _ = await gallery.open(2, max_concurrency=1)
    for _ in range(5):
        gallery.web.anybody = [[COPY, Done()], [asyncio.Event()]]
        gallery.asked()
        leaving = asyncio.ensure_future(engine.answer(wished()))

        async def second() -> bool:
            return len(gallery.web.asked) == 2 and (await engine.status()).in_flight == 1

        await until(second)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await until(lambda: at_rest(engine))
    gallery.web.anybody = [[FULL, Done()]]
    assert await side(engine) == 4096


async def test_the_deadline_hands_out_what_is_there(gallery: Gallery) -> None:
    """A further account that takes too long is nobody's failure, and neither is a stop of the gateway."""
    engine, pool = await gallery.open(2)
    late = UpstreamUnstable("no answer in time", kind="stalled")
    gate = asyncio.Event()
    gallery.web.anybody = [[COPY, Done()], [gate, late]]
    asking = asyncio.ensure_future(side(engine))

    async def second() -> bool:
        return len(gallery.web.asked) == 2

    await until(second)
    gallery.clock.ahead += 1000
    gate.set()
    assert await asking == 2048
    views, _ = await pool.snapshot()
    assert {view.record.consecutive_failures for view in views} == {0}
    gallery.asked()
    gallery.web.anybody = [[COPY, Done()], [asyncio.Event()]]
    asking = asyncio.ensure_future(side(engine))
    await until(second)
    engine.interrupt()
    assert await asking == 2048
    await until(lambda: at_rest(engine))


async def test_several_at_once_all_come(gallery: Gallery) -> None:
    """Ten pictures over three accounts of which one gives copies: none fails, whoever is busy meanwhile."""
    engine, _ = await gallery.open(3, max_concurrency=4)
    gallery.give(a0=COPY, a1=FULL, a2=FULL)
    sides = await asyncio.gather(*(side(engine) for _ in range(10)))
    assert sides == [4096] * 10
    assert await asyncio.gather(*(side(engine) for _ in range(8))) == [4096] * 8
    await until(lambda: at_rest(engine))


async def test_a_text_is_not_asked_again_for_its_picture(gallery: Gallery) -> None:
    """Nobody asked for a size there."""
    engine, _ = await gallery.open(2)
    gallery.web.anybody = [[Delta("Look:"), SMALLER, Done()]]
    plain = Ask(MODEL, (Message("user", (Text("tell me of lanterns"),)),))
    assert len((await engine.answer(plain)).pictures) == 1
    assert len(gallery.asked()) == 1
