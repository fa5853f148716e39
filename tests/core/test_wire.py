"""The connection to the store, against a real one and against servers that misbehave."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from core.wire import Address, Script, ServerError, Wire, WireError


@pytest.fixture
async def wire(empty_valkey: str) -> AsyncIterator[Wire]:
    wire = Wire(Address(empty_valkey), 1.0)
    yield wire
    await wire.close()


async def test_answers_find_their_callers(wire: Wire) -> None:
    """Many calls at once over the one connection: each gets its own answer."""
    answers = await asyncio.gather(*(wire.call("ECHO", f"{i}") for i in range(500)))
    assert answers == [f"{i}" for i in range(500)]


async def test_cancelled_callers_disturb_nobody(wire: Wire) -> None:
    """Callers that are cancelled at any moment end at once, and the answers of the others stay right."""
    for steps in range(20):
        tasks = [asyncio.create_task(wire.call("ECHO", f"{i}")) for i in range(20)]
        for _ in range(steps % 8):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks, timeout=1)
        assert all(task.done() for task in tasks)
        assert [task.result() for task in tasks[1::2]] == [f"{i}" for i in range(1, 20, 2)]


async def test_refusals_are_the_callers_own(wire: Wire) -> None:
    """A command that the server refuses fails alone."""
    bad, good = await asyncio.gather(wire.call("NONSENSE"), wire.call("PING"), return_exceptions=True)
    assert isinstance(bad, ServerError)
    assert good == "PONG"


async def test_a_lost_connection_is_made_again(wire: Wire) -> None:
    """The server drops the connection: the next call, and one that was under way, succeed on a new one."""
    assert await wire.call("PING") == "PONG"
    before = await wire.call("CLIENT", "ID")
    await wire.call("CLIENT", "KILL", "ID", before, "SKIPME", "no")
    assert await wire.call("CLIENT", "ID") != before


async def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    """A server that accepts and says nothing fails the call within the bound, not later."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, str(tmp_path / "s"))
    wire = Wire(Address(f"unix://{tmp_path}/s"), 0.2)
    started = time.monotonic()
    with pytest.raises(WireError):
        await wire.call("PING")
    assert time.monotonic() - started < 5
    await wire.close()
    server.close()
    await server.wait_closed()


async def test_nobody_there(tmp_path: Path) -> None:
    """With no server the first call waits a moment for one to come back; the next is refused at once."""
    wire = Wire(Address(f"unix://{tmp_path}/s"), 0.8)
    with pytest.raises(WireError, match="no connection"):
        await wire.call("PING")
    started = time.monotonic()
    with pytest.raises(WireError):
        await wire.call("PING")
    assert time.monotonic() - started < 0.4
    await wire.close()


async def test_listening(wire: Wire) -> None:
    """What is published arrives, after the word that listening has begun."""
    async with aclosing(wire.listen("news")) as messages:
        assert await anext(messages) == ""
        assert await wire.call("PUBLISH", "news", "hello") == 1
        assert await anext(messages) == "hello"
        await wire.call("CLIENT", "KILL", "TYPE", "pubsub")
        with pytest.raises(WireError):
            await anext(messages)


async def test_database_and_password(empty_valkey: str) -> None:
    """The URL's database is selected; a password that the server does not know is told as its error."""
    wire = Wire(Address(f"{empty_valkey}?db=3"), 1.0)
    assert "db=3" in await wire.call("CLIENT", "INFO")
    await wire.close()
    wrong = Wire(Address(f"{empty_valkey}?password=secretword"), 1.0)
    with pytest.raises(ServerError) as caught:
        await wrong.call("PING")
    assert "secretword" not in str(caught.value)
    await wrong.close()


@pytest.mark.parametrize("url", ["http://x", "redis://host/notanumber", "localhost:6379"])
def test_bad_urls(url: str) -> None:
    """An unusable URL is refused with what is wrong, without showing it."""
    with pytest.raises(ValueError, match="the store's URL"):
        Address(url)


def test_urls() -> None:
    """Host, port, user, password, database and TLS are read from the URL."""
    plain = Address("redis://user:p%40ss@store:7000/2")
    assert (plain.host, plain.port, plain.user, plain.password) == ("store", 7000, "user", "p@ss")
    assert (plain.database, plain.path, plain.tls) == (2, None, None)
    assert Address("rediss://store").tls is not None
    assert Address("unix:///a/b%20c").path == "/a/b c"


async def test_a_script_is_sent_once_and_again_after_the_store_forgot_it(wire: Wire) -> None:
    """Calls go by the digest; a store that has never had the script, or lost it, is told it anew."""
    script = Script("double", "return ARGV[1] * 2")
    assert [await script.run(wire, ["k"], n) for n in (1, 2)] == [2, 4]
    await wire.call("SCRIPT", "FLUSH")
    assert await script.run(wire, ["k"], 3) == 6


async def test_a_script_that_fails_is_not_sent_again(wire: Wire) -> None:
    """Only a missing script is loaded; an error in it is the caller's to see."""
    with pytest.raises(ServerError, match="arithmetic"):
        await Script("broken", "return tonumber('x') + 1").run(wire, [])


async def test_a_store_without_room_is_asked_again(wire: Wire) -> None:
    """One that cannot write to its disk refuses for a moment: who asks waits for it. What is refused for long is told."""
    refuses = (
        "if redis.call('INCR', KEYS[1]) < 4 then return redis.error_reply('MISCONF no room') end return 1"
    )
    assert await Script("room", refuses).run(wire, ["tries"]) == 1
    with pytest.raises(ServerError, match="MISCONF"):
        await wire.call("EVAL", "return redis.error_reply('MISCONF no room')", 0)
    with pytest.raises(ServerError, match="MISCONF"):  # and is not asked over and over meanwhile
        await Script("room", refuses).run(wire, ["more tries"])
    assert await wire.call("GET", "more tries") == "1"
