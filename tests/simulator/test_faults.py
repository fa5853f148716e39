"""Every fault, seen through the unmodified library: the outcomes of section 9 of the upstream's notes."""

import asyncio
import time
from typing import Any

import pytest
from curl_cffi.requests.exceptions import ConnectionError as CurlConnectionError
from curl_cffi.requests.exceptions import HTTPError, RequestException
from gemini_webapi import APIError, AuthError, GeminiClient
from gemini_webapi.constants import AccountStatus
from gemini_webapi.exceptions import ModelInvalidError, TemporarilyBlockedError, UsageLimitExceededError
from gemini_webapi.utils import rotate_1psidts

from simulator import ControlError, Fault, Simulator, fault
from tests.simulator.support import OpenBare, OpenClient, until


async def stream(client: GeminiClient, into: list[str], prompt: str = "Hello") -> None:
    async for output in client.generate_content_stream(prompt, current_retry=0):
        into += [output.text_delta or ""]


@pytest.mark.parametrize(
    ("bad", "error", "message", "prompts"),
    [
        (fault("http_429"), APIError, "Status: 429", 1),
        (fault("http_500"), APIError, "Status: 500", 1),
        (fault("http_503"), APIError, "Status: 503", 1),
        (fault("expired"), APIError, "Status: 400", 1),
        (fault("expired", status=401), APIError, "Status: 401", 1),
        (fault("error_1060"), TemporarilyBlockedError, "blocked", 1),
        (fault("ip_block"), TemporarilyBlockedError, "blocked", 1),
        (fault("error_1037"), UsageLimitExceededError, "Usage limit exceeded", 1),
        (fault("error_1050"), ModelInvalidError, "inconsistent", 1),
        (fault("error_1052"), ModelInvalidError, "unavailable", 1),
        (fault("error_1013"), APIError, "1013", 1),
        (fault("error_1099"), APIError, "Unknown API error code: 1099", 1),
        (fault("garbage", form="html"), APIError, "silently aborted", 1),
        (fault("garbage", form="frame"), APIError, "silently aborted", 1),
        (fault("garbage", form="bytes"), APIError, "silently aborted", 1),
        (fault("empty", form="bare"), APIError, "silently aborted", 1),
        (fault("drop_before_first"), APIError, "ConnectionError", 2),
        (fault("status", code=1021, status=403), APIError, "Status: 403", 1),
    ],
    ids=lambda value: (
        "-".join(filter(None, (value.kind, str(value.code or value.status or ""), value.form)))
        if isinstance(value, Fault)
        else ""
    ),
)
async def test_a_fault_without_content(
    sim: Simulator, open_client: OpenClient, bad: Fault, error: type[Exception], message: str, prompts: int
) -> None:
    """Nothing is answered; libcurl itself sends a prompt again where a kept connection broke."""
    client = await open_client()
    sim.set_fault("alice", bad)
    deltas: list[str] = []
    with pytest.raises(error, match=message):
        await stream(client, deltas)
    assert deltas == []
    assert len(sim.journal()) == prompts
    assert sim.account("alice")["running"] == 0
    sim.clear_fault("alice")
    client = await open_client()
    await stream(client, deltas)
    assert sim.anomalies() == []


async def test_a_stream_that_breaks_off(sim: Simulator, open_client: OpenClient) -> None:
    """The frames before the break arrive."""
    client = await open_client()
    sim.set_fault("alice", fault("drop_mid", frames=3))
    deltas: list[str] = []
    with pytest.raises(APIError, match="ConnectionError"):
        await stream(client, deltas)
    assert (
        "".join(deltas) == "You said: Hello\n\nThat is all there is to say about it."[: len("".join(deltas))]
    )
    assert len("".join(deltas)) > 20
    assert [p.outcome for p in sim.journal()] == ["fault:drop_mid"]


async def test_a_stall_is_silence(sim: Simulator, open_client: OpenClient) -> None:
    """After the given frames nothing comes and the connection stays."""
    client = await open_client()
    sim.set_fault("alice", fault("stall", frames=2))
    deltas: list[str] = []
    task = asyncio.create_task(stream(client, deltas))
    await until(lambda: len(deltas) == 2)
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    assert len(deltas) == 2
    assert sim.account("alice")["running"] == 1
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
    await until(lambda: sim.account("alice")["running"] == 0)
    assert sim.journal()[-1].outcome == "fault:stall,aborted"


@pytest.mark.parametrize("bad", [fault("truncate", frames=2), fault("empty", form="cid")])
async def test_an_answer_that_is_not_in_the_history_is_looked_for(
    sim: Simulator, open_client: OpenClient, bad: Fault
) -> None:
    """The library reads the chat back in vain and keeps on polling."""
    client = await open_client()
    sim.set_fault("alice", bad)
    deltas: list[str] = []
    task = asyncio.create_task(stream(client, deltas))
    await until(lambda: sim.world.accounts.get("alice").journal.counts["rpc:hNvQHb"] == 1)  # type: ignore[union-attr]
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    assert len(deltas) == (2 if bad.kind == "truncate" else 0)
    task.cancel()
    await asyncio.wait([task])


async def test_a_truncated_answer_can_be_recovered(sim: Simulator, open_client: OpenClient) -> None:
    """Where the history has it, the library completes the stream from there."""
    client = await open_client()
    sim.set_fault("alice", fault("truncate", frames=2, form="recoverable"))
    deltas: list[str] = []
    await stream(client, deltas)
    assert "".join(deltas) == "You said: Hello\n\nThat is all there is to say about it."
    assert len(sim.journal()) == 1


async def test_a_first_token_may_be_slow(sim: Simulator, open_client: OpenClient) -> None:
    """The head comes at once, the content after the delay."""
    client = await open_client()
    sim.set_fault("alice", fault("slow_first_token", seconds=0.4))
    began = time.monotonic()
    deltas: list[str] = []
    task = asyncio.create_task(stream(client, deltas))
    await until(lambda: bool(deltas))
    assert 0.4 <= time.monotonic() - began < 2
    await task


async def test_times_and_probability(sim: Simulator, open_client: OpenClient) -> None:
    """A fault may fire a number of times, or now and then."""
    client = await open_client()
    sim.set_fault("alice", fault("error_1013", times=1))
    with pytest.raises(APIError):
        await client.generate_content("Hello", current_retry=0)
    client = await open_client()
    await client.generate_content("Hello", current_retry=0)
    assert sim.account("alice")["faults"] == []
    sim.set_fault("alice", fault("garbage", probability=0.5))
    outcomes = []
    for _ in range(12):
        try:
            await client.generate_content("Hello", current_retry=0)
            outcomes.append(True)
        except APIError:
            outcomes.append(False)
    assert set(outcomes) == {True, False}


async def test_an_expired_account_is_signed_out_everywhere(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare
) -> None:
    """Page, RPCs, rotation and pictures; a running client learns of it from a parsed RPC."""
    client = await open_client()
    sim.set_fault("alice", fault("expired"))
    with pytest.raises(AuthError):
        await open_client()
    await client._fetch_user_status()
    assert client.account_status == AccountStatus.UNAUTHENTICATED
    with pytest.raises(AuthError):
        await rotate_1psidts(client.client)
    sim.set_fault("alice", fault("expired", form="401"))
    with pytest.raises(APIError, match="401"):
        await client._batch_execute([_status_rpc()], close_on_error=False, current_retry=0)
    assert sim.anomalies() == []


def _status_rpc() -> Any:
    from gemini_webapi.types import RPCData

    return RPCData(rpcid="otAQ7b", payload="[]")


async def test_a_guests_page_gives_no_token(sim: Simulator, open_client: OpenClient) -> None:
    """Init succeeds, the status is 1016, the default model answers and the others are not for guests."""
    running = await open_client()
    sim.set_fault("alice", fault("guest"))
    client = await open_client()
    assert (client.access_token, client._cookie_source) == (None, "Base Cookies")
    assert client.account_status == AccountStatus.UNAUTHENTICATED
    assert [m.is_available for m in client.list_models() or []] == [True, False, False]
    for one in (client, running):
        assert (await one.generate_content("Hello", current_retry=0)).text.startswith("You said: Hello")
    assert sim.account("alice")["chats"] == []
    assert sim.anomalies() == []


@pytest.mark.parametrize("code", [1014, 1016, 1021, 1033, 1040, 1042, 1054, 1057, 1060])
async def test_an_account_status(sim: Simulator, open_client: OpenClient, code: int) -> None:
    """Init is told the code."""
    sim.set_fault("alice", fault("status", code=code))
    client = await open_client()
    assert client.account_status == AccountStatus(code)


async def test_a_usage_limit_hits_one_model_until_its_reset(sim: Simulator, open_client: OpenClient) -> None:
    """The other models answer; the usage and quota RPCs tell the reset time."""
    sim.set_fault("alice", fault("error_1037", model="gemini-pro", resets_in=3600))
    client = await open_client()
    with pytest.raises(UsageLimitExceededError, match=r"gemini-pro.*resets at"):
        await client.generate_content("Hello", model="gemini-pro", current_retry=0)
    assert (await (await open_client()).generate_content("Hello", model="gemini-flash", current_retry=0)).text
    assert client.quotas["1-4"]["usage_percentage"] == 100
    assert client.quotas["1-11"]["usage_percentage"] == 4
    assert abs(client.quotas["1-4"]["reset_time"] - time.time() - 3600) < 30
    assert client.usage_info["current_5h"]["usage_percentage"] == 100


async def test_an_rpc_may_fail_after_a_good_answer(sim: Simulator, open_client: OpenClient) -> None:
    """The answer was complete; the usage call afterwards sinks the client."""
    client = await open_client()
    sim.set_fault("alice", fault("rpc_fail", on=("rpc:jSf9Qc",), status=500, times=1))
    deltas: list[str] = []
    task = asyncio.create_task(stream(client, deltas))
    await until(lambda: "about it." in "".join(deltas))
    await until(lambda: sim.account("alice")["faults"] == [])
    assert not task.done()
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
    assert [p.outcome for p in sim.journal()] == ["answered"]


async def test_an_rpc_may_be_refused_inside_a_200(sim: Simulator, open_client: OpenClient) -> None:
    """7 turns a running client's status to unauthenticated."""
    client = await open_client()
    sim.set_fault("alice", fault("rpc_fail", on=("rpc:jSf9Qc",)))
    await client._fetch_usage_info()
    assert client.account_status == AccountStatus.UNAUTHENTICATED


@pytest.mark.parametrize(("bad", "number"), [("refuse_connect", 7), ("tls_broken", 35)])
async def test_the_connection_may_fail(
    sim: Simulator, open_client: OpenClient, bad: str, number: int
) -> None:
    """Open connections are reset and new ones refused, for every account of the egress."""
    client = await open_client("carol")
    sim.set_fault("dave", fault(bad))
    with pytest.raises(RequestException, match=rf"\({number}\)"):
        await client.generate_content("Hello", current_retry=0)
    with pytest.raises(RequestException, match=rf"\({number}\)"):
        await open_client("carol")
    assert (await (await open_client("alice")).generate_content("Hello", current_retry=0)).text
    sim.clear_fault("dave")
    assert (await (await open_client("carol")).generate_content("Hello", current_retry=0)).text
    assert sim.anomalies() == []


async def test_an_ip_block_hits_the_egress(sim: Simulator, open_client: OpenClient) -> None:
    """Every account behind it, and no other."""
    sim.set_fault("carol", fault("ip_block"))
    with pytest.raises(TemporarilyBlockedError):
        await open_client("dave")
    assert (await open_client("alice")).access_token


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("http_429", TemporarilyBlockedError),
        ("http_500", HTTPError),
        ("drop_before_first", CurlConnectionError),
    ],
)
async def test_the_page_may_fail(
    sim: Simulator, open_client: OpenClient, kind: str, error: type[Exception]
) -> None:
    """`on` moves a fault to other requests."""
    sim.set_fault("alice", fault(kind, on=("page",)))
    with pytest.raises(error):
        await open_client()


async def test_bodies_and_heads_may_be_slow(sim: Simulator, open_client: OpenClient) -> None:
    """slow_body stretches the body, latency holds the head back."""
    client = await open_client()
    sim.set_fault("alice", fault("slow_body", seconds=0.3), fault("latency", seconds=0.2, on=("rpc:jSf9Qc",)))
    began = time.monotonic()
    await client._fetch_usage_info()
    assert 0.45 <= time.monotonic() - began < 3


async def test_a_rotation_may_bring_nothing(sim: Simulator, open_client: OpenClient) -> None:
    """200 without a cookie: the library returns the old value as if it were new."""
    client = await open_client()
    before = sim.accounts[0]["secure_1psidts"]
    sim.set_fault("alice", fault("rotate_empty"))
    assert await rotate_1psidts(client.client) == before == sim.accounts[0]["secure_1psidts"]


@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [
        ("nonsense", {}, "kind"),
        ("http", {}, "status"),
        ("error", {}, "code"),
        ("ok", {"times": 0}, "times"),
        ("stall", {"frames": -1}, "frames"),
        ("http_500", {"on": ("pages",)}, "on"),
        ("stall", {"on": ("page",)}, "on"),
        ("garbage", {"form": "poem"}, "form"),
        ("ok", {"probability": 0.0}, "probability"),
    ],
)
def test_a_wrong_fault_names_its_field(kind: str, fields: dict[str, object], named: str) -> None:
    """So that a typo in a drill is found at once."""
    with pytest.raises(ControlError, match=named):
        fault(kind, **fields)
