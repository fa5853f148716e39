"""Conversations as another version kept them: gone on with, or not known; no request fails of them."""

import asyncio

import msgspec
from hypothesis import given, settings

from core.chat import Ask, Message, Text
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
    '[{"role": "user", "parts": [{"type": "_Text", "text": "hi"}, {"type": "_Blob", "data": "aGk=", "mime": "image/png", "name": null},'
    ' {"type": "_Remote", "url": "http://a", "field": "f"}], "name": null, "calls": [{"id": "1", "name": "f", "arguments": "{}"}], "call": null}]'
)
ASK = Ask(
    "m", (Message("user", (Text("a"),)), Message("assistant", (Text("b"),)), Message("user", (Text("c"),)))
)


@settings(max_examples=examples(25))
@given(otherwise(PLACE))
def test_any_kept_place_is_gone_on_in_or_not_known(stored: str) -> None:
    """Then the whole history is told anew."""

    async def used() -> None:
        thread = await Conversations(Found(stored), SETTINGS, METRICS).thread(ASK)  # type: ignore[arg-type]
        assert thread.keep
        assert thread.seen == (2 if thread.place is not None else 0)

    with bounded():
        LOOP.run(used())


@settings(max_examples=examples(25))
@given(otherwise(TURN).map(lambda text: f"00000001\n\n{text}") | otherwise(TURN))
def test_any_kept_response_is_gone_on_from_or_not_known(stored: str) -> None:
    """What goes on from it is kept, or is not."""

    async def used() -> None:
        responses = Responses(Found(stored), Seal(Secret("")), msgspec.structs.replace(SETTINGS))  # type: ignore[arg-type]
        found = await responses.load("r1", "ada")
        assert found is None or all(isinstance(message, Message) for message in found)
        await responses.save("r2", "ada", "r1", ASK.messages)

    with bounded():
        LOOP.run(used())
