"""Responses that are kept, so that a caller can go on with the id of its last one."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.chat import Blob, Message, Part, Text, ToolCall
from core.errors import StoreUnavailable
from core.secret import Secret
from engine.responses import Responses
from engine.settings import ConversationSettings
from pool import Shared
from supervisor.jars import Seal

SETTINGS = ConversationSettings()


def said(text: str, role: str = "user", *parts: Part) -> Message:
    return Message(role, (Text(text), *parts))  # type: ignore[arg-type]


def turn(n: int) -> tuple[Message, ...]:
    return said(f"question {n}"), said(f"answer {n}", "assistant")


@pytest.fixture
async def shared(empty_valkey: str) -> AsyncIterator[Shared]:
    shared = Shared(empty_valkey)
    yield shared
    await shared.close()


def responses(shared: Shared, key: str = "", **changes: object) -> Responses:
    return Responses(shared, Seal(Secret(key)), msgspec.structs.replace(SETTINGS, **changes))


async def test_a_conversation_is_what_its_turns_added(shared: Shared) -> None:
    """Each response adds its own; any of them is the end of a conversation, and two may go on from the same one."""
    kept = responses(shared)
    await kept.save("r1", "ada", "", turn(1))
    await kept.save("r2", "ada", "r1", turn(2))
    await kept.save("r3", "ada", "r1", turn(3))
    assert await kept.load("r1", "ada") == turn(1)
    assert await kept.load("r2", "ada") == turn(1) + turn(2)
    assert await responses(shared).load("r3", "ada") == turn(1) + turn(3)
    assert await kept.load("r4", "ada") is None


async def test_another_callers_response_is_not_there(shared: Shared) -> None:
    """Not to be read, and not to be gone on from."""
    kept = responses(shared)
    await kept.save("r1", "ada", "", turn(1))
    assert await kept.load("r1", "bob") is None
    await kept.save("r2", "bob", "r1", turn(2))
    assert await kept.load("r2", "bob") is None
    await kept.save("r1", "bob", "", turn(9))
    assert await kept.load("r1", "ada") == turn(1)


async def test_what_is_used_lives_on(shared: Shared) -> None:
    """The whole chain lives for `keep` after its end was last used; then none of it is there."""
    kept = responses(shared, keep=0.4)
    await kept.save("r1", "ada", "", turn(1))
    await kept.save("r2", "ada", "r1", turn(2))
    for _ in range(4):
        await asyncio.sleep(0.2)  # the store's clock
        assert await kept.load("r2", "ada") == turn(1) + turn(2)
    await asyncio.sleep(0.5)  # the store's clock
    assert await kept.load("r2", "ada") is None


async def test_too_much_is_left_out(shared: Shared) -> None:
    """A turn that is larger than the bound, files counted, or a conversation that is longer is not kept, nor what would
    go on from it."""
    kept = responses(shared, max_bytes=1000, max_turns=3)
    assert not await kept.save("big", "ada", "", (said("x", "user", Blob(b"\0" * 900, "image/png")),))
    assert not await kept.save(
        "calls", "ada", "", (Message("assistant", (), None, (ToolCall("c", "f", "x" * 2000),)),)
    )
    assert await kept.load("big", "ada") is None
    assert not await kept.save("after", "ada", "big", turn(1))
    assert await kept.load("after", "ada") is None
    for n in range(1, 5):
        await kept.save(f"r{n}", "ada", f"r{n - 1}" if n > 1 else "", turn(n))
    assert await kept.load("r3", "ada") == turn(1) + turn(2) + turn(3)
    assert await kept.load("r4", "ada") is None


async def test_large_turns_leave_the_loop_alone(shared: Shared) -> None:
    """What is too large is told from its lengths, and what is large is written in a thread."""
    spent = 0.0
    bounded = responses(shared, "a key", max_bytes=8 * 1024 * 1024)

    async def saved(size: int) -> bool:
        nonlocal spent
        messages = (said("x" * size, "user", Blob(bytes(size), "image/png")),)
        began = time.thread_time()
        kept = await bounded.save("r", "ada", "", messages)
        spent = time.thread_time() - began
        return kept

    assert not await saved(30_000_000)
    assert spent < 0.1
    assert await saved(3_000_000)


async def test_a_chain_with_a_hole_is_no_conversation(shared: Shared, empty_valkey: str) -> None:
    """Where a turn in the middle is gone, nothing is told instead of half of it."""
    kept = responses(shared)
    for n in range(1, 4):
        await kept.save(f"r{n}", "ada", f"r{n - 1}" if n > 1 else "", turn(n))
    with redis.Redis.from_url(empty_valkey, decode_responses=True) as client:
        (middle,) = [
            key for key in client.scan_iter("*response:*") if str(client.get(key)).startswith("00000002\n")
        ]
        client.delete(middle)
    assert await kept.load("r3", "ada") is None
    assert await kept.load("r1", "ada") == turn(1)


async def test_encrypted_with_a_key(shared: Shared, empty_valkey: str) -> None:
    """With a state key no word lies in the store as it is; without that key it cannot be read."""
    kept = responses(shared, "a state key")
    await kept.save("r1", "ada", "", (said("xylophone"),))
    with redis.Redis.from_url(empty_valkey, decode_responses=True) as client:
        stored = [(key, client.get(key)) for key in client.scan_iter("*response:*")]
    assert len(stored) == 1
    assert "xylophone" not in str(stored)
    assert await kept.load("r1", "ada") == (said("xylophone"),)
    assert await responses(shared, "another key").load("r1", "ada") is None
    assert await responses(shared).load("r1", "ada") is None


async def test_an_absent_store_is_said_so(shared: Shared) -> None:
    """Nothing is taken for lost that may be there."""
    away = responses(Shared("unix:///nonexistent/socket", timeout=0.05))
    with pytest.raises(StoreUnavailable):
        await away.load("r1", "ada")
    with pytest.raises(StoreUnavailable):
        await away.save("r1", "ada", "", turn(1))


SEALS = (Seal(Secret("")), Seal(Secret("k")))  # to make a key from words takes its time
TEXTS = st.text(max_size=20)
PARTS = st.one_of(
    st.builds(Text, TEXTS), st.builds(Blob, st.binary(max_size=20), TEXTS, st.one_of(st.none(), TEXTS))
)
CALLS = st.builds(ToolCall, TEXTS, TEXTS, TEXTS)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.lists(PARTS, max_size=3).map(tuple),
    st.one_of(st.none(), TEXTS),
    st.lists(CALLS, max_size=2).map(tuple),
    st.one_of(st.none(), TEXTS),
)


@given(chain=st.lists(st.lists(MESSAGES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4))
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_what_is_loaded_is_what_was_saved(valkey_url: str, chain: list[tuple[Message, ...]]) -> None:
    """For any messages, names, calls and files, with a key and without."""

    async def there_and_back() -> None:
        shared = Shared(valkey_url)
        for seal in SEALS:
            kept = Responses(shared, seal, SETTINGS)
            for n, messages in enumerate(chain):
                await kept.save(f"r{n}", "ada", f"r{n - 1}" if n else "", messages)
            assert await kept.load(f"r{len(chain) - 1}", "ada") == sum(chain, ())
        await shared.close()

    asyncio.run(there_and_back())
