"""What answers in a gateway's or a push server's place, whatever it says: told as that, and nothing stops."""

import asyncio

from hypothesis import example, given, settings
from msgspec import Struct

from core.secret import Secret
from gateway.batching.refusals import BatchError, decoded, message_of
from gateway.client import Reply
from gateway.health import Health, told
from supervisor.bark import Bark
from supervisor.incidents import Incident
from supervisor.notes import note_of
from tests.support.hostile import bounded, examples, octets
from tests.support.web import response, site

JSON = (b'{"error": {"message": "', b'"}}', b'{"code": 200}', b'{"code": "x", "message": [', b'"\x80"', b'{"status": ', b"[", b"]", b"{", b"}")  # fmt: skip
NOTE = note_of(Incident("expired", account="alice"), "gempool")


class At(Struct):
    url: str = "http://127.0.0.1:1"


@settings(max_examples=examples(40))
@example(b'"\x80"')
@example(b"[" * 100_000)
@given(octets(*JSON))
def test_any_answer_is_a_gateways_or_not(body: bytes) -> None:
    """None, '' or BatchError, and nothing else."""
    with bounded():
        told(Reply(200, body), Health)
        assert isinstance(message_of(body), str)
        try:
            decoded(At(), body, dict[str, int])  # type: ignore[arg-type]
        except BatchError as error:
            assert "http://127.0.0.1:1" in str(error)


@settings(max_examples=examples(8))
@example(b'"\x80"')
@example(b'{"x":' * 3000)
@given(octets(*JSON))
def test_any_answer_of_a_push_server_is_a_delivery_or_a_refusal(body: bytes) -> None:
    """One outcome for each device; the server's words may be anything."""

    async def pushed() -> None:
        async with site() as web:
            web.pages["/push"] = response(body)
            bark = Bark(Secret(web.url), [Secret("phone4Key")], None, 30.0)
            try:
                [delivery] = await bark.push(NOTE)
                assert delivery.outcome in ("ok", "refused")
                assert "phone4Key" not in delivery.detail
            finally:
                await bark.close()

    with bounded():
        asyncio.run(pushed())
