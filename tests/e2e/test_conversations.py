"""Conversations of real clients over two real gateways on one store."""

from typing import Any

from tests.support.metrics import metric
from tests.support.processes import Gateways, Web
from tests.support.sdks import Sdks

MODEL = "gemini-3-flash-preview"


def prompts(web: Web) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = web.call("GET", "/journal")
    return found


def test_a_sticky_conversation_over_two_gateways(
    upstream: Web, gateways: Gateways, sdks: Sdks, empty_valkey: str
) -> None:
    """In turn to both: one chat, only what is new goes up; a stop of its account is not seen by the caller, and another
    key goes on in no chat of this one."""
    options: dict[str, Any] = {
        "REDIS_URL": empty_valkey,
        "API_KEY": "sk-ada-0123456789,sk-bob-0123456789",
        "gempool__conversations__mode": "sticky",
    }
    pair = [gateways.start(**options).ready() for _ in range(2)]
    ada = [sdks.openai(gateway, "sk-ada-0123456789") for gateway in pair]
    messages: list[Any] = []
    for n, text in enumerate(("My name is Ada", "What is my name?", "Thank you")):
        messages.append({"role": "user", "content": text})
        answer = ada[n % 2].chat.completions.create(model=MODEL, messages=messages)
        messages.append({"role": "assistant", "content": answer.choices[0].message.content})
    first, second, third = prompts(upstream)
    assert [p["text"] for p in (first, second, third)] == ["My name is Ada", "What is my name?", "Thank you"]
    assert first["cid"] == second["cid"] == third["cid"]
    assert (second["after"], third["after"]) == (first["rid"], second["rid"])

    again = [*messages, {"role": "user", "content": "Once more"}]
    sdks.openai(pair[0], "sk-bob-0123456789").chat.completions.create(model=MODEL, messages=again)
    assert prompts(upstream)[-1]["cid"] != first["cid"]

    upstream.fault(first["account"], "http_500")
    answer = ada[1].chat.completions.create(model=MODEL, messages=again)
    assert "My name is Ada" in str(answer.choices[0].message.content)
    assert prompts(upstream)[-1]["account"] != first["account"]
    replayed = [g.get("/metrics", headers={"x-api-key": "sk-ada-0123456789"}).text for g in pair]
    assert metric(replayed[0], "gempool_conversations_total", course="continued") == 1
    assert metric(replayed[1], "gempool_conversations_total", course="replayed") == 1
