"""Each misuse is refused as Google would, and recorded; no record holds a cookie."""

import json
import uuid
from typing import Any

import pytest
from curl_cffi import CurlMime
from curl_cffi.requests import AsyncSession
from curl_cffi.requests.exceptions import RequestException
from gemini_webapi import ModelInvalidError
from gemini_webapi.constants import build_model_header

from simulator import Simulator
from tests.simulator.support import Bare, OpenBare, OpenClient, credentials

GENERATE = "assistant.lamda.BardFrontendService/StreamGenerate"
BATCH = "batchexecute"
MODEL_HEADER = "x-goog-ext-525001261-jspb"


def kinds(sim: Simulator) -> list[tuple[str, str]]:
    """(account, kind) of the anomalies; proves on the way that they hold no cookie."""
    text = json.dumps([[a.account, a.kind, a.detail] for a in sim.anomalies()])
    for account in sim.accounts:
        assert account["secure_1psid"] not in text
        assert account["secure_1psidts"] not in text
    return [(a.account, a.kind) for a in sim.anomalies()]


def ask(prompt: str = "Hello", **slots: Any) -> tuple[dict[str, str], dict[str, str | None]]:
    """(form, headers) of a right generate request; `slots` overwrite the inner list, as in s45=1."""
    request_id = str(uuid.uuid4()).upper()
    inner: list[Any] = [None] * 81
    inner[0] = [prompt, 0, None, None, None, None, 0]
    inner[1], inner[2] = ["en"], ["", "", "", None, None, None, None, None, None, ""]
    inner[7], inner[59], inner[79], inner[80] = 1, request_id, 1, 1
    for slot, value in slots.items():
        inner[int(slot[1:])] = value
    headers: dict[str, str | None] = {"x-goog-ext-525005358-jspb": json.dumps([request_id, 1])}
    return {"f.req": json.dumps([None, json.dumps(inner)])}, headers


def rpc(rpcid: str = "ESY5D", payload: str = '[[["bard_activity_enabled"]]]') -> dict[str, str]:
    return {"f.req": json.dumps([[[rpcid, payload, None, "generic"]]])}


def rpc_query(rpcid: str = "ESY5D") -> dict[str, str]:
    return {"rpcids": rpcid, "source-path": "/app"}


async def test_right_bare_requests_pass(sim: Simulator, open_bare: OpenBare) -> None:
    """The ground that the rest stands on: unchanged, these requests are served."""
    bare = await open_bare()
    form, headers = ask()
    answer = await bare.post(GENERATE, form, headers=headers)
    assert answer.status_code == 200
    assert "You said: Hello" in answer.text
    assert (await bare.post(BATCH, rpc(), query=rpc_query())).status_code == 200
    assert kinds(sim) == []


@pytest.mark.parametrize("path", [GENERATE, BATCH])
@pytest.mark.parametrize(
    ("headers", "query", "at", "status", "kind"),
    [
        ({"X-Same-Domain": None}, {}, None, 400, "bad_headers"),
        ({"Origin": "https://example.com"}, {}, None, 403, "bad_headers"),
        ({"Referer": None}, {}, None, 403, "bad_headers"),
        ({"Content-Type": "application/json"}, {}, None, 400, "bad_headers"),
        ({}, {"bl": "boq_other"}, None, 400, "wrong_build"),
        ({}, {"f.sid": "123"}, None, 400, "wrong_session_id"),
        ({}, {"rt": "j"}, None, 400, "bad_request"),
        ({}, {"_reqid": "x"}, None, 400, "bad_request"),
        ({}, {}, "", 400, "wrong_token"),
        ({}, {}, "AHs6g_forged:1", 400, "wrong_token"),
    ],
)
async def test_a_request_that_no_page_sends(
    sim: Simulator,
    open_bare: OpenBare,
    path: str,
    headers: dict[str, str | None],
    query: dict[str, str],
    at: str | None,
    status: int,
    kind: str,
) -> None:
    """Headers, query values and the token are checked for prompts and RPCs alike; no prompt counts."""
    bare = await open_bare()
    form, own = ask() if path == GENERATE else (rpc(), {})
    more = rpc_query() if path == BATCH else {}
    answer = await bare.post(path, form, headers={**own, **headers}, query={**more, **query}, at=at)
    assert answer.status_code == status
    assert kinds(sim) == [("alice", kind)]
    assert sim.journal() == []


@pytest.mark.parametrize(
    "slots",
    [
        {"s0": ["", 0, None, None, None, None, 0]},
        {"s0": ["Hello"]},
        {"s0": ["Hello", 0, None, [[["/ref"], ""]], None, None, 0]},
        {"s1": None},
        {"s2": ["", "", ""]},
        {"s7": 0},
        {"s45": 2},
        {"s59": "another id"},
        {"s79": None},
        {"s80": 3},
    ],
)
async def test_a_prompt_of_the_wrong_form(sim: Simulator, open_bare: OpenBare, slots: dict[str, Any]) -> None:
    """Each slot that the library fills is checked."""
    bare = await open_bare()
    form, headers = ask(**slots)
    assert (await bare.post(GENERATE, form, headers=headers)).status_code == 400
    assert kinds(sim) == [("alice", "bad_request")]


@pytest.mark.parametrize(
    "f_req",
    ["", "not json", "[null]", '[null,"[]"]', json.dumps([None, json.dumps([None] * 80)]), '["x","[]"]'],
)
async def test_a_prompt_that_does_not_parse(sim: Simulator, open_bare: OpenBare, f_req: str) -> None:
    """Not JSON, or not 81 slots."""
    bare = await open_bare()
    _, headers = ask()
    assert (await bare.post(GENERATE, {"f.req": f_req}, headers=headers)).status_code == 400
    assert kinds(sim) == [("alice", "bad_request")]


@pytest.mark.parametrize(
    ("rpcid", "payload", "query", "kind"),
    [
        ("XXXXXX", "[]", {}, "unknown_rpc"),
        ("ESY5D", "[]", {}, "bad_request"),
        ("ESY5D", "{", {}, "bad_request"),
        ("GPRiHf", "[]", {"rpcids": "otAQ7b"}, "bad_request"),
        ("GPRiHf", "[]", {"source-path": "/elsewhere"}, "bad_request"),
    ],
)
async def test_an_rpc_that_does_not_exist_or_fit(
    sim: Simulator, open_bare: OpenBare, rpcid: str, payload: str, query: dict[str, str], kind: str
) -> None:
    """400 and a record."""
    bare = await open_bare()
    answer = await bare.post(BATCH, rpc(rpcid, payload), query={**rpc_query(rpcid), **query})
    assert answer.status_code == 400
    assert kinds(sim) == [("alice", kind)]


@pytest.mark.parametrize(
    ("cookies", "kind", "who"),
    [
        ({"__Secure-1PSIDTS": "sidts-forged"}, "wrong_cookies", "alice"),
        ({"__Secure-1PSIDTS": "bob's"}, "mixed_cookies", "alice"),
        ({"__Secure-1PSIDTS": ""}, "wrong_cookies", "alice"),
        ({"__Secure-1PSID": "g.a000forged"}, "wrong_cookies", "guest@alice"),
        ({"__Secure-1PSID": "bob's"}, "foreign_egress", "bob"),
        ({"SIDCC": "AKEyXzforeign"}, "mixed_cookies", "alice"),
        ({"NID": "525=foreign"}, "mixed_cookies", "guest@alice"),
        ({"__Secure-1PSID": None}, "wrong_cookies", "guest@alice"),
    ],
)
async def test_cookies_that_do_not_belong_together(
    sim: Simulator, open_bare: OpenBare, cookies: dict[str, str | None], kind: str, who: str
) -> None:
    """The page asks to sign in, and prompts and RPCs are refused."""
    bare = await open_bare()
    bob = {"__Secure-1PSID": "secure_1psid", "__Secure-1PSIDTS": "secure_1psidts"}
    for name, value in cookies.items():
        if value is None:
            del bare.cookies[name]
        else:
            bare.cookies[name] = credentials(sim, "bob")[bob[name]] if value == "bob's" else value
    page = await bare.get("https://gemini.google.com/app", cookies=True)
    assert "SNlM0e" not in page.text
    assert "cfb2h" not in page.text
    form, headers = ask()
    assert (await bare.post(GENERATE, form, headers=headers)).status_code == 403
    assert (await bare.post(BATCH, rpc(), query=rpc_query())).status_code == 403
    assert kinds(sim) == [(who, kind)] * 3
    assert sim.journal() == []


async def test_two_accounts_cookies_in_one_jar(sim: Simulator, open_bare: OpenBare) -> None:
    """The same name with two values."""
    bare = await open_bare()
    header = f"{bare.cookie_header()}; __Secure-1PSID={credentials(sim, 'bob')['secure_1psid']}"
    form, headers = ask()
    assert (await bare.post(GENERATE, form, headers={**headers, "Cookie": header})).status_code == 403
    assert kinds(sim) == [("guest@alice", "mixed_cookies")]


async def test_an_account_through_anothers_proxy(sim: Simulator, open_client: OpenClient) -> None:
    """The library gets no session, and the leak is on record for the account whose cookies it was."""
    with pytest.raises(Exception, match="Failed to initialize"):
        await open_client("alice", proxy=credentials(sim, "bob")["proxy"])
    assert set(kinds(sim)) == {("alice", "foreign_egress")}


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1", "http://alice:wrong@127.0.0.1", "http://mallory:x@127.0.0.1"]
)
async def test_a_proxy_credential_is_needed(sim: Simulator, proxy: str) -> None:
    """407 without one, with a wrong one and with an unknown one."""
    async with AsyncSession(proxy=f"{proxy}:{sim.proxy_port}", verify=sim.ca_file) as session:
        with pytest.raises(RequestException, match="407"):
            await session.get("https://gemini.google.com/app")
    assert kinds(sim)[0] == ("", "proxy_auth")


async def test_the_proxy_leads_to_the_web_app_only(sim: Simulator, open_bare: OpenBare) -> None:
    """Another host or path is refused."""
    bare = await open_bare(page=False)
    with pytest.raises(RequestException, match="403"):
        await bare.get("https://example.com/")
    assert (await bare.get("https://gemini.google.com/unknown")).status_code == 404
    plain = AsyncSession(proxy=credentials(sim, "alice")["proxy"])
    assert (await plain.get("http://gemini.google.com/app")).status_code == 405
    await plain.close()
    assert [kind for _, kind in kinds(sim)] == ["unknown_host", "unknown_path", "bad_proxy_use"]


@pytest.mark.parametrize(
    ("account", "model", "tail", "number", "body_number"),
    [
        ("alice", "nonsense", 2, 1, 1),
        ("alice", "fbb127bbb056c959", 2, 1, 1),
        ("alice", "56fdd199312815e2", 1, 1, 1),
        ("alice", "56fdd199312815e2", 2, 3, 3),
        ("alice", "e6fa609c3fa255c0", 2, 3, 1),
        ("dave", "9d8ca3786ebdfbea", 1, 3, 3),
    ],
)
async def test_a_model_that_the_tier_does_not_have(
    sim: Simulator, open_bare: OpenBare, account: str, model: str, tail: int, number: int, body_number: int
) -> None:
    """Unknown id, another tier's id, wrong capacity, wrong number, a model left out: error 1052."""
    bare = await open_bare(account)
    form, headers = ask(s79=body_number)
    selector = json.loads(build_model_header(model, tail, number)[MODEL_HEADER])
    headers[MODEL_HEADER] = json.dumps([*selector, 1, "SESSION"])
    answer = await bare.post(GENERATE, form, headers=headers)
    assert (answer.status_code, "[1052]" in answer.text) == (200, True)
    assert kinds(sim) == [(account, "bad_model")]


async def test_a_chat_of_another_account(sim: Simulator, open_client: OpenClient) -> None:
    """It cannot be continued, read or deleted; a deleted one is gone for its owner as well."""
    alice, bob = await open_client("alice"), await open_client("bob")
    chat = alice.start_chat()
    await chat.send_message("Mine", current_retry=0)
    stolen = bob.start_chat(metadata=list(chat.metadata))
    with pytest.raises(Exception, match="inconsistent"):
        await stolen.send_message("Yours?", current_retry=0)
    bob = await open_client("bob")
    assert await bob.read_chat(chat.cid) is None
    await bob._batch_execute([_rpc_data("GzXR5e", json.dumps([chat.cid]))])
    assert sim.account("alice")["chats"] != []
    assert kinds(sim) == [("bob", "foreign_chat")] * 3
    sim.clear_anomalies()
    await alice.delete_chat(chat.cid)
    with pytest.raises(Exception, match="inconsistent"):
        await chat.send_message("Still there?", current_retry=0)
    assert kinds(sim) == [("alice", "foreign_chat")]


def _rpc_data(rpcid: str, payload: str) -> Any:
    from gemini_webapi.types import RPCData

    return RPCData(rpcid=rpcid, payload=payload)


async def upload(bare: Bare, **headers: str) -> Any:
    mime = CurlMime()
    mime.addpart(name="file", content_type="text/plain", filename="a.txt", data=b"text")
    sent = {"Push-ID": bare.page["qKIAYe"], "X-Tenant-Id": "bard-storage", **headers}
    try:
        return await bare.session.post(
            "https://content-push.googleapis.com/upload", headers=sent, multipart=mime
        )
    finally:
        mime.close()


async def test_an_upload_of_another_account(sim: Simulator, open_bare: OpenBare) -> None:
    """A reference serves the account that uploaded it; an invented one serves nobody."""
    alice, bob = await open_bare("alice"), await open_bare("bob")
    reference = (await upload(alice)).text
    assert reference.startswith("/contrib_service/ttl_1d/")
    for bare, ref in ((bob, reference), (alice, "/contrib_service/ttl_1d/1invented")):
        form, headers = ask(s0=["Read", 0, None, [[[ref], "a.txt"]], None, None, 0])
        assert (await bare.post(GENERATE, form, headers=headers)).status_code == 400
    assert kinds(sim) == [("bob", "foreign_upload"), ("alice", "foreign_upload")]


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"Push-ID": "feeds/unknown"}, 403, "wrong_push_id"),
        ({"X-Tenant-Id": "other"}, 400, "bad_headers"),
        ({"Cookie": "__Secure-1PSID=x"}, 400, "leaked_cookies"),
    ],
)
async def test_an_upload_that_is_not_the_web_apps(
    sim: Simulator, open_bare: OpenBare, headers: dict[str, str], status: int, kind: str
) -> None:
    """Push id, tenant and cookies are checked."""
    assert (await upload(await open_bare(), **headers)).status_code == status
    assert [k for _, k in kinds(sim)] == [kind]


async def test_an_upload_through_anothers_proxy(sim: Simulator, open_bare: OpenBare) -> None:
    """The push id names the account, though no cookie travels."""
    alice, bob = await open_bare("alice"), await open_bare("bob")
    assert (await upload(bob, **{"Push-ID": alice.page["qKIAYe"]})).status_code == 403
    assert kinds(sim) == [("alice", "foreign_egress")]


async def test_a_picture_of_another_account(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare
) -> None:
    """Its url works through the owner's egress only, and gives nothing away to a host without cookies."""
    answer = await (await open_client("alice")).generate_content("Draw a picture of a bird", current_retry=0)
    url = answer.images[0].url + "=s1024-rj"
    assert (await (await open_bare("bob")).get(url)).status_code == 403
    assert (await (await open_bare("alice")).get(url, cookies=True)).status_code == 400
    assert kinds(sim) == [("alice", "foreign_image"), ("alice", "leaked_cookies")]


async def test_too_many_generations_at_once(sim: Simulator, open_bare: OpenBare) -> None:
    """One more than the limit is a 429 and on record."""
    sim.set_defaults(max_parallel=2, first_delay=0.5)
    import asyncio

    bares = [await open_bare() for _ in range(3)]
    requests = []
    for bare in bares:
        form, headers = ask()
        requests.append(bare.post(GENERATE, form, headers=headers))
    answers = await asyncio.gather(*requests)
    assert sorted(a.status_code for a in answers) == [200, 200, 429]
    assert kinds(sim) == [("alice", "too_parallel")]


@pytest.mark.parametrize(
    ("body", "content_type", "origin"),
    [
        ('[0,"-0000000000000000000"]', "application/json", "https://accounts.google.com"),
        ('[000,"-0000000000000000000"]', "text/plain", "https://accounts.google.com"),
        ('[000,"-0000000000000000000"]', "application/json", "https://gemini.google.com"),
    ],
)
async def test_a_rotation_that_is_not_the_web_apps(
    sim: Simulator, open_bare: OpenBare, body: str, content_type: str, origin: str
) -> None:
    """The body is checked to the byte; the cookie stays."""
    bare = await open_bare()
    before = credentials(sim, "alice")["secure_1psidts"]
    answer = await bare.session.post(
        "https://accounts.google.com/RotateCookies",
        data=body,
        headers={"Content-Type": content_type, "Origin": origin, "Cookie": bare.cookie_header()},
    )
    assert answer.status_code == 400
    assert kinds(sim) == [("alice", "bad_rotation")]
    assert credentials(sim, "alice")["secure_1psidts"] == before


@pytest.mark.parametrize(
    "path", ["gg-dl/never-made=s1024-rj", "gg/never-made", "nothing/of/the/kind?x=1", ""]
)
@pytest.mark.parametrize("host", ["lh3.googleusercontent.com", "encrypted-tbn0.gstatic.com"])
async def test_cookies_leak_also_where_there_is_no_picture(
    sim: Simulator, open_bare: OpenBare, host: str, path: str
) -> None:
    """A host that must not see the cookies has seen them, whatever it was asked for."""
    alice = await open_bare("alice")
    assert (await alice.get(f"https://{host}/{path}")).status_code == 404
    assert kinds(sim) == []
    assert (await alice.get(f"https://{host}/{path}", cookies=True)).status_code == 404
    assert [kind for _, kind in kinds(sim)] == ["leaked_cookies"]


async def test_a_place_is_taken_as_it_was_given(sim: Simulator, open_client: OpenClient) -> None:
    """A turn that is not the chat's, another turn's answer and another turn's context are refused and on record; an
    older turn with all that is its own begins a branch."""
    alice = await open_client("alice")
    chat = alice.start_chat()
    await chat.send_message("One", current_retry=0)
    first = list(chat.metadata)
    await chat.send_message("Two", current_retry=0)
    second = list(chat.metadata)
    wrong = (
        [first[0], "r_0123456789abcdef", *first[2:]],
        [*first[:2], second[2], *first[3:]],
        [*first[:9], second[9]],
        [*first[:9], ""],
    )
    for metadata in wrong:
        with pytest.raises(ModelInvalidError):
            await alice.start_chat(metadata=metadata).send_message("Three", current_retry=0)
    assert kinds(sim) == [("alice", "wrong_place")] * 4
    branch = alice.start_chat(metadata=first)
    await branch.send_message("Another two", current_retry=0)
    seen = sim.conversation("alice", chat.cid, branch.rid)
    assert [prompt for prompt, _ in seen] == ["One", "Another two"]
