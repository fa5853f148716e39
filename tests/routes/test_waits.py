"""Errors that tell a wait: what programs and people are told to do meanwhile."""

import openai
import pytest

from core.errors import GatewayError, NoAccount, PoolBusy, UpstreamFailed, UsedUp
from tests.fakes.edge import Edge
from tests.fakes.service import Fail

CHAT = "/v1/chat/completions"
GENERATE = "/v1beta/models/gemini-2.5-pro:generateContent"
BODY = {"messages": [{"role": "user", "content": "hi"}], "contents": [{"parts": [{"text": "hi"}]}]}
LONG = [
    UsedUp("The usage limit of 'm' is reached on every account. The first resets at 9.", retry_after=7200),
    PoolBusy("The upstream throttles every account.", retry_after=120.5),
    NoAccount("No account can serve this model now.", retry_after=1800),
    UpstreamFailed("All failed.", retry_after=300),
]
SHORT = [
    UsedUp("The usage limit of 'm' is reached.", retry_after=120),
    PoolBusy("Busy.", retry_after=3),
    NoAccount("None.", retry_after=119.5),
]


@pytest.mark.parametrize("path", [CHAT, GENERATE])
@pytest.mark.parametrize("error", LONG, ids=lambda error: error.code)
def test_a_wait_beyond_two_minutes_is_not_for_programs(gate: Edge, path: str, error: GatewayError) -> None:
    """`x-should-retry: false` beside the true `Retry-After`, and the body names the wait as well."""
    gate.chat.say(Fail(error))
    response = gate.http.post(path, json=BODY)
    assert response.status_code == error.status
    assert response.headers["x-should-retry"] == "false"
    assert error.retry_after is not None
    assert 0 <= int(response.headers["retry-after"]) - error.retry_after < 1
    assert f"{response.headers['retry-after']}s" in response.json()["error"]["message"]
    assert "busy" not in response.text
    if path == GENERATE:
        assert response.json()["error"]["details"][0]["retryDelay"] == f"{response.headers['retry-after']}s"


@pytest.mark.parametrize("path", [CHAT, GENERATE])
@pytest.mark.parametrize("error", SHORT, ids=lambda error: error.code)
def test_a_shorter_wait_means_come_back_then(gate: Edge, path: str, error: GatewayError) -> None:
    """Nothing keeps a program from waiting and asking again."""
    gate.chat.say(Fail(error))
    assert "x-should-retry" not in gate.http.post(path, json=BODY).headers


def test_the_openai_sdk_gives_up_at_once(gate: Edge) -> None:
    """It asks once and tells its user the limit."""
    gate.chat.say(Fail(LONG[0]))
    with (
        openai.OpenAI(base_url=f"{gate.url}/v1", api_key="none", max_retries=2) as client,
        pytest.raises(openai.RateLimitError, match="usage limit"),
    ):
        client.chat.completions.create(model="gemini-2.5-pro", messages=[{"role": "user", "content": "hi"}])
    assert len(gate.chat.asks) == 1
