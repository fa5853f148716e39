"""Conversations as another version kept them: gone on with, or not known; no request fails of them."""

import asyncio

import msgspec
from hypothesis import example, given, settings

from core.chat import Ask, Blob, Message, Remote, Text, ToolCall
from core.metrics import Metrics
from core.secret import Secret
from engine.conversing import Conversations
from engine.responses import Responses
from engine.settings import ConversationSettings
from supervisor.jars import Seal
from tests.fakes.shared import Found
from tests.support.hostile import bounded, examples, otherwise

LOOP = asyncio.Runner()
METRICS = Metrics()
SETTINGS = ConversationSettings(mode="sticky")
PLACE = (
    '{"place": {"account": "a", "cid": "c_1", "rid": "r_1", "rcid": "rc_1", "context": ""}, "lane": "flash"}'
)
TURN = (
    '[["user", [["t", "hi"], ["b", "aGk=", "image/png", null], ["r", "http://a", "f"]], null, [], null],'
    ' ["assistant", [["t", "hello"]], null, [{"id": "1", "name": "f", "arguments": "{}"}], null]]'
)
TOLD = (
    Message("user", (Text("hi"), Blob(b"hi", "image/png"), Remote("http://a", "f"))),
    Message("assistant", (Text("hello"),), tool_calls=(ToolCall("1", "f", "{}"),)),
)
"""What that turn says."""
KEPT = f"00000001\n\n{TURN}"
ASK = Ask(
    "m", (Message("user", (Text("a"),)), Message("assistant", (Text("b"),)), Message("user", (Text("c"),)))
)


@settings(max_examples=examples(25))
@given(otherwise(PLACE))
@example(PLACE)
def test_any_kept_place_is_gone_on_in_or_not_known(stored: str) -> None:
    """Then the whole history is told anew. What this version keeps is known."""

    async def used() -> None:
        thread = await Conversations(Found(stored), SETTINGS, METRICS).thread(ASK)  # type: ignore[arg-type]
        assert thread.keep
        assert thread.place is not None or stored != PLACE
        assert thread.seen == (2 if thread.place is not None else 0)

    with bounded():
        LOOP.run(used())


@settings(max_examples=examples(25))
@given(otherwise(TURN).map(lambda text: f"00000001\n\n{text}") | otherwise(TURN))
@example(KEPT)
def test_any_kept_response_is_gone_on_from_or_not_known(stored: str) -> None:
    """What goes on from one that is known is kept, and loaded with it; what this version keeps is known."""

    async def used() -> None:
        responses = Responses(Found(stored), Seal(Secret("")), msgspec.structs.replace(SETTINGS))  # type: ignore[arg-type]
        found = await responses.load("r1", "ada")
        if stored == KEPT:
            assert found == TOLD
        assert await responses.save("r2", "ada", "r1", ASK.messages) or found is None
        expected = None if found is None else found + ASK.messages
        assert await responses.load("r2", "ada") == expected
        # Nothing went before it.
        assert await responses.save("r3", "ada", "", TOLD)
        assert await responses.load("r3", "ada") == TOLD

    with bounded():
        LOOP.run(used())
