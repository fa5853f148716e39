"""Pictures through the adapter: sizes, hops, fallbacks, faults, and what becomes of their chats."""

import asyncio
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.chat import Blob, Delta, Picture
from core.errors import AccountThrottled, UpstreamError, UpstreamUnstable
from core.pictures import measure
from pool.gemini_web import GeminiWebSessions
from pool.gemini_web.pictures import fetch_pictures
from pool.gemini_web.session import GeminiWebSession
from pool.gemini_web.transfer import Body, Request
from pool.upstream import Bounds, Done, Prompt, UpstreamEvent
from simulator import Defaults, Script, Simulator, fault
from simulator.config import PictureFormat
from simulator.painting import Look, Painter
from tests.support.adapter import BOUNDS, Open, ask, journal, text_of, until

ID = "account-1"
DRAW = "Generate an image of a lighthouse"
LOST = "a picture's full size cannot be had"
STAYS = "a picture's chat may stay in the account's history"


async def draw(session: GeminiWebSession, text: str = DRAW, **options: Any) -> list[UpstreamEvent]:
    """A picture request as the engine makes it."""
    return await ask(session, text, **{"temporary": False, "forget": True, "originals": True, **options})


def pictures(events: list[UpstreamEvent]) -> list[Picture]:
    assert isinstance(events[-1], Done)
    return [event for event in events if isinstance(event, Picture)]


def sizes(events: list[UpstreamEvent]) -> list[tuple[int, int]]:
    measured = [measure(picture.data) for picture in pictures(events)]
    return [(m.width, m.height) for m in measured if m is not None]


def hops(web: Simulator) -> dict[str, int]:
    return {k.partition(":")[2]: n for k, n in journal(web, ID)["counts"].items() if k.startswith("image:")}


def deletions(web: Simulator) -> int:
    return int(journal(web, ID)["counts"].get("rpc:GzXR5e", 0))


def chats(web: Simulator) -> list[Any]:
    return list(journal(web, ID)["chats"])


@pytest.mark.parametrize(
    ("originals", "made", "aspect", "size"),
    [
        (False, 1024, "1:1", (1024, 1024)),
        (False, 4096, "1:1", (2048, 2048)),
        (False, 2048, "16:9", (2048, 1143)),
        (True, 1024, "1:1", (1024, 1024)),
        (True, 2048, "1:1", (2048, 2048)),
        (True, 2048, "16:9", (2752, 1536)),
        (True, 4096, "1:1", (4096, 4096)),
        (True, 1024, "9:16", (768, 1376)),
    ],
)
async def test_originals_come_by_their_own_way(
    web: Simulator, open_session: Open, originals: bool, made: int, aspect: str, size: tuple[int, int]
) -> None:
    """What the model made, or the sized url's copy of it; never more is had than there is."""
    web.set_defaults(full_pixels=made)
    session = await open_session()
    events = await draw(session, f"{DRAW}\nAspect ratio: {aspect}", originals=originals)
    assert sizes(events) == [size]
    way = "full" if originals else "sized"
    assert [picture.preview for picture in pictures(events)] == [way == "sized"]
    assert hops(web) == {f"{way}-{n}": 1 for n in (1, 2, 3)}
    assert journal(web, ID)["counts"].get("rpc:c8o8Fe", 0) == (way == "full")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_temporary_chat_gives_copies(web: Simulator, open_session: Open, stream: bool) -> None:
    """Its pictures have no full size, so none is asked for; 2048 is what the sized url gives at most."""
    web.set_defaults(full_pixels=4096)
    session = await open_session()
    for originals in (False, True):
        assert sizes(await ask(session, DRAW, originals=originals, stream=stream)) == [(2048, 2048)]
    assert "rpc:c8o8Fe" not in journal(web, ID)["counts"]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
async def test_every_format_comes_as_it_is(web: Simulator, open_session: Open, format: PictureFormat) -> None:
    """The type is told by the bytes; nothing is converted."""
    web.set_defaults(picture_format=format)
    session = await open_session()
    (picture,) = pictures(await draw(session))
    (known,) = web.world.pictures._pictures.values()
    assert picture.mime == f"image/{format}"
    assert picture.data == web.world.pictures.painter.file(known.look, 0)
    assert picture.alt == DRAW


BROKEN_FULL = [
    fault("rpc_fail", on=("rpc:c8o8Fe",)),
    fault("rpc_fail", on=("rpc:c8o8Fe",), status=500),
    fault("drop_before_first", on=("rpc:c8o8Fe",)),
    *(fault(f"http_{status}", on=(f"image:full-{n}",)) for status, n in ((403, 1), (500, 2), (429, 3), (401, 3))),
    fault("garbage", on=("image:full-1",), form="away"),
    fault("garbage", on=("image:full-2",)),
    fault("garbage", on=("image:full-3",)),
    fault("truncate", on=("image:full-3",), frames=6),
    fault("truncate", on=("image:full-1",), frames=0),
    fault("drop_mid", on=("image:full-3",), frames=6),
    fault("stall", on=("image:full-3",), frames=6),
    fault("latency", on=("image:full-2",), seconds=20),
]  # fmt: skip


@pytest.mark.parametrize("bad", BROKEN_FULL)
async def test_without_the_full_size_the_preview_is_taken(
    web: Simulator, open_session: Open, bad: object
) -> None:
    """Whatever befalls the full size, the picture comes in 2048 pixels; it says so itself, and the log says why."""
    web.set_defaults(full_pixels=4096, picture_format="jpeg")
    session = await open_session()
    web.set_fault(ID, bad)  # type: ignore[arg-type]
    bounds = Bounds(connect=5, first_content=5, silence=5, total=30)
    with capture_logs() as lines:
        events = await draw(session, bounds=bounds)
    assert sizes(events) == [(2048, 2048)]
    assert [picture.preview for picture in pictures(events)] == [True]
    (line,) = [line for line in lines if line["event"] == LOST]
    assert (line["account"], line["log_level"]) == (ID, "warning")
    assert "://" not in line["detail"]


@pytest.mark.parametrize(
    ("bad", "error", "kind"),
    [
        (fault("http_401", on=("image",)), UpstreamUnstable, "page"),
        (fault("http_403", on=("image",)), UpstreamUnstable, "page"),
        (fault("http_403", on=("image:sized-3",)), UpstreamUnstable, "page"),
        (fault("http_413", on=("image",)), UpstreamUnstable, "page"),
        (fault("http_500", on=("image",)), UpstreamUnstable, "http_5xx"),
        (fault("http_429", on=("image:sized-1",)), AccountThrottled, None),
        (fault("truncate", on=("image",), frames=9), UpstreamUnstable, "truncated"),
        (fault("truncate", on=("image",), frames=0), UpstreamUnstable, "garbage"),
        (fault("garbage", on=("image",)), UpstreamUnstable, "garbage"),
        (fault("garbage", on=("image:sized-1",), form="away"), UpstreamUnstable, "garbage"),
        (fault("garbage", on=("image:sized-3",), form="away"), UpstreamUnstable, "garbage"),
        (fault("drop_mid", on=("image",), frames=3), UpstreamUnstable, "dropped"),
        (fault("drop_before_first", on=("image",)), UpstreamUnstable, "dropped"),
        (fault("stall", on=("image",), frames=3), UpstreamUnstable, "stalled"),
    ],
)
async def test_a_picture_that_cannot_be_had_is_a_failure(
    web: Simulator, open_session: Open, bad: object, error: type[UpstreamError], kind: str | None
) -> None:
    """Never an answer without it, and never proof that the cookies are dead; its chat is deleted all the same."""
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    web.set_fault(ID, bad)  # type: ignore[arg-type]
    silence = 0.4 if kind == "stalled" else 10.0  # on a busy machine anything may be silent for a while
    bounds = Bounds(connect=10, first_content=10, silence=silence, total=20)
    with pytest.raises(UpstreamError) as raised:
        await draw(session, originals=False, bounds=bounds)
    assert type(raised.value) is error
    assert getattr(raised.value, "kind", None) == kind
    await until(lambda: chats(web) == [])


async def test_a_slow_picture_is_waited_for(web: Simulator, open_session: Open) -> None:
    """As long as bytes come it is alive, though the whole takes longer than the silence that is borne."""
    session = await open_session()
    web.set_fault(ID, fault("slow_body", seconds=3, on=("image:full-3",)))
    bounds = Bounds(connect=5, first_content=5, silence=1.4, total=20)
    assert sizes(await draw(session, bounds=bounds)) == [(2048, 2048)]


async def test_the_full_size_leaves_time_for_the_preview(web: Simulator, open_session: Open) -> None:
    """A download that goes on and on is given up while the deadline still allows the other one."""
    web.set_defaults(picture_format="jpeg")
    session = await open_session()
    web.set_fault(ID, fault("slow_body", seconds=20, on=("image:full-3",)))
    started = time.monotonic()
    bounds = Bounds(connect=5, first_content=5, silence=5, total=2)
    assert sizes(await draw(session, bounds=bounds)) == [(2048, 2048)]
    assert hops(web)["sized-3"] == 1
    assert time.monotonic() - started < 2


async def test_an_address_that_is_not_googles_is_not_asked(web: Simulator, open_session: Open) -> None:
    """Other hosts, ports and schemes, and what cannot be read as an address."""
    web.set_defaults(full_pixels=1024)
    session = await open_session()

    class Image:
        alt = cid = rid = rcid = image_id = ""

        def __init__(self, url: str) -> None:
            self.url = url

    for url in (
        "http://lh3.googleusercontent.com/x", "https://example.org/x", "https://googleusercontent.com.example.org/x",
        "https://evilgoogle.com/x", "https://google.com@example.org/x", "https://lh3.googleusercontent.com:8443/x",
        "https://[::1/x", "file:///etc/passwd", "",
    ):  # fmt: skip
        with pytest.raises(UpstreamUnstable) as error:
            await fetch_pictures(
                session._client, [Image(url)], account=ID, originals=False, left=5, silence=5
            )
        assert error.value.kind == "garbage"
    assert hops(web) == {}


async def test_a_body_without_end_is_cut_off(web: Simulator, open_session: Open) -> None:
    """Beyond its limit a body ends the transfer and is not kept."""
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    await draw(session, originals=False, forget=False)
    (known,) = web.world.pictures._pictures.values()
    url = f"https://lh3.googleusercontent.com/gg-dl/{known.token}"
    body = Body(100_000)
    with pytest.raises(Exception, match=r"curl: \(23\)"):
        await session._client.send(Request("GET", url), total=5, sink=body.take)
    assert body.overflowed
    assert len(body.whole()) <= 100_000


def test_a_large_body_is_kept_once() -> None:
    """32 MB in small pieces never take more than a third above their size."""
    asyncio.run(_kept_once())


async def _kept_once() -> None:
    piece, count = b"x" * 16_384, 2048
    tracemalloc.start()
    body = Body(64 * 1024 * 1024)
    for _ in range(count):
        assert body.take(piece)
    whole = body.whole()
    del body
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(whole) == len(piece) * count
    assert peak < 1.34 * len(whole)


async def test_a_download_leaves_room_on_the_line(web: Simulator, open_session: Open) -> None:
    """However fast the line is, a large picture arrives over many turns of the loop."""
    web.set_defaults(full_pixels=4096)
    session = await open_session()
    await draw(session, originals=False, forget=False)
    (known,) = web.world.pictures._pictures.values()
    size = len(web.world.pictures.painter.file(known.look, 0))
    url = f"https://lh3.googleusercontent.com/rd-gg/{known.token}=d-I"
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    body, turning = Body(size), asyncio.ensure_future(turn())
    started = time.monotonic()
    await session._client.send(Request("GET", url), total=20, sink=body.take)
    turning.cancel()
    assert len(body.whole()) == size
    assert time.monotonic() - started > 0.5 * size / 2**23
    assert turns > 50


async def test_several_pictures_come_in_their_order(web: Simulator, open_session: Open) -> None:
    """All of them, each its own, side by side."""
    web.queue_reply(Script(text="Four of them", images=4, picture_format="jpeg"))
    session = await open_session()
    events = await draw(session)
    painter, known = web.world.pictures.painter, web.world.pictures._pictures.values()
    assert [p.data for p in pictures(events)] == [painter.file(one.look, 0) for one in known]
    assert len({p.data for p in pictures(events)}) == 4
    assert text_of(events).strip() == "Four of them"


async def test_one_of_several_that_fails_ends_the_others(web: Simulator, open_session: Open) -> None:
    """Nothing goes on downloading for an answer that is lost."""
    web.queue_reply(Script(text="Four of them", images=4))
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    web.set_fault(
        ID,
        fault("http_500", on=("image:sized-2",), times=1),
        fault("slow_body", seconds=20, on=("image:sized-3",)),
    )
    with pytest.raises(UpstreamUnstable):
        await draw(session, originals=False)
    await until(lambda: session._client.wire is not None and not session._client.wire.in_flight)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_picture_without_words_is_an_answer(web: Simulator, open_session: Open, stream: bool) -> None:
    """The placeholder is no text, so there are a picture and the end."""
    web.set_defaults(picture_reply="bare")
    session = await open_session()
    events = await draw(session, stream=stream)
    assert [type(event) for event in events if not isinstance(event, Delta)] == [Picture, Done]
    assert text_of(events).strip() == ""


@pytest.mark.parametrize("stream", [True, False])
async def test_placeholders_never_reach_the_text(web: Simulator, open_session: Open, stream: bool) -> None:
    """Wherever a running frame cuts them off, and whatever stands behind them."""
    link = "http://googleusercontent.com/image_generation_content/"
    whole = f"Here:\n{link}0\n\nand\n{link}1\n"
    session = await open_session()
    seen = []
    for count in (1, 2):
        growing = (whole[: n + 1] for n in range(0, len(whole), count))
        web.queue_reply(Script(texts=(*growing, whole)))
        web.set_defaults(frame_delay=0.001)
        events = await ask(session, "x", stream=stream)
        assert not any("google" in e.text or "http" in e.text for e in events if isinstance(e, Delta))
        assert isinstance(events[-1], Done)
        assert not events[-1].rewritten
        seen.append(text_of(events))
    assert seen == ["Here:\nand\n"] * 2


async def test_pictures_of_the_web_are_counted_not_handed_out(web: Simulator, open_session: Open) -> None:
    """`Done` says how many there were; generated ones beside them are handed out."""
    session = await open_session()
    web.set_defaults(picture_reply="web")
    events = await draw(session)
    assert pictures(events) == []
    assert isinstance(events[-1], Done)
    assert events[-1].web_pictures == 3
    web.queue_reply(Script(text="both", images=1, web_images=2))
    events = await draw(session)
    assert isinstance(events[-1], Done)
    assert (len(pictures(events)), events[-1].web_pictures) == (1, 2)


@pytest.mark.parametrize(("reply", "words"), [("refusal", "can't create"), ("quota", "image limit")])
async def test_words_instead_of_a_picture_are_handed_out(
    web: Simulator, open_session: Open, reply: str, words: str
) -> None:
    """What they mean is the engine's to say."""
    web.set_defaults(picture_reply=reply)
    session = await open_session()
    events = await draw(session)
    assert pictures(events) == []
    assert words in text_of(events)
    await until(lambda: chats(web) == [])


@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_keep_a_long_generation_alive(
    web: Simulator, open_session: Open, stream: bool
) -> None:
    """A picture that takes several times the bound of the first content, thought about all the while."""
    web.queue_reply(
        Script(text="done", thoughts="thinking of it " * 40, frames=24, frame_delay=0.12, images=1)
    )
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    started = time.monotonic()
    bounds = Bounds(connect=5, first_content=0.4, silence=0.4, total=20)
    assert len(pictures(await draw(session, stream=stream, bounds=bounds, originals=False))) == 1
    assert time.monotonic() - started > 0.8


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_repeats_itself_is_alive(
    web: Simulator, open_session: Open, stream: bool
) -> None:
    """Frames without anything new, over several times the silence that is borne, as while a picture is made."""
    web.queue_reply(Script(texts=("Making it",) * 12, frame_delay=0.12, images=1))
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    bounds = Bounds(connect=5, first_content=0.4, silence=0.4, total=20)
    events = await draw(session, stream=stream, bounds=bounds, originals=False)
    assert (len(pictures(events)), text_of(events).strip()) == (1, "Making it")


async def test_the_chat_of_a_picture_is_deleted_afterwards(web: Simulator, open_session: Open) -> None:
    """As the web page deletes it, once per chat and never before its pictures are there; nothing is left."""
    session = await open_session()
    await asyncio.gather(*(draw(session, f"{DRAW} {n}") for n in range(4)))
    await until(lambda: chats(web) == [])
    counts = journal(web, ID)["counts"]
    await until(lambda: journal(web, ID)["counts"]["rpc:qWymEb"] == 4)
    assert counts["rpc:GzXR5e"] == 4
    assert [p["temporary"] for p in journal(web, ID)["recent_prompts"]] == [False] * 4


async def test_a_chat_that_is_to_stay_stays(web: Simulator, open_session: Open) -> None:
    """Without `forget` it is in the account's history; a temporary one never was."""
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    await draw(session, originals=False, forget=False)
    await draw(session, originals=False, temporary=True)
    assert len(chats(web)) == 1
    assert "rpc:GzXR5e" not in journal(web, ID)["counts"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("bad", ["truncate", "drop_mid", "stall", "leaving", "cancelled"])
async def test_a_chat_whose_answer_failed_is_deleted_too(
    web: Simulator, open_session: Open, bad: str, stream: bool
) -> None:
    """As soon as its id is known it can be, whether the answer broke or its reader left."""
    session = await open_session()
    bounds = Bounds(connect=5, first_content=0.5, silence=0.5, total=20)
    if bad in {"truncate", "drop_mid", "stall"}:
        web.set_fault(ID, fault(bad, frames=2))
        with pytest.raises(UpstreamUnstable):
            await draw(session, bounds=bounds, stream=stream)
    else:
        web.set_fault(ID, fault("slow_body", seconds=20, on=("image:full-3",)))
        prompt = Prompt(DRAW, temporary=False, originals=True, forget=True, stream=stream)
        events = session.generate(prompt, BOUNDS)
        reading = asyncio.ensure_future(_exhaust(events))
        await until(lambda: "full-3" in hops(web))
        assert len(chats(web)) == 1
        reading.cancel()
        await asyncio.wait({reading})
        if bad == "leaving":
            await events.aclose()
        await until(lambda: journal(web, ID)["aborted"] != [])
    await until(lambda: chats(web) == [])


async def _exhaust(events: Any) -> None:
    async for _ in events:
        pass


@pytest.mark.parametrize("bad", ["rpc_fail", "http_500", "drop_before_first", "expired"])
async def test_a_deletion_that_fails_is_nobodys_trouble(
    web: Simulator, open_session: Open, impatient: GeminiWebSessions, bad: str
) -> None:
    """The answer stands, the session goes on, and after four tries a warning tells that the chat stays."""
    web.set_defaults(full_pixels=1024)
    session = await open_session(factory=impatient)
    events = session.generate(Prompt(DRAW, temporary=False, forget=True, originals=False), BOUNDS)
    with capture_logs() as lines:
        seen = []
        async for event in events:
            seen.append(event)
            if isinstance(event, Picture):
                web.set_fault(ID, fault(bad) if bad == "expired" else fault(bad, on=("rpc:GzXR5e",)))
        assert isinstance(seen[-1], Done)
        await until(lambda: not session._forgetting)
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert (line["event"], line["account"]) == (STAYS, ID)
    assert journal(web, ID)["counts"]["rpc:GzXR5e"] == 4
    if bad in {"rpc_fail", "expired"}:  # else only the answer was lost
        assert len(chats(web)) == 1
    web.set_fault(ID)
    assert text_of(await ask(session))


@pytest.mark.parametrize("bad", ["rpc_fail", "http_500", "http_429", "drop_before_first"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_deletion_is_tried_again(
    web: Simulator, open_session: Open, impatient: GeminiWebSessions, bad: str, times: int
) -> None:
    """Refused or lost up to three times, also inside a 200, it takes place all the same; nobody is told."""
    web.set_defaults(full_pixels=1024)
    session = await open_session(factory=impatient)
    web.set_fault(ID, fault(bad, on=("rpc:GzXR5e",), times=times))
    with capture_logs() as lines:
        await draw(session, originals=False)
        await until(lambda: not session._forgetting)
    assert chats(web) == []
    assert journal(web, ID)["counts"]["rpc:GzXR5e"] == times + 1
    assert [line for line in lines if line["log_level"] == "warning"] == []


async def test_a_deletion_does_not_hang_on_what_the_page_asks_afterwards(
    web: Simulator, open_session: Open, impatient: GeminiWebSessions
) -> None:
    """The chat is gone by then."""
    web.set_defaults(full_pixels=1024)
    session = await open_session(factory=impatient)
    web.set_fault(ID, fault("http_500", on=("rpc:qWymEb",)))
    await draw(session, originals=False)
    await until(lambda: not session._forgetting)
    assert chats(web) == []
    assert journal(web, ID)["counts"]["rpc:GzXR5e"] == 1


async def test_closing_tries_a_deletion_once_more(web: Simulator, open_session: Open) -> None:
    """At once rather than after its wait; then it is given up, and said so where the chat stays."""
    web.set_defaults(full_pixels=1024)
    for times, left in ((1, 0), (9, 1)):
        session = await open_session()
        web.set_fault(ID, fault("rpc_fail", on=("rpc:GzXR5e",), times=times))
        before = deletions(web)
        with capture_logs() as lines:
            await draw(session, originals=False)
            await until(lambda: deletions(web) % 2)
            started = time.monotonic()
            await session.close()
            assert time.monotonic() - started < 2
        assert deletions(web) == before + 2
        assert len(chats(web)) == left
        assert len([line for line in lines if line["event"] == STAYS]) == left
        web.set_fault(ID)


async def test_deleting_delays_no_answer_and_no_stop(
    web: Simulator, sessions: GeminiWebSessions, open_session: Open
) -> None:
    """The end of the answer does not wait for it; closing does, but not for long."""
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    web.set_fault(ID, fault("latency", seconds=1.5, on=("rpc:GzXR5e",)))
    started = time.monotonic()
    await draw(session, originals=False)
    assert time.monotonic() - started < 1.5
    await session.close()
    assert chats(web) == []
    session = await open_session()
    web.set_fault(ID, fault("latency", seconds=30, on=("rpc:GzXR5e",)))
    await draw(session, originals=False)
    started = time.monotonic()
    await session.close()
    await sessions.close()
    assert time.monotonic() - started < 5


async def test_the_factory_waits_for_deletions(
    web: Simulator, sessions: GeminiWebSessions, open_session: Open
) -> None:
    """A stop of the gateway leaves no chat behind that was being deleted."""
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    web.set_fault(ID, fault("latency", seconds=0.3, on=("rpc:GzXR5e",)))
    await draw(session, originals=False)
    assert len(chats(web)) == 1
    await sessions.close()
    assert chats(web) == []


@pytest.mark.parametrize("bad", [None, "http_500", "drop_mid", "stall"])
async def test_a_download_leaves_the_neighbours_alone(
    web: Simulator, open_session: Open, bad: str | None
) -> None:
    """A stream of the same session runs on beside it, whatever becomes of it."""
    session = await open_session()
    web.set_defaults(frames=12, words=60, frame_delay=0.05)
    stream = asyncio.ensure_future(ask(session, "neighbour"))
    await until(lambda: journal(web, ID)["running"] == 1)
    web.set_defaults(**{**_defaults(), "full_pixels": 4096})
    if bad:
        web.set_fault(ID, fault(bad, on=("image",)))
        with pytest.raises(UpstreamError):
            await draw(session, bounds=Bounds(connect=5, first_content=5, silence=0.2, total=20))
    else:
        assert sizes(await draw(session)) == [(4096, 4096)]
    web.set_fault(ID)
    web.set_defaults(frames=12, words=60, frame_delay=0.0)
    assert text_of(await stream) == text_of(await ask(session, "neighbour"))


def _defaults() -> dict[str, Any]:
    return {"frames": Defaults().frames, "words": 0, "frame_delay": 0.0}


@pytest.mark.parametrize("hop", ["image:full-1", "image:full-3", "rpc:c8o8Fe"])
async def test_leaving_stops_a_download_at_once(web: Simulator, open_session: Open, hop: str) -> None:
    """No handle is held afterwards, and no fallback is begun."""
    session = await open_session()
    web.set_fault(ID, fault("latency", seconds=20, on=(hop,)))
    for n in range(1, 4):
        reading = asyncio.ensure_future(draw(session))
        await until(lambda n=n: journal(web, ID)["counts"].get(hop, 0) == n)  # type: ignore[misc]
        reading.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert time.monotonic() - started < 5
    await until(lambda: not session._forgetting)
    assert session._client.wire is not None
    assert session._client.wire.in_flight == 0
    assert "sized-1" not in hops(web)


async def test_21_a_session_that_is_closed_ends_its_downloads(web: Simulator, open_session: Open) -> None:
    """The picture belongs to the session, so it is lost with it, and said to be; so is an answer that runs."""
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    web.set_fault(ID, fault("slow_body", seconds=20, on=("image:sized-3",)))
    reading = asyncio.ensure_future(draw(session, originals=False))
    await until(lambda: "sized-3" in hops(web))
    web.set_fault(ID, fault("latency", seconds=20, on=("generate",)))
    asking = asyncio.ensure_future(ask(session))
    await until(lambda: journal(web, ID)["running"] == 1)
    await session.close()
    for lost in (reading, asking):
        with pytest.raises(UpstreamUnstable):
            await asyncio.wait_for(lost, 1)
    await until(lambda: journal(web, ID)["open_connections"] == 0)


async def test_22_nothing_is_written_to_disk(
    web: Simulator, open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's `save` would; and the proxy's address is private, over which it follows no redirect."""
    monkeypatch.chdir(tmp_path)
    web.set_defaults(full_pixels=1024)
    session = await open_session()
    await draw(session, originals=False)
    await draw(session)
    assert os.listdir(tmp_path) == ["private"]


async def test_an_edit_returns_a_changed_picture(web: Simulator, open_session: Open) -> None:
    """What was attached goes up whole, under its type, and a picture of its own comes back."""
    session = await open_session()
    given = Painter().file(Look(7, 1024, 1024, "none", "png"), 0)
    prompt = "Edit the attached image and generate the changed image: add a boat"
    (picture,) = pictures(await draw(session, prompt, files=(Blob(given, "image/png", "sea.png"),)))
    assert picture.data != given
    (record,) = journal(web, ID)["recent_prompts"]
    (sent,) = record["uploads"]
    assert (sent["name"], sent["content_type"], sent["size"]) == ("sea.png", "image/png", len(given))
