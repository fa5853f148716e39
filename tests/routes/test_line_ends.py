"""Characters that end a line for some clients and for JSON do not."""

import json

import openai
import pytest
from google import genai
from google.genai import types

from core.chat import Delta, Finish, Usage
from core.errors import NoAccount
from tests.fakes.edge import Edge
from tests.fakes.service import Fail

ODD = "one\u2028two\u2029three\u0085four \u2019 \u00e9"
END = Finish(Usage(1, 1), "m")
MODEL = "gemini-2.5-pro"


async def test_openai_clients_read_them(gate: Edge) -> None:
    """The text arrives as it was, with both of the SDK's clients."""
    gate.chat.say(Delta(ODD), END)
    messages = [{"role": "user", "content": "hi"}]
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key="none", max_retries=0) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ODD
    async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == ODD


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_google_clients_read_them(gate: Edge, version: str) -> None:
    """The text arrives as it was, with both of the SDK's clients."""
    gate.chat.say(Delta(ODD), END)
    options = types.HttpOptions(base_url=gate.url, api_version=version)
    with genai.Client(api_key="none", http_options=options) as client:
        chunks = list(client.models.generate_content_stream(model=MODEL, contents="hi"))
        assert "".join(chunk.text or "" for chunk in chunks) == ODD
        async with client.aio as other:
            stream = await other.models.generate_content_stream(model=MODEL, contents="hi")
            assert "".join([chunk.text or "" async for chunk in stream]) == ODD


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
        f"/v1beta/models/{MODEL}:streamGenerateContent",
    ],
)
def test_no_stream_holds_them_raw(gate: Edge, path: str) -> None:
    """Neither in content nor in the error that ends a stream, in every form of stream."""
    gate.chat.say(Delta(ODD), Fail(NoAccount(ODD)))
    body = {
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        "contents": [{"parts": [{"text": "hi"}]}],
    }
    text = gate.http.post(path, json=body).text
    assert len(text.splitlines()) == len(text.split("\n")) - text.endswith("\n")
    assert text.count("\\u2028") == 2
    assert "\u2019 \u00e9" in text
    pieces = json.loads(text) if "alt" not in path and "v1beta" in path else None
    if pieces is not None:
        assert pieces[0]["candidates"][0]["content"]["parts"][0]["text"] == ODD
