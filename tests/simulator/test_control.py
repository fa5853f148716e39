"""The control API over HTTP, and the records that it shows."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulator import Simulator
from tests.simulator.support import OpenClient, credentials, until


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sim.control_url, trust_env=False) as client:
        yield client


async def test_accounts_are_listed_added_and_removed(
    sim: Simulator, api: httpx.AsyncClient, open_client: OpenClient
) -> None:
    """A new account works at once; a removed one is signed out, and its cookies are not taken for forged."""
    assert (await api.get("/health")).json() == {"status": "ok", "accounts": 4}
    assert [a["id"] for a in (await api.get("/accounts")).json()] == ["alice", "bob", "carol", "dave"]
    added = (await api.post("/accounts", json={"id": "erin", "tier": "free", "models": ["Flash"]})).json()
    assert added == credentials(sim, "erin")
    client = await open_client("erin")
    assert [m.model_name for m in client.list_models() or []] == ["gemini-flash"]
    assert (await api.delete("/accounts/erin")).json() == {"done": True}
    with pytest.raises(Exception, match="Status: 400"):
        await client.generate_content("Hello", current_retry=0)
    assert (await api.get("/accounts/erin")).status_code == 404


async def test_faults_are_switched_while_it_runs(
    sim: Simulator, api: httpx.AsyncClient, open_client: OpenClient
) -> None:
    """PUT sets one or several, DELETE and `ok` clear them, the account shows what is left."""
    path = "/accounts/alice/fault"
    shown = (await api.put(path, json={"kind": "http_429", "times": 2})).json()
    assert shown == [{"kind": "http", "status": 429, "code": 0, "left": 2}]
    client = await open_client()
    with pytest.raises(Exception, match="429"):
        await client.generate_content("Hello", current_retry=0)
    assert (await api.get("/accounts/alice")).json()["faults"][0]["left"] == 1
    both = (await api.put(path, json=[{"kind": "error_1037"}, {"kind": "ip_block"}])).json()
    assert [f["kind"] for f in both] == ["error", "ip_block"]
    assert (await api.put(path, json={"kind": "ok"})).json() == []
    await api.put(path, json={"kind": "stall"})
    assert (await api.delete(path)).json() == []


async def test_replies_defaults_and_cookies(
    sim: Simulator, api: httpx.AsyncClient, open_client: OpenClient
) -> None:
    """Scripts queue per account and for all, defaults are merged, cookies replaced."""
    assert (await api.post("/replies", json=[{"text": "second"}, {"text": "third"}])).json() == {"queued": 2}
    await api.post("/accounts/alice/replies", json={"text": "first", "thoughts": "why"})
    assert (await api.get("/accounts/alice")).json()["replies_queued"] == 1
    await api.put("/defaults", json={"words": 5})
    assert (await api.put("/defaults", json={"frames": 2})).json()["words"] == 5
    client = await open_client()
    said = [(await client.generate_content("x", current_retry=0)).text for _ in range(4)]
    assert said[:3] == ["first", "second", "third"]
    assert len(said[3].split()) == 8
    old = credentials(sim, "alice")
    new = (await api.post("/accounts/alice/cookies")).json()
    assert new["secure_1psid"] != old["secure_1psid"]
    assert new == credentials(sim, "alice")


async def test_the_journal_tells_what_was_asked(
    sim: Simulator, api: httpx.AsyncClient, open_client: OpenClient
) -> None:
    """Prompts in global order, counts by request kind, parallel generations; all of it can be forgotten."""
    alice, bob = await open_client("alice"), await open_client("bob")
    await api.delete("/journal")
    for client in (bob, alice, bob):
        await client.generate_content("Hello" * 100, temporary=True, current_retry=0)
    journal: list[dict[str, Any]] = (await api.get("/journal")).json()
    assert [(p["seq"], p["account"]) for p in journal] == [(1, "bob"), (2, "alice"), (3, "bob")]
    assert {(p["length"], len(p["text"]), p["outcome"], p["model"], p["temporary"]) for p in journal} == {
        (500, 200, "answered", "Flash", True)
    }
    assert len({p["sha256"] for p in journal}) == 1
    account = (await api.get("/accounts/bob")).json()
    assert account["prompts"] == len(account["recent_prompts"]) == 2
    assert account["counts"] == {"generate": 2, "rpc:ESY5D": 2, "rpc:jSf9Qc": 2}
    assert (account["running"], account["max_running"], account["open_connections"]) == (0, 1, 1)
    await bob.close()
    await until(lambda: sim.account("bob")["open_connections"] == 0)


async def test_reset_forgets_all_but_cookies(
    sim: Simulator, api: httpx.AsyncClient, open_client: OpenClient
) -> None:
    """Faults, scripts, defaults, journal and anomalies are as after the start."""
    before = sim.accounts
    client = await open_client()
    await client.generate_content("Hello", current_retry=0)
    await api.put("/accounts/alice/fault", json=[{"kind": "http_500"}, {"kind": "ip_block"}])
    await api.post("/replies", json={"text": "x"})
    await api.put("/defaults", json={"words": 50})
    sim.world.journal.anomaly("alice", "made_up", "for this test")
    assert len((await api.get("/anomalies")).json()) == 1
    assert (await api.post("/reset")).json() == {"done": True}
    assert (await api.get("/anomalies")).json() == (await api.get("/journal")).json() == []
    account = (await api.get("/accounts/alice")).json()
    assert (account["faults"], account["counts"], account["prompts"]) == ([], {}, 0)
    assert (await api.get("/defaults")).json()["words"] == 0
    assert sim.accounts == before
    assert (await client.generate_content("Hello", current_retry=0)).text.startswith("You said")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("PUT", "/accounts/alice/fault", {"kind": "nonsense"}, 400, "kind"),
        ("PUT", "/accounts/alice/fault", {"kind": "http_429", "tims": 1}, 400, "tims"),
        ("PUT", "/accounts/alice/fault", {}, 400, "kind"),
        ("PUT", "/accounts/alice/fault", [{"kind": "stall", "frames": "x"}], 400, "frames"),
        ("PUT", "/accounts/alice/fault", [1], 400, "object"),
        ("PUT", "/accounts/nobody/fault", {"kind": "ok"}, 404, "nobody"),
        ("PUT", "/defaults", {"words": -1}, 400, "words"),
        ("PUT", "/defaults", {"cut_size": 0}, 400, "cut_size"),
        ("PUT", "/defaults", {"frame_delay": -1}, 400, "frame_delay"),
        ("PUT", "/defaults", {"latency": {"page": -1}}, 400, "latency.page"),
        ("PUT", "/defaults", {"wrods": 1}, 400, "wrods"),
        ("PUT", "/defaults", [], 400, "object"),
        ("POST", "/replies", {"text": "a", "texts": ["a"]}, 400, "texts"),
        ("POST", "/replies", {"texts": []}, 400, "texts"),
        ("POST", "/replies", {"images": 99}, 400, "images"),
        ("POST", "/replies", {"first_delay": -1}, 400, "first_delay"),
        ("POST", "/accounts", {"id": "alice"}, 400, "alice"),
        ("POST", "/accounts", {"id": "no spaces"}, 400, "id"),
        ("POST", "/accounts", {"id": "x", "tier": "gold"}, 400, "tier"),
        ("POST", "/accounts", {"id": "x", "models": ["Turbo"]}, 400, "models"),
        ("POST", "/accounts", {"id": "x", "secure_1psid": "a; b"}, 400, "secure_1psid"),
        ("PUT", "/defaults", {"latency": {"pages": 1}}, 400, "latency.pages"),
        ("PUT", "/accounts/alice/fault", {"kind": "http_429", "status": 500}, 400, "status: kind http_429"),
        ("PUT", "/accounts/alice/fault", {"kind": "error_1037", "code": 1013}, 400, "code: kind error_1037"),
        ("PUT", "/accounts/alice/fault", {"kind": "http_429", "code": 1037}, 400, "code: kind http"),
        ("PUT", "/accounts/alice/fault", {"kind": "error_1013", "status": 500}, 400, "status: kind error"),
        ("PUT", "/accounts/alice/fault", {"kind": "expired", "frames": 3}, 400, "frames: kind expired"),
        ("PUT", "/accounts/alice/fault", {"kind": "http_429", "seconds": 3}, 400, "seconds: kind http"),
        ("PUT", "/accounts/alice/fault", {"kind": "stall", "form": "cid"}, 400, "form: kind stall"),
        ("PUT", "/accounts/alice/fault", {"kind": "guest", "model": "Pro"}, 400, "model: kind guest"),
        ("PUT", "/accounts/alice/fault", {"kind": "error_1013", "resets_in": 9}, 400, "resets_in: only"),
        ("PUT", "/accounts/alice/fault", {"kind": "ok", "code": 1}, 400, "code: kind ok"),
        ("POST", "/accounts/alice/cookies", {"secure_1psid": "x"}, 400, "secure_1psid"),
        ("POST", "/accounts/alice/cookies", [], 400, "object"),
        ("POST", "/accounts/alice/cookies", "x", 400, "object"),
        ("POST", "/accounts/nobody/cookies", {}, 404, "nobody"),
        ("GET", "/nowhere", None, 404, "nowhere"),
        ("PATCH", "/accounts", None, 405, "GET, POST"),
    ],
)
async def test_wrong_input_is_named(
    sim: Simulator, api: httpx.AsyncClient, method: str, path: str, body: object, status: int, named: str
) -> None:
    """400 with the field, 404 with what there is, 405 with what is allowed; nothing changes."""
    before, cookies, faults = sim.defaults, sim.accounts, sim.account("alice")["faults"]
    answer = await api.request(method, path, json=body)
    assert answer.status_code == status
    assert named in answer.json()["error"]
    assert sim.defaults == before
    assert sim.accounts == cookies
    assert sim.account("alice")["faults"] == faults


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/accounts/alice/fault"),
        ("POST", "/accounts/alice/cookies"),
        ("POST", "/accounts"),
        ("POST", "/replies"),
        ("PUT", "/defaults"),
    ],
)
async def test_a_deeply_nested_body_is_refused(
    api: httpx.AsyncClient, method: str, path: str, opening: bytes
) -> None:
    """400 that says so, as text that is no UTF-8 is; the simulator goes on."""
    closing = b"]" if opening == b"[" else b"1}"
    answer = await api.request(method, path, content=opening * 20_000 + closing * 20_000)
    assert answer.status_code == 400
    assert "body: it is nested" in answer.json()["error"]
    answer = await api.request(method, path, content=b'{"a":"\xff"}')
    assert (answer.status_code, "body" in answer.json()["error"]) == (400, True)
    assert (await api.get("/health")).status_code == 200


async def test_faults_may_repeat_what_their_kind_says(api: httpx.AsyncClient) -> None:
    """The short form beside the same number, and a field's default, contradict nothing."""
    for body in ({"kind": "http_429", "status": 429, "frames": 2}, {"kind": "ok"}):
        assert (await api.put("/accounts/alice/fault", json=body)).status_code == 200


async def test_a_body_that_is_not_json_or_not_http(sim: Simulator, api: httpx.AsyncClient) -> None:
    """Refused without harm."""
    answer = await api.put("/defaults", content=b"{")
    assert (answer.status_code, "body" in answer.json()["error"]) == (400, True)
    import asyncio

    reader, writer = await asyncio.open_connection("127.0.0.1", sim.control_port)
    writer.write(b"\x00\x01 not http\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()
    assert (await api.get("/health")).status_code == 200


ASKING = """You can call functions. They are listed between <functions> and </functions>, one JSON object a line.
<functions>
{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}
</functions>

<user>
How is the weather in Oslo?
</user>

Answer the last <user> message. Write no tags. Where a function helps, call it with a tool_call block; otherwise answer in words."""


async def test_how_the_model_does_what_it_is_told(
    sim: Simulator, api: httpx.AsyncClient, open_client: OpenClient
) -> None:
    """Right by default; a fault spoils one account's answers, so many times, the defaults everyone's, and a script's own goes
    before both. Prompts that tell nothing use nothing up."""
    alice, bob = await open_client("alice"), await open_client("bob")

    async def said(client: Any, text: str = ASKING) -> str:
        return str((await client.generate_content(text, current_retry=0)).text)

    right = await said(alice)
    assert '```tool_call\n{"name":"weather","arguments":{"city":"Oslo"}}\n```' in right
    await api.put("/accounts/alice/fault", json={"kind": "tool_reply", "form": "prose", "times": 1})
    assert "You said: Hello" in await said(alice, "Hello")
    assert await said(bob) == right
    assert "```" not in await said(alice)
    assert await said(alice) == right
    await api.put("/defaults", json={"tool_reply": "name"})
    assert "weather_of_mine" in await said(bob)
    await api.post("/replies", json=[{"tool_reply": "babble"}, {"text": "as scripted"}])
    assert (await said(bob)).endswith("42.")
    assert await said(bob) == "as scripted"
    wrong = await api.put("/accounts/alice/fault", json={"kind": "tool_reply"})
    assert (wrong.status_code, wrong.json()["error"].split(":")[0]) == (400, "form")


async def test_the_owner_empties_the_history(
    sim: Simulator, api: httpx.AsyncClient, open_client: OpenClient
) -> None:
    """The chats are gone, going on in one is refused, and that is no anomaly."""
    client = await open_client()
    chat = client.start_chat()
    await chat.send_message("Hello", current_retry=0)
    assert (await api.delete("/accounts/alice/chats")).json() == {"done": True}
    assert (await api.get("/accounts/alice")).json()["chats"] == []
    with pytest.raises(Exception, match="inconsistent"):
        await chat.send_message("Still there?", current_retry=0)
    assert (await api.get("/anomalies")).json() == []
