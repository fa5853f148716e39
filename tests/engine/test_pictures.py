"""Asked for a picture, the engine gives a finished one or says why not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from core.chat import Answer, Ask, Blob, Delta, Event, Finish, Message, Picture, PictureWish, Text
from core.clock import SystemClock
from core.errors import (
    DeadlineExceeded,
    GatewayError,
    PoolBusy,
    PromptRefused,
    UpstreamFailed,
    UpstreamUnstable,
    UsedUp,
)
from core.metrics import Metrics
from engine import Engine, EngineSettings, Studio, StudioSettings
from pool import Pool, State
from pool.upstream import Done
from storage import Local, Shelf
from tests.fakes.sessions import Scene
from tests.support.pools import Bench, accounts, state, until

MODEL = "gemini-3-flash-preview"
USED_UP = "You've reached your image limit for today. Try again tomorrow."


def png(shade: int = 90, width: int = 64, height: int = 40) -> bytes:
    return cv2.imencode(".png", np.full((height, width, 3), shade, np.uint8))[1].tobytes()


def picture(shade: int = 90) -> Picture:
    return Picture(png(shade), "image/png", alt="a lantern")


def wished(
    text: str = "a lantern in the fog", wish: PictureWish | None = None, *, stream: bool = False
) -> Ask:
    return Ask(MODEL, (Message("user", (Text(text),)),), stream=stream, picture=wish or PictureWish())


def plain(*, stream: bool) -> Ask:
    return Ask(MODEL, (Message("user", (Text("tell me of lanterns"),)),), stream=stream)


class Atelier:
    """An engine over a pool of accounts that do what the test says."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.web = bench.web
        self.folder = folder
        self.metrics = Metrics()
        self.engines: list[Engine] = []
        self.studios: list[Studio] = []

    async def open(
        self,
        count: int,
        settings: EngineSettings | None = None,
        studio: Studio | None = None,
        **changes: object,
    ) -> tuple[Engine, Pool]:
        pool = await self.bench.pool(accounts(count, **changes))
        if studio is None:
            shelf = self.shelf()
            studio = Studio(shelf, StudioSettings(), self.metrics)
        self.studios.append(studio)
        engine = Engine(pool, settings or EngineSettings(), self.metrics, SystemClock(), studio)
        self.engines.append(engine)
        return engine, pool

    def shelf(self) -> Shelf:
        local = Local(self.folder, SystemClock())
        return Shelf(local, local, self.metrics, SystemClock())

    def count(self, outcome: str) -> float:
        return self.value("gempool_pictures_total", outcome=outcome)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def asked(self) -> list[str]:
        return [account for account, _, _ in self.web.asked]


@pytest.fixture
async def atelier(empty_valkey: str, tmp_path: Path) -> AsyncIterator[Atelier]:
    bench = Bench(empty_valkey)
    atelier = Atelier(bench, tmp_path / "pictures")
    yield atelier
    for engine in atelier.engines:
        await engine.close()
    for studio in atelier.studios:
        await studio.close()
    await bench.close()


async def taken(engine: Engine, ask: Ask) -> list[Event]:
    return [event async for event in engine.stream(ask)]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_holds_a_finished_picture(atelier: Atelier, stream: bool) -> None:
    """Measured, its origin declared, with the model's words before it; streamed and whole alike."""
    atelier.web.anybody = [[Delta("Here "), Delta("it is."), picture(), Done()]]
    engine, _ = await atelier.open(1)
    text, given, finish = await taken(engine, wished(stream=stream))
    assert text == Delta("Here it is.")
    assert isinstance(given, Picture)
    assert (given.width, given.height, given.mime, given.alt) == (64, 40, "image/png", "a lantern")
    assert b"trainedAlgorithmicMedia" in given.data
    assert given.watermark == "no_logo"
    assert given.link == ""
    assert isinstance(finish, Finish)
    assert finish.attempts == 1
    assert atelier.count("ok") == 1


async def test_the_prompt_asks_for_a_chat_that_full_size_works_in(atelier: Atelier) -> None:
    """Not a temporary one, to be deleted afterwards unless the operator keeps them; text asks stay temporary."""
    atelier.web.anybody = [[picture(), Done()]]
    engine, _ = await atelier.open(1)
    await engine.answer(wished(wish=PictureWish(aspect="16:9", pixels=4096)))
    await engine.answer(plain(stream=False))
    keeping, _ = await atelier.open(1, EngineSettings(forget=False))
    await keeping.answer(wished())
    (_, first, bounds), (_, second, _), (_, third, _) = atelier.web.asked
    assert (first.temporary, first.forget, first.originals, first.stream) == (False, True, True, False)
    assert third.originals  # though 1024 were wished: the logo is found in originals
    assert "Generate an image" in first.text
    assert first.text.endswith("Aspect ratio: 16:9.\nResolution: 4K.")
    assert (bounds.first_content, bounds.silence) == (180.0, 180.0)
    assert second.temporary
    assert not second.forget
    assert second.text == "tell me of lanterns"
    assert not third.forget


async def test_a_download_that_fails_moves_on_though_text_had_come(atelier: Atelier) -> None:
    """Nothing is handed out before the answer is whole, not even to who reads along."""
    broken: list[Scene] = [Delta("Here it is."), UpstreamUnstable("the download broke", kind="dropped")]
    for stream in (True, False):
        atelier.web.anybody = [broken, [Delta("Well."), picture(), Done()]]
        engine, _ = await atelier.open(2)
        events = await taken(engine, wished(stream=stream))
        assert events[0] == Delta("Well.")
        assert isinstance(events[1], Picture)
        assert events[-1].attempts == 2  # type: ignore[union-attr]


async def test_bytes_that_are_no_picture_move_on(atelier: Atelier) -> None:
    """Also where the sender says that they are one."""
    atelier.web.anybody = [[Picture(b"<html>", "image/png"), Done()], [picture(), Done()]]
    engine, _ = await atelier.open(2)
    answer = await engine.answer(wished())
    assert len(answer.pictures) == 1
    assert answer.finish.attempts == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_told_in_the_models_words_and_not_tried_elsewhere(
    atelier: Atelier, stream: bool
) -> None:
    """400, no account blamed, trimmed to what a caller can use."""
    atelier.web.anybody = [[Delta("I can't draw real people. " + "Sorry. " * 300), Done()]]
    engine, pool = await atelier.open(2)
    with pytest.raises(PromptRefused, match=r"^I can't draw real people\.") as refused:
        await taken(engine, wished(stream=stream))
    assert len(refused.value.message) <= 1000
    assert len(atelier.asked()) == 1
    assert atelier.count("refused") == 1
    assert [(await state(pool, f"a{n}"))[0] for n in range(2)] == [State.ACTIVE] * 2


async def test_web_pictures_are_never_passed_off_as_generated(atelier: Atelier) -> None:
    """Another account is asked once; a second time it is the model's refusal. Nobody's failure."""
    found: list[Scene] = [Delta("Lanterns on the web:"), Done(web_pictures=3)]
    atelier.web.anybody = [found, [picture(), Done()]]
    engine, pool = await atelier.open(3)
    assert (await engine.answer(wished())).finish.attempts == 2
    assert len(set(atelier.asked())) == 2
    atelier.web.anybody = [found]
    atelier.web.asked.clear()
    with pytest.raises(PromptRefused, match=r"found on the web .* Lanterns on the web:"):
        await engine.answer(wished())
    assert len(set(atelier.asked())) == 2
    views, _ = await pool.snapshot()
    assert {view.record.consecutive_failures for view in views} == {0}
    assert atelier.count("web_only") == 3


async def test_one_account_is_asked_again_where_there_is_no_other(atelier: Atelier) -> None:
    """Who has a single account is not refused at the first web picture."""
    atelier.web.anybody = [[Done(web_pictures=1)], [picture(), Done()]]
    engine, _ = await atelier.open(1)
    assert len((await engine.answer(wished())).pictures) == 1


async def test_used_up_pictures_are_another_accounts_to_make(atelier: Atelier) -> None:
    """The account is asked for no more of them, and goes on answering in text."""
    atelier.web.answers = {"a0": [[Delta(USED_UP), Done()]]}
    atelier.web.anybody = [[picture(), Done()]]
    engine, pool = await atelier.open(2)
    for _ in range(4):
        assert len((await engine.answer(wished())).pictures) == 1
    assert atelier.asked().count("a0") <= 1
    atelier.web.answers = {"a0": [[Delta("A lantern is a lamp."), Done()]]}
    texts = [(await engine.answer(plain(stream=False))).text for _ in range(4)]
    assert texts.count("A lantern is a lamp.") == 2
    assert await state(pool, "a0") == (State.ACTIVE, "")


async def test_what_is_used_up_with_one_model_is_asked_of_another(atelier: Atelier) -> None:
    """Each model of an account has pictures of its own."""
    atelier.web.anybody = [[Delta(USED_UP), Done()], [picture(), Done()]]
    engine, _ = await atelier.open(1)
    with pytest.raises(UsedUp):
        await engine.answer(wished())
    other = replace(wished(), model="gemini-2.5-pro")
    assert len((await engine.answer(other)).pictures) == 1
    with pytest.raises(UsedUp):
        await engine.answer(wished())


async def test_when_everybodys_pictures_are_used_up_the_wait_is_told(atelier: Atelier) -> None:
    """429 with when to come back; then without asking anybody; afterwards they are asked anew."""
    atelier.web.anybody = [[Delta(USED_UP), Done()]]
    engine, _ = await atelier.open(2, EngineSettings(usage_limit=600))
    for _ in range(2):
        with pytest.raises(UsedUp) as error:
            await engine.answer(wished())
        assert error.value.retry_after == pytest.approx(600, abs=5)
        assert len(atelier.asked()) == 2
    assert atelier.count("used_up") == 2
    soon, _ = await atelier.open(2, EngineSettings(usage_limit=0.05))
    with pytest.raises(PoolBusy):
        await soon.answer(wished())
    atelier.web.anybody = [[picture(), Done()]]

    async def drawn() -> bool:
        try:
            return bool((await soon.answer(wished())).pictures)
        except PoolBusy:
            return False

    await until(drawn)


async def test_an_empty_answer_is_a_failure_of_the_account(atelier: Atelier) -> None:
    """No word and no picture: the next account is asked."""
    atelier.web.anybody = [[Done()], [picture(), Done()]]
    engine, _ = await atelier.open(2)
    assert (await engine.answer(wished())).finish.attempts == 2


async def test_several_at_once_are_spread_and_wait_for_one_another(atelier: Atelier) -> None:
    """Three accounts that draw one at a time: seven pictures wait for their siblings, longer than a text would."""
    gate = asyncio.Event()
    atelier.web.anybody = [[gate, picture(), Done()]]
    engine, _ = await atelier.open(3, EngineSettings(queue_timeout=0.05), max_concurrency=1)
    asks = [asyncio.ensure_future(engine.answer(wished(f"lantern {n}"))) for n in range(7)]

    async def all_busy() -> bool:
        status = await engine.status()
        return (status.in_flight, status.waiting) == (3, 4)

    await until(all_busy)
    with pytest.raises(PoolBusy):
        await engine.answer(plain(stream=False))
    gate.set()
    answers: list[Answer] = await asyncio.gather(*asks)
    assert all(len(answer.pictures) == 1 for answer in answers)
    assert sorted(atelier.asked().count(f"a{n}") for n in range(3)) == [2, 2, 3]


async def test_no_account_before_the_deadline(atelier: Atelier) -> None:
    """A picture request that gets no account in its whole time ends with 504."""
    gate = asyncio.Event()
    atelier.web.anybody = [[gate, picture(), Done()]]
    engine, _ = await atelier.open(1, EngineSettings(deadline=0.3), max_concurrency=1)
    first = asyncio.ensure_future(engine.answer(wished()))
    await until(lambda: _running(engine))
    with pytest.raises(DeadlineExceeded):
        await engine.answer(wished())
    gate.set()
    assert len((await first).pictures) == 1
    assert atelier.count("failed") == 1


async def _running(engine: Engine) -> bool:
    return (await engine.status()).in_flight == 1


class SlowStudio(Studio):
    """Finishes a picture when it is told to."""

    def __init__(self, shelf: Shelf, metrics: Metrics) -> None:
        super().__init__(shelf, StudioSettings(), metrics)
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def finish(self, picture: Picture, wish: PictureWish, prompt: str) -> Picture:
        self.begun.set()
        await self.go_on.wait()
        return replace(picture, alt=prompt)


async def test_the_account_is_free_while_its_picture_is_worked_on(atelier: Atelier) -> None:
    """A text is answered by the one account there is, in the meantime."""
    studio = SlowStudio(atelier.shelf(), atelier.metrics)
    atelier.web.anybody = [[picture(), Done()], [Delta("A lamp."), Done()]]
    engine, _ = await atelier.open(1, studio=studio, max_concurrency=1)
    drawing = asyncio.ensure_future(engine.answer(wished("a red lantern")))
    await studio.begun.wait()
    assert (await engine.answer(plain(stream=False))).text == "A lamp."
    assert not drawing.done()
    studio.go_on.set()
    assert (await drawing).pictures[0].alt == "a red lantern"


async def test_leaving_while_a_picture_is_worked_on_costs_nothing(atelier: Atelier) -> None:
    """The account was free already, and the studio's place is given back."""
    studio = SlowStudio(atelier.shelf(), atelier.metrics)
    atelier.web.anybody = [[picture(), Done()]]
    engine, _ = await atelier.open(1, studio=studio, max_concurrency=1)
    for _ in range(20):
        studio.begun.clear()
        leaving = asyncio.ensure_future(engine.answer(wished()))
        await studio.begun.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    studio.go_on.set()
    assert len((await engine.answer(wished())).pictures) == 1
    assert (await engine.status()).in_flight == 0


async def test_a_full_studio_holds_the_accounts_back(atelier: Atelier) -> None:
    """More pictures than there are places: those beyond keep their account, so that memory stays bounded."""
    studio = SlowStudio(atelier.shelf(), atelier.metrics)
    atelier.web.anybody = [[picture(), Done()]]
    engine, _ = await atelier.open(2, studio=studio, max_concurrency=5)
    asks = [asyncio.ensure_future(engine.answer(wished())) for _ in range(10)]

    async def two_hold_on() -> bool:
        return len(atelier.web.asked) == 10 and (await engine.status()).in_flight == 2

    await until(two_hold_on)
    studio.go_on.set()
    assert len(await asyncio.gather(*asks)) == 10

    async def free() -> bool:
        return (await engine.status()).in_flight == 0

    await until(free)


async def test_leaving_while_waiting_for_a_place_frees_the_account(atelier: Atelier) -> None:
    """Who goes away before there is a place gives the account back."""
    studio = SlowStudio(atelier.shelf(), atelier.metrics)
    atelier.web.anybody = [[picture(), Done()]]
    engine, _ = await atelier.open(3, studio=studio, max_concurrency=3)
    asks = [asyncio.ensure_future(engine.answer(wished())) for _ in range(9)]
    await until(lambda: _running(engine))
    for ask in asks:
        ask.cancel()
    await asyncio.gather(*asks, return_exceptions=True)

    async def free() -> bool:
        return (await engine.status()).in_flight == 0

    await until(free)
    studio.go_on.set()
    assert len((await engine.answer(wished())).pictures) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_may_hold_a_picture_that_nobody_asked_for(atelier: Atelier, stream: bool) -> None:
    """It is finished as well, and stored, since a chat shows it by a link."""
    atelier.web.anybody = [[Delta("Look: "), Delta("this."), picture(), Done()]]
    engine, _ = await atelier.open(1)
    events = await taken(engine, plain(stream=stream))
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "Look: this."
    assert len([event for event in events if isinstance(event, Delta)]) == (2 if stream else 1)
    (given,) = [event for event in events if isinstance(event, Picture)]
    assert given.watermark == "no_logo"
    assert given.link.startswith("/files/")
    assert "tell-me-of-lanterns" in given.link
    stored = atelier.folder / given.link.rpartition("/")[2]
    assert stored.read_bytes() == given.data
    assert atelier.value("gempool_pictures_stored_total", store="local", outcome="ok") == 1


async def test_a_text_that_streams_shows_its_words_before_the_picture_is_there(atelier: Atelier) -> None:
    """Nothing is held back where text was asked for; a picture that then fails breaks the answer off."""
    gate = asyncio.Event()
    atelier.web.anybody = [[Delta("Look:"), gate, UpstreamUnstable("the download broke", kind="dropped")]]
    engine, _ = await atelier.open(2)
    events = engine.stream(plain(stream=True))
    assert await anext(events) == Delta("Look:")
    gate.set()
    with pytest.raises(UpstreamFailed, match="broke off"):
        await anext(events)
    assert len(atelier.asked()) == 1


async def test_a_chat_that_is_not_streamed_moves_on_from_a_failed_picture(atelier: Atelier) -> None:
    """Its words were handed to nobody yet."""
    broken: list[Scene] = [Delta("Look:"), UpstreamUnstable("the download broke", kind="dropped")]
    atelier.web.anybody = [broken, [Delta("See:"), picture(), Done()]]
    engine, _ = await atelier.open(2)
    answer = await engine.answer(plain(stream=False))
    assert (answer.text, len(answer.pictures)) == ("See:", 1)


async def test_several_pictures_of_one_answer_all_come(atelier: Atelier) -> None:
    """In their order."""
    atelier.web.anybody = [[picture(10), picture(20), picture(30), Done()]]
    engine, _ = await atelier.open(1)
    answer = await engine.answer(wished())
    shades = [
        int(np.asarray(cv2.imdecode(np.frombuffer(p.data, np.uint8), 1)).max()) for p in answer.pictures
    ]
    assert shades == [10, 20, 30]
    assert atelier.count("ok") == 3


async def test_an_edit_sends_its_pictures_along(atelier: Atelier) -> None:
    """As files of the prompt, in their order, with the words that ask for a change."""
    atelier.web.anybody = [[picture(), Done()]]
    engine, _ = await atelier.open(1)
    inputs = (Blob(png(1), "image/png", "one.png"), Blob(png(2), "image/png", "two.png"))
    ask = Ask(MODEL, (Message("user", (*inputs, Text("swap them"))),), picture=PictureWish())
    await engine.answer(ask)
    ((_, prompt, _),) = atelier.web.asked
    assert prompt.files == inputs
    assert prompt.text.startswith("Edit the attached images and generate the changed image.")


async def test_a_stop_ends_what_has_not_been_drawn(atelier: Atelier) -> None:
    """At the end of the grace a picture request is told that the gateway goes down."""
    atelier.web.anybody = [[Delta("wait"), asyncio.Event()]]
    engine, _ = await atelier.open(1)
    asking = asyncio.ensure_future(engine.answer(wished()))
    await until(lambda: _running(engine))
    engine.interrupt()
    with pytest.raises(GatewayError, match="shutting down"):
        await asking
