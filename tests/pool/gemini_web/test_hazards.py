"""UPSTREAM's hazards of the library, one test each: every one fails with the library used as it comes."""

import asyncio
import time
from pathlib import Path

import gemini_webapi
import loguru
import pytest

from core.chat import Blob, Delta, Picture
from core.errors import (
    AccountRejected,
    EgressBlocked,
    ModelUnavailable,
    NetworkFault,
    SessionExpired,
    SessionSuspect,
    UpstreamError,
    UpstreamUnstable,
    UsageLimitReached,
)
from pool.gemini_web import GeminiWebSessions
from pool.upstream import Bounds, Prompt
from simulator import Simulator, fault
from tests.support.adapter import BOUNDS, Open, ask, journal, prompts, text_of, until

ID = "account-1"


async def test_01_a_failed_prompt_is_not_sent_again(web: Simulator, open_session: Open) -> None:
    """The library would send it six times and sleep for 75 seconds."""
    session = await open_session()
    web.set_fault(ID, fault("http_500"))
    started = time.monotonic()
    with pytest.raises(UpstreamUnstable):
        await ask(session)
    assert time.monotonic() - started < 10
    assert prompts(web, ID) == 1


async def test_02_a_stream_that_breaks_is_not_spliced(web: Simulator, open_session: Open) -> None:
    """What was handed out is a beginning of the answer, and the prompt was sent once."""
    session = await open_session()
    web.set_defaults(frames=8, words=60, frame_delay=0.02)
    whole = text_of(await ask(session, "count"))
    web.set_fault(ID, fault("drop_mid", frames=4))
    shown = ""

    async def read() -> None:
        nonlocal shown
        async for event in session.generate(Prompt("count"), BOUNDS):
            assert isinstance(event, Delta)
            shown += event.text

    with pytest.raises(UpstreamUnstable) as error:
        await read()
    assert error.value.kind == "dropped"
    assert shown
    assert whole.startswith(shown)
    assert prompts(web, ID) == 2


@pytest.mark.parametrize("bad", ["http_500", "error_1037", "error_1052", "drop_before_first", "garbage"])
async def test_03_a_failure_leaves_the_neighbours_alone(web: Simulator, open_session: Open, bad: str) -> None:
    """A call that fails beside a running stream of the same session does not end it."""
    session = await open_session()
    web.set_defaults(frames=10, words=60, frame_delay=0.03)
    stream = session.generate(Prompt("neighbour"), BOUNDS)
    events = [await anext(stream)]
    web.set_fault(ID, fault(bad))
    with pytest.raises(UpstreamError):
        await ask(session, "bad")
    web.set_fault(ID, fault("ok"))
    events += [event async for event in stream]
    web.set_defaults(frame_delay=0)
    assert text_of(events) == text_of(await ask(session, "neighbour"))


async def test_04_a_failing_rpc_at_the_start_does_not_hang(web: Simulator, open_session: Open) -> None:
    """The library waits for ever for a lock that it holds itself; here the start fails at once, and the
    next one works."""
    web.set_fault(ID, fault("rpc_fail", on=("rpc:otAQ7b",), status=500))
    with pytest.raises(UpstreamUnstable):
        await asyncio.wait_for(open_session(), 2)
    web.set_fault(ID, fault("ok"))
    assert text_of(await ask(await open_session()))


@pytest.mark.parametrize("activity", ["off", "background", "each"])
async def test_05_a_failing_usage_call_spoils_no_answer(
    web: Simulator, open_session: Open, tmp_path: Path, activity: str
) -> None:
    """The answer that stands there complete is the answer, whatever the calls beside it do."""
    factory = GeminiWebSessions(tmp_path / "own", ca_file=Path(web.ca_file), activity=activity)  # type: ignore[arg-type]
    session = await open_session(factory=factory)
    web.set_fault(ID, fault("rpc_fail", on=("rpc:jSf9Qc",), status=500))
    assert text_of(await ask(session))
    assert prompts(web, ID) == 1
    await factory.close()


@pytest.mark.parametrize("where", ["before the head", "in the middle"])
async def test_06_leaving_stops_the_transfer(web: Simulator, open_session: Open, where: str) -> None:
    """The upstream sees the end within a second, no handle is held, and the next prompt is served."""
    session = await open_session()
    if where == "before the head":
        web.set_fault(ID, fault("latency", seconds=20, on=("generate",)))
    else:
        web.set_defaults(frames=200, words=500, frame_delay=0.1)
    for _ in range(12):  # more than the ten handles that a session has
        stream = session.generate(Prompt("long"), BOUNDS)
        reading = asyncio.ensure_future(anext(stream))
        if where == "before the head":
            await until(lambda: journal(web, ID)["running"] >= 1)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        else:
            await reading
        await stream.aclose()
        await until(lambda: journal(web, ID)["running"] == 0)
    web.set_fault(ID, fault("ok"))
    web.set_defaults(frames=3, words=0, frame_delay=0)
    assert text_of(await ask(session))


async def test_07_eight_prompts_run_side_by_side(web: Simulator, open_session: Open) -> None:
    """The library's ten handles are enough for the most that an account may be given."""
    session = await open_session()
    web.set_defaults(first_delay=0.3)
    await asyncio.gather(*(ask(session, f"n{n}") for n in range(8)))
    assert journal(web, ID)["max_running"] == 8


@pytest.mark.parametrize("guests", [True, False])
@pytest.mark.parametrize("kind", ["expired", "guest"])
async def test_08_a_guest_is_not_an_account(
    web: Simulator, open_session: Open, kind: str, guests: bool
) -> None:
    """The library opens a guest's session without a word; here it is an expired account."""
    web.set_defaults(guests=guests)
    web.set_fault(ID, fault(kind))
    with pytest.raises(SessionExpired):
        await open_session()


@pytest.mark.parametrize(
    ("code", "why"),
    [(1021, "rejected"), (1033, "untrusted"), (1040, "terms_pending"), (1042, "terms_pending"),
     (1054, "guardian"), (1057, "guardian"), (1060, "location"), (1999, "rejected")],
)  # fmt: skip
async def test_09_the_status_is_asked_anew(web: Simulator, open_session: Open, code: int, why: str) -> None:
    """A probe sees what the account has become, where the library goes by what it was at the start."""
    session = await open_session()
    await session.probe(5)
    web.set_fault(ID, fault("status", code=code))
    with pytest.raises(AccountRejected) as error:
        await session.probe(5)
    assert error.value.why == why
    with pytest.raises(AccountRejected):
        await open_session()
    web.set_fault(ID, fault("ok"))
    await session.probe(5)


@pytest.mark.parametrize("form", ["7", "401"])
async def test_09_an_expired_session_is_seen_by_the_probe(
    web: Simulator, open_session: Open, form: str
) -> None:
    """Refused RPCs make the session suspect or expired, never well."""
    session = await open_session()
    web.set_fault(ID, fault("expired", form=form))
    with pytest.raises((SessionExpired, SessionSuspect)):
        await session.probe(5)
    with pytest.raises(SessionExpired):
        await open_session()


async def test_10_no_cookie_is_written_to_disk(web: Simulator, open_session: Open, tmp_path: Path) -> None:
    """Nothing below the private directory holds a cookie: a cached one would win over the given ones."""
    session = await open_session()
    await ask(session)
    await session.rotate(5)
    await session.close()
    assert list((tmp_path / "private" / "library").rglob("*")) == []
    assert (tmp_path / "private" / "library").stat().st_mode & 0o777 == 0o700


async def test_11_a_rotation_is_really_made(web: Simulator, open_session: Open) -> None:
    """Two rotations within a minute are two requests and two values; the library would skip the second."""
    web.set_defaults(rotation_spacing=0)
    session = await open_session()
    seen = {session.jar()["__Secure-1PSIDTS"]}
    for _ in range(2):
        assert await session.rotate(5)
        seen.add(session.jar()["__Secure-1PSIDTS"])
    assert len(seen) == 3
    assert journal(web, ID)["counts"]["rotate"] == 2
    web.set_fault(ID, fault("rotate_empty"))
    assert not await session.rotate(5)
    web.set_fault(ID, fault("expired"))
    with pytest.raises(SessionExpired):
        await session.rotate(5)


async def test_12_13_nothing_is_asked_but_what_is_needed(web: Simulator, open_session: Open) -> None:
    """Two requests to open, one for a prompt, none in the background."""
    before = asyncio.all_tasks()
    session = await open_session()
    assert journal(web, ID)["counts"] == {"page": 1, "rpc:otAQ7b": 1}
    await ask(session)
    assert journal(web, ID)["counts"] == {"page": 1, "rpc:otAQ7b": 1, "generate": 1}
    assert asyncio.all_tasks() == before


async def test_14_a_probe_is_one_request(web: Simulator, open_session: Open) -> None:
    """And it is the cheap one."""
    session = await open_session()
    await session.probe(5)
    assert journal(web, ID)["counts"] == {"page": 1, "rpc:otAQ7b": 2}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("bad", "kind"),
    [(fault("slow_first_token", seconds=9), "slow_first_content"), (fault("stall", frames=2), "stalled")],
)
async def test_15_bounds_hold(
    web: Simulator, open_session: Open, bad: object, kind: str, stream: bool
) -> None:
    """First content and silence have bounds of their own and say which was broken."""
    session = await open_session()
    web.set_fault(ID, bad)  # type: ignore[arg-type]
    started = time.monotonic()
    with pytest.raises(UpstreamUnstable) as error:
        await ask(session, bounds=Bounds(connect=1, first_content=0.4, silence=0.4, total=5), stream=stream)
    assert error.value.kind == kind
    assert time.monotonic() - started < 4
    await until(lambda: journal(web, ID)["running"] == 0)


async def test_15_the_deadline_holds_for_an_answer_that_trickles(web: Simulator, open_session: Open) -> None:
    """Contents that keep coming do not stretch the total."""
    session = await open_session()
    web.set_defaults(frames=200, words=400, frame_delay=0.05)
    started = time.monotonic()
    with pytest.raises(UpstreamUnstable):
        await ask(session, bounds=Bounds(connect=1, first_content=1, silence=1, total=1))
    assert time.monotonic() - started < 5


async def test_16_a_prompt_is_never_sent_twice_by_curl(web: Simulator, open_session: Open) -> None:
    """When a kept connection dies before the first byte, libcurl would send the prompt again by itself."""
    session = await open_session()
    await ask(session)
    web.set_fault(ID, fault("drop_before_first"))
    with pytest.raises(UpstreamUnstable) as error:
        await ask(session, "once")
    assert error.value.kind == "dropped"
    assert prompts(web, ID) == 2
    web.set_fault(ID, fault("ok"))
    assert text_of(await ask(session))


@pytest.mark.parametrize("form", ["", "recoverable"])
async def test_17_a_truncated_answer_is_said_so_at_once(
    web: Simulator, open_session: Open, form: str
) -> None:
    """No polling of the history in steps of ten seconds."""
    session = await open_session()
    web.set_fault(ID, fault("truncate", form=form))
    started = time.monotonic()
    with pytest.raises(UpstreamUnstable) as error:
        await ask(session, temporary=False)
    assert error.value.kind == "truncated"
    assert time.monotonic() - started < 5
    assert "rpc:hNvQHb" not in journal(web, ID)["counts"]


async def test_18_streamed_text_is_the_whole_text(web: Simulator, open_session: Open) -> None:
    """Entities, code fences that flicker and astral characters, cut into pieces of three bytes."""
    session = await open_session()
    web.set_defaults(frames=12, frame_delay=0.005, cut_size=3, flicker=True)
    text = 'Use <b> & "q" in\n```py\nif a < b && c:\n    print("\U0001f600 漢字 &amp;")\n```\nand https://example.org/?a=1&b=2.'
    streamed = await ask(session, text)
    whole = await ask(session, text, stream=False)
    assert text_of(streamed) == text_of(whole)
    assert text in text_of(whole)
    assert len([e for e in streamed if isinstance(e, Delta)]) > 3
    assert len([e for e in whole if isinstance(e, Delta)]) == 1


async def test_20_nothing_grows_with_the_answers(web: Simulator, open_session: Open) -> None:
    """The library's list of chats stays away."""
    session = await open_session()
    for _ in range(5):
        await ask(session, temporary=False)
    assert not session._client._recent_chats


async def test_21_22_pictures_come_through_the_same_session(
    web: Simulator, open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redirects are followed though the proxy's address is private, and nothing is written to disk."""
    monkeypatch.chdir(tmp_path)
    session = await open_session()
    events = await ask(session, "Generate an image of a lighthouse")
    pictures = [event for event in events if isinstance(event, Picture)]
    assert len(pictures) == 1
    assert pictures[0].data.startswith(b"\x89PNG")
    assert pictures[0].mime == "image/png"
    assert not (tmp_path / "temp").exists()


async def test_files_go_up_under_their_type_and_one_name(web: Simulator, open_session: Open) -> None:
    """The library would send bytes as text under one random name and announce them under another."""
    session = await open_session()
    files = (
        Blob(b"\x89PNG\r\n\x1a\n" + b"0" * 300_000, "image/png", "../ca t.png"),
        Blob(b"%PDF-1.7", "application/pdf"),
    )
    assert "two files" in text_of(await ask(session, "two files", files=files))
    seen = journal(web, ID)
    assert seen["recent_prompts"][0]["files"] == ("ca_t.png", "file.pdf")
    assert seen["notes"] == []
    assert seen["counts"]["upload"] == 2
    web.set_fault(ID, fault("http", status=500, on=("upload",)))
    with pytest.raises(UpstreamUnstable):
        await ask(session, "again", files=files)


async def test_a_proxy_that_never_answers_is_a_network_fault(web: Simulator, open_session: Open) -> None:
    """Nothing has left, so no account is blamed, whichever bound ends the wait."""
    session = await open_session()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    hole = await asyncio.start_server(silence, "127.0.0.1", 0)
    session._client.client.proxies = {"all": f"http://127.0.0.1:{hole.sockets[0].getsockname()[1]}"}
    for bounds in (Bounds(0.2, 5, 5, 5), Bounds(5, 0.2, 5, 5)):
        with pytest.raises(NetworkFault):
            await ask(session, bounds=bounds)
    hole.close()
    await session.close()
    await hole.wait_closed()


async def test_22_a_redirect_to_the_sign_in_is_no_network_fault(web: Simulator, open_session: Open) -> None:
    """The library refuses redirects where the proxy's address is private, which looks like a network that
    is down; the account's cookies are dead, and that is what must be said."""
    web.set_fault(ID, fault("expired", form="redirect"))
    with pytest.raises(SessionExpired):
        await open_session()


async def test_23_the_library_logs_nothing(web: Simulator, open_session: Open) -> None:
    """Its log lines would name cookie files, which are cookie values."""
    lines: list[str] = []
    sink = loguru.logger.add(lines.append, level=0, format="{message}")
    try:
        session = await open_session()
        await ask(session)
        web.set_fault(ID, fault("expired"))
        with pytest.raises(SessionExpired):
            await open_session()
    finally:
        loguru.logger.remove(sink)
    assert lines == []


async def test_25_26_a_prompt_belongs_to_no_chat(web: Simulator, open_session: Open) -> None:
    """Every request is a temporary chat of its own and leaves nothing in the account's history."""
    session = await open_session()
    await ask(session)
    await ask(session)
    recent = journal(web, ID)["recent_prompts"]
    assert [(p["temporary"], p["cid"] != "") for p in recent] == [(True, True), (True, True)]
    assert recent[0]["cid"] != recent[1]["cid"]


def test_27_the_library_is_not_patched() -> None:
    """What we changed is a subclass of ours; the library's own classes are as they came."""
    for name in ("_generate", "_batch_execute", "close", "init", "_init_rpc"):
        method = getattr(gemini_webapi.GeminiClient, name)
        assert method.__module__.startswith("gemini_webapi"), name


async def test_28_an_idle_session_costs_no_timer(web: Simulator, open_session: Open) -> None:
    """The look at curl's timers ten times a second is made only while something is in flight."""
    session = await open_session()
    await ask(session)
    client = session._client
    assert client.wire is not None
    assert client.client.acurl._timeout_checker.done()
    assert client.wire._timer is None
    web.set_defaults(first_delay=0.3)
    running = asyncio.ensure_future(ask(session))
    await until(lambda: client.wire is not None and client.wire._timer is not None)
    await running
    assert client.wire._timer is None


@pytest.mark.parametrize(
    ("bad", "error", "kind"),
    [
        ("http_429", "AccountThrottled", None),
        ("http_500", UpstreamUnstable, "http_5xx"),
        ("http_503", UpstreamUnstable, "http_5xx"),
        ("http_400", SessionSuspect, None),
        ("http_401", SessionSuspect, None),
        ("http_403", SessionSuspect, None),
        ("expired", SessionSuspect, None),
        ("error_1013", UpstreamUnstable, "temporary"),
        ("error_1037", UsageLimitReached, None),
        ("error_1050", ModelUnavailable, None),
        ("error_1052", ModelUnavailable, None),
        ("error_1060", EgressBlocked, None),
        ("error_1099", UpstreamUnstable, "unknown_code"),
        ("garbage", UpstreamUnstable, "garbage"),
        ("drop_before_first", UpstreamUnstable, "dropped"),
        ("truncate", UpstreamUnstable, "truncated"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_each_fault_means(
    web: Simulator, open_session: Open, bad: str, error: object, kind: str | None, stream: bool
) -> None:
    """Each fault of the table becomes the error with its scope, at once and with one prompt sent."""
    session = await open_session()
    web.set_fault(ID, fault(bad))
    started = time.monotonic()
    with pytest.raises(UpstreamError) as raised:
        await ask(session, stream=stream)
    assert type(raised.value).__name__ == (error if isinstance(error, str) else error.__name__)  # type: ignore[attr-defined]
    assert getattr(raised.value, "kind", None) == kind
    assert time.monotonic() - started < 5
    assert prompts(web, ID) == 1


@pytest.mark.parametrize("form", ["html", "frame", "bytes"])
async def test_garbage_in_all_forms(web: Simulator, open_session: Open, form: str) -> None:
    """A page, a broken frame and random bytes are garbage or an empty answer, never an answer."""
    session = await open_session()
    web.set_fault(ID, fault("garbage", form=form))
    with pytest.raises(UpstreamUnstable) as error:
        await ask(session)
    assert error.value.kind in {"garbage", "empty"}


@pytest.mark.parametrize("form", ["cid", "bare"])
async def test_an_empty_answer_is_a_failure(web: Simulator, open_session: Open, form: str) -> None:
    """With a chat id or without one."""
    session = await open_session()
    web.set_fault(ID, fault("empty", form=form))
    with pytest.raises(UpstreamUnstable) as error:
        await ask(session)
    assert error.value.kind in {"empty", "garbage"}


@pytest.mark.parametrize("bad", ["refuse_connect", "tls_broken"])
async def test_our_own_network_blames_no_account(web: Simulator, open_session: Open, bad: str) -> None:
    """A proxy that refuses and TLS that breaks are faults of the network, at the start and later."""
    web.set_fault(ID, fault(bad))
    with pytest.raises(NetworkFault):
        await open_session()


async def test_a_usage_limit_tells_its_end(web: Simulator, open_session: Open) -> None:
    """The reset time comes from the web app's own usage call."""
    session = await open_session()
    web.set_fault(ID, fault("error_1037", resets_in=1800))
    with pytest.raises(UsageLimitReached) as error:
        await ask(session)
    assert error.value.resets_at is not None
    assert 1700 < error.value.resets_at - time.time() < 1860
