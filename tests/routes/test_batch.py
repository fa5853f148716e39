"""Batches over HTTP: taken in, listed, cancelled, and whose they are. What is told of one is in `test_batch_status`."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from access import Rate
from core.chat import PictureWish
from core.errors import StoreUnavailable
from engine.service import BatchOrder
from routes import EdgeSettings
from tests.fakes.batches import HERE, FakeBatches, failed, well
from tests.fakes.edge import Edge, edge

IMAGES, CHAT = "/v1/batch/images", "/v1/batch/chat"
ONE, TWO = {"authorization": "Bearer one"}, {"x-api-key": "two"}
ADMIN = {"x-admin-key": "root"}
PROMPTS = ["a fox", "a hen"]


@pytest.fixture(scope="module")
def batches() -> FakeBatches:
    return FakeBatches()


@pytest.fixture(scope="module")
def working(batches: FakeBatches) -> Iterator[Edge]:
    with edge(settings=EdgeSettings(body_limit=2_000_000, batch_tasks=500), batches=batches) as found:
        yield found


@pytest.fixture
def gate(working: Edge, batches: FakeBatches) -> Edge:
    """The edge, open to this machine, with batches as new."""
    batches.reset()
    working.chat.reset()
    return working


@pytest.fixture(scope="module")
def keyed(batches: FakeBatches) -> Iterator[Edge]:
    """The same for two keys and an admin key."""
    with edge(api_key="one,two", admin_key="root", batches=batches) as found:
        yield found


def post(gate: Edge, path: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return gate.http.post(path, json={"prompts": PROMPTS, **body}, headers=headers)


def test_prompts_become_a_batch_of_pictures(gate: Edge, batches: FakeBatches) -> None:
    """202 with the batch's id and where to look; the order says all that was asked for."""
    response = post(gate, IMAGES)
    assert response.status_code == 202
    found = response.json()
    assert found["message"].startswith("The batch is taken in.")
    assert {**found, "message": ""} == {"batch_id": "batch_2", "total": 2, "status": "queued", "message": ""}
    assert response.headers["location"] == "/v1/batch/batch_2/status"
    assert "idempotent-replayed" not in response.headers
    assert batches.orders == [
        BatchOrder(
            kind="images",
            model="gemini-3-pro-image-preview",
            prompts=("a fox", "a hen"),
            form="url",
            concurrency=2,
            owner=HERE,
            caller="ip:127.0.0.1",
            wish=PictureWish(pixels=2048, link=True),
        )
    ]
    assert gate.http.get(response.headers["location"]).json()["progress"] == "0/2"


def test_a_batch_of_pictures_takes_what_other_picture_requests_take(gate: Edge, batches: FakeBatches) -> None:
    """Size, format, enlarging and the logo; pictures are always stored, also those that are told as data."""
    fields: dict[str, Any] = {
        "model": "models/Gemini-2.5-Flash-Image",
        "size": "1536x1024",
        "output_format": "webp",
        "output_compression": 70,
        "upscale": True,
        "watermark": "keep",
        "response_type": "base64",
        "concurrency": 16,
    }
    assert post(gate, IMAGES, **fields).status_code == 202
    [order] = batches.orders
    assert (order.model, order.form, order.concurrency) == ("gemini-2.5-flash-image", "base64", 16)
    assert order.wish == PictureWish("3:2", 2048, "image/webp", 70, True, True, True)
    gate.http.post(f"{IMAGES}?watermark=keep", json={"prompts": ["x"], "aspect_ratio": "16:9"})
    assert batches.orders[1].wish == PictureWish("16:9", 2048, keep_watermark=True, link=True)


def test_prompts_become_a_batch_of_texts(gate: Edge, batches: FakeBatches) -> None:
    """In the same form, for the default model of texts."""
    response = post(gate, CHAT)
    assert response.status_code == 202
    [order] = batches.orders
    assert (order.kind, order.model, order.form, order.wish) == (
        "chat",
        "gemini-3-flash-preview",
        "text",
        None,
    )
    assert post(gate, CHAT, model="gemini-2.5-pro").status_code == 202
    assert batches.orders[1].model == "gemini-2.5-pro"


def test_a_large_batch_is_understood_whole(gate: Edge, batches: FakeBatches) -> None:
    """Prompts arrive as they were written, in their order."""
    prompts = [f'{number} "\\ \u72d0 \U0001f98a\n' * 50 for number in range(500)]
    assert post(gate, CHAT, prompts=prompts).json()["total"] == 500
    assert list(batches.orders[0].prompts) == prompts


def test_a_bound_below_the_usual_concurrency_is_the_usual_one(batches: FakeBatches) -> None:
    """Who names none gets what there is."""
    batches.reset()
    with edge(settings=EdgeSettings(batch_concurrency=1), batches=batches) as found:
        assert post(found, CHAT).status_code == 202
        assert batches.orders[0].concurrency == 1
        assert "from 1 to 1, not 2" in post(found, CHAT, concurrency=2).text


@pytest.mark.parametrize("path", [IMAGES, CHAT])
@pytest.mark.parametrize(
    ("body", "status", "param", "remedy"),
    [
        ({"prompts": None}, 400, "prompts", "expected array"),
        ({"prompts": "a fox"}, 400, "prompts", "expected array"),
        ({"prompts": []}, 400, "prompts", "Add at least one"),
        ({"prompts": ["a", "b", 3]}, 400, "prompts[2]", "expected str"),
        ({"prompts": ["a", "b", "c", " \n"]}, 400, "prompts[3]", "Write what"),
        ({"prompts": ["a"] * 501}, 413, "prompts", "at most 500"),
        ({"concurrency": 0}, 400, "concurrency", "from 1 to 16, not 0"),
        ({"concurrency": 17}, 400, "concurrency", "from 1 to 16, not 17"),
        ({"concurrency": True}, 400, "concurrency", "expected int"),
        ({"concurrency": "2"}, 400, "concurrency", "expected int"),
        ({"model": " "}, 400, "model", "Name a model"),
        ({"model": "gpt-9"}, 404, "model", "Known models"),
    ],
)
def test_a_wrong_field_is_named(
    gate: Edge, batches: FakeBatches, path: str, body: dict[str, Any], status: int, param: str, remedy: str
) -> None:
    """With the remedy, and nothing is taken in."""
    response = post(gate, path, **body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["param"] == param
    assert remedy in error["message"]
    assert batches.orders == []


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "remedy"),
    [
        (IMAGES, {"response_type": "b64"}, 400, "response_type", "url or base64"),
        (IMAGES, {"size": "huge"}, 400, "size", "1536x1024"),
        (IMAGES, {"output_format": "gif"}, 400, "output_format", "png"),
        (IMAGES, {"watermark": "gone"}, 400, "watermark", "keep or remove"),
        (IMAGES, {"prompts": ["a", "x" * 32_001]}, 413, "prompts[1]", "32000"),
        (CHAT, {"model": "gemini-2.5-flash-image"}, 400, "model", "POST /v1/batch/images"),
    ],
)
def test_what_a_kind_of_batch_cannot_do_is_said(
    gate: Edge, path: str, body: dict[str, Any], status: int, param: str, remedy: str
) -> None:
    """Each kind's own fields and bounds."""
    response = post(gate, path, **body)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)
    assert remedy in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "field", "value", "remedy"),
    [
        (IMAGES, "image", "https://pictures.example/a.png", "POST /v1/images/edits"),
        (IMAGES, "images", [{"url": "https://pictures.example/a.png"}], "POST /v1/images/edits"),
        (IMAGES, "mask", "iVBORw0KGgo=", "POST /v1/images/edits"),
        (IMAGES, "n", 4, "repeat the prompt"),
        (IMAGES, "n", 0, "repeat the prompt"),
        (IMAGES, "n", "1", "repeat the prompt"),
        (IMAGES, "count", 2, "repeat the prompt"),
        (IMAGES, "prompt", "in the style of a woodcut", "'prompts'"),
        (IMAGES, "messages", [{"role": "user", "content": "a fox"}], "'prompts'"),
        (IMAGES, "stream", True, "GET /v1/batch/{id}/events"),
        (IMAGES, "response_format", "base64", "url or b64_json"),
        (CHAT, "prompt", "Answer in Latin.", "'prompts'"),
        (CHAT, "messages", [{"role": "user", "content": "hi"}], "'prompts'"),
        (CHAT, "contents", [{"parts": [{"text": "hi"}]}], "'prompts'"),
        (CHAT, "input", "hi", "'prompts'"),
        (CHAT, "system", "Be brief.", "each of 'prompts'"),
        (CHAT, "instructions", "Be brief.", "each of 'prompts'"),
        (CHAT, "n", 2, "repeat the prompt"),
        (CHAT, "stream", True, "GET /v1/batch/{id}/events"),
        (CHAT, "tools", [{"type": "function", "function": {"name": "f"}}], "POST /v1/chat/completions"),
        (CHAT, "functions", [{"name": "f"}], "POST /v1/chat/completions"),
        (CHAT, "response_format", {"type": "json_object"}, "POST /v1/chat/completions"),
        (CHAT, "reasoning_effort", "high", "POST /v1/chat/completions"),
        (CHAT, "image", "https://pictures.example/a.png", "POST /v1/chat/completions"),
        (CHAT, "conversation", "sticky", "of its own"),
        (CHAT, "previous_response_id", "resp_1", "of its own"),
        (CHAT, "response_type", "url", "POST /v1/batch/images"),
        (CHAT, "size", "2K", "POST /v1/batch/images"),
        (CHAT, "watermark", "keep", "POST /v1/batch/images"),
        (CHAT, "output_compression", 90, "POST /v1/batch/images"),
    ],
)
def test_what_would_change_the_results_is_not_passed_over(
    gate: Edge, batches: FakeBatches, path: str, field: str, value: Any, remedy: str
) -> None:
    """Fields of other routes that batches cannot grant are refused by name, with what to do instead; other unknown fields are
    as if they were not there."""
    response = post(gate, path, **{field: value})
    assert (response.status_code, response.json()["error"]["param"]) == (400, field)
    assert remedy in response.json()["error"]["message"]
    assert batches.orders == []


@pytest.mark.parametrize("path", [IMAGES, CHAT])
def test_what_asks_for_nothing_else_is_taken(gate: Edge, path: str) -> None:
    """One of each prompt, no stream, and fields that are there and empty."""
    fields: dict[str, Any] = {
        "n": 1,
        "count": 1,
        "stream": False,
        "messages": [],
        "image": None,
        "system": "",
    }
    assert post(gate, path, **fields, quality="high", user="someone").status_code == 202


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({"response_format": "b64_json"}, "base64"),
        ({"response_format": " B64_JSON "}, "base64"),
        ({"response_format": "url"}, "url"),
        ({"response_format": ""}, "url"),
        ({"response_type": "url", "response_format": "b64_json"}, "url"),
        ({"response_type": "base64", "response_format": "url"}, "base64"),
        ({"response_type": " ", "response_format": "b64_json"}, "base64"),
    ],
)
def test_how_pictures_are_told_may_be_said_in_openais_words(
    gate: Edge, batches: FakeBatches, fields: dict[str, Any], form: str
) -> None:
    """`response_format` is read where `response_type` says nothing."""
    assert post(gate, IMAGES, **fields).status_code == 202
    assert batches.orders[0].form == form


def test_each_prompt_is_bounded_as_that_of_one_request(batches: FakeBatches) -> None:
    """By `server.prompt_limit`; the prompt is named that goes beyond it. Together they are bounded by the body alone."""
    with edge(settings=EdgeSettings(prompt_limit=1000), batches=batches) as found:
        assert post(found, CHAT, prompts=["x" * 900] * 3).status_code == 202
        response = post(found, CHAT, prompts=["x" * 900, "y", "x" * 1001])
        assert response.status_code == 413
        assert response.json()["error"]["param"] == "prompts[2]"
        assert "1001 characters, and a prompt may have 1000" in response.json()["error"]["message"]


def test_a_text_model_may_be_asked_for_pictures(gate: Edge, batches: FakeBatches) -> None:
    """As the other picture routes leave it to the upstream."""
    assert post(gate, IMAGES, model="gemini-2.5-pro").status_code == 202
    assert batches.orders[0].wish == PictureWish(link=True)


def test_the_same_key_and_request_make_one_batch(gate: Edge, batches: FakeBatches) -> None:
    """A repeat is answered 200 with the batch as it stands by now; another request under the key is 422."""
    key = {"idempotency-key": "7c1 ~"}
    first = post(gate, IMAGES, key)
    batches.end("batch_2", well(0))
    again = post(gate, IMAGES, key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["batch_id"] == first.json()["batch_id"] == "batch_2"
    assert (again.json()["status"], again.headers["idempotent-replayed"]) == ("running", "true")
    assert again.headers["location"] == first.headers["location"]
    assert len(batches.orders) == 1
    other = post(gate, IMAGES, key, prompts=["another"])
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert other.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("key", [b"", b"x" * 256, "caf\u00e9".encode(), b"a\tb"])
def test_a_key_that_is_none_is_refused(gate: Edge, batches: FakeBatches, key: bytes) -> None:
    """Empty, too long, or not printable."""
    response = gate.http.post(IMAGES, json={"prompts": PROMPTS}, headers={b"idempotency-key": key})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "Idempotency-Key"
    assert "1 to 255 printable" in response.json()["error"]["message"]
    assert batches.orders == []


def test_too_many_unfinished_batches_and_a_store_that_is_away(gate: Edge, batches: FakeBatches) -> None:
    """429 and 503, each with the wait."""
    batches.full = True
    response = post(gate, CHAT)
    assert (response.status_code, response.headers["retry-after"]) == (429, "30")
    assert "20 unfinished batches" in response.json()["error"]["message"]
    batches.error = StoreUnavailable("The store does not answer.")
    for path in ("/v1/batch", "/v1/batch/batch_1", "/v1/batch/batch_1/status", "/v1/batch/batch_1/events"):
        response = gate.http.get(path)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5"), path
    assert post(gate, CHAT).status_code == 503
    assert gate.http.delete("/v1/batch/batch_1").status_code == 503


def test_taking_a_batch_in_is_one_request_of_the_callers_limits(
    empty_valkey: str, batches: FakeBatches
) -> None:
    """However many prompts it has; looking after it is none. What is refused is taken nowhere."""
    batches.reset()
    limits = (empty_valkey, Rate(2, 3600.0), Rate(2, 3600.0))
    with edge(limits=limits, batches=batches) as found:
        first = post(found, IMAGES)
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        for _ in range(5):
            assert found.http.get("/v1/batch/batch_2").status_code == 200
        assert post(found, CHAT, prompts=[]).status_code == 400
        assert post(found, CHAT).status_code == 202
        refused = post(found, CHAT)
        assert refused.status_code == 429
        assert 3500 < int(refused.headers["retry-after"]) <= 3600
        assert len(batches.orders) == 2


def test_what_takes_no_batch_in_is_none_of_the_callers_requests(
    empty_valkey: str, batches: FakeBatches
) -> None:
    """A repeat under its key, another request under that key, and one batch too many: neither are they counted, nor does a
    caller who has nothing left get another answer to them."""
    batches.reset()
    key = {"idempotency-key": "k"}
    limits = (empty_valkey, Rate(2, 3600.0), Rate(2, 3600.0))
    with edge(limits=limits, batches=batches) as found:

        def uncounted() -> None:
            for _ in range(3):
                again = post(found, CHAT, key)
                assert (again.status_code, again.json()["batch_id"]) == (200, "batch_2")
                assert again.headers["idempotent-replayed"] == "true"
                assert post(found, CHAT, key, prompts=["another"]).status_code == 422
            batches.full = True
            assert "20 unfinished batches" in post(found, CHAT).json()["error"]["message"]
            assert post(found, CHAT, key).status_code == 200
            batches.full = False

        assert post(found, CHAT, key).status_code == 202
        uncounted()
        last = post(found, CHAT)
        assert (last.status_code, last.headers["x-ratelimit-remaining-requests"]) == (202, "0")
        assert post(found, CHAT).status_code == 429
        uncounted()
        assert len(batches.orders) == 2


def test_a_model_that_is_not_there_is_told_before_all_else(gate: Edge, batches: FakeBatches) -> None:
    """Also where the store could not say what the key stands for."""
    batches.error = StoreUnavailable("The store does not answer.")
    for path in (IMAGES, CHAT):
        assert post(gate, path, {"idempotency-key": "k"}, model="gpt-9").status_code == 404


def test_batches_are_listed_newest_first_in_pages(gate: Edge, batches: FakeBatches) -> None:
    """`next` leads from page to page, and the last has none."""
    for _ in range(5):
        batches.add(1, owner=HERE)
    first = gate.http.get("/v1/batch?limit=2").json()
    assert [batch["batch_id"] for batch in first["batches"]] == ["batch_6", "batch_5"]
    assert (first["total"], first["has_more"], first["next"]) == (5, True, "batch_5")
    second = gate.http.get(f"/v1/batch?limit=2&after={first['next']}").json()
    assert [batch["batch_id"] for batch in second["batches"]] == ["batch_4", "batch_3"]
    last = gate.http.get(f"/v1/batch?limit=2&after={second['next']}").json()
    assert [batch["batch_id"] for batch in last["batches"]] == ["batch_2"]
    assert (last["total"], last["has_more"], last["next"]) == (5, False, None)
    assert len(gate.http.get("/v1/batch").json()["batches"]) == 5


def test_batches_are_listed_by_how_they_stand(gate: Edge, batches: FakeBatches) -> None:
    """The states' own words, in any case. How many there are so is not known, so that no `total` is told."""
    batches.add(1, owner=HERE)
    batches.end(batches.add(1, owner=HERE), well(0))
    batches.end(batches.add(1, owner=HERE), failed(0))
    for state, id in (("queued", "batch_2"), ("Completed", "batch_3"), ("failed", "batch_4")):
        listed = gate.http.get("/v1/batch", params={"status": state}).json()
        assert [found["batch_id"] for found in listed["batches"]] == [id]
        assert "total" not in listed
    assert gate.http.get("/v1/batch?status=cancelling").json()["batches"] == []


@pytest.mark.parametrize(
    ("query", "status", "param", "remedy"),
    [
        ("limit=0", 400, "limit", "from 1 to 100"),
        ("limit=101", 400, "limit", "from 1 to 100"),
        ("limit=-1", 400, "limit", "whole number"),
        ("limit=ten", 400, "limit", "'ten'"),
        ("limit=\u0663", 400, "limit", "whole number"),
        ("status=done", 400, "status", "queued, running, completed"),
        ("after=batch_99", 404, "after", "no batch"),
        ("after=%00", 404, "after", "no batch"),
    ],
)
def test_a_page_that_cannot_be_is_refused(
    gate: Edge, query: str, status: int, param: str, remedy: str
) -> None:
    """By the parameter's name."""
    response = gate.http.get(f"/v1/batch?{query}")
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)
    assert remedy in response.json()["error"]["message"]


def test_a_batch_is_cancelled_once(gate: Edge, batches: FakeBatches) -> None:
    """What runs may finish; a second time changes nothing and says so."""
    id = batches.add(5, owner=HERE)
    batches.end(id, well(0))
    batches.change(id, running=2)
    found = gate.http.delete(f"/v1/batch/{id}").json()
    assert (found["status"], found["cancelled"], found["pending"], found["running"]) == (
        "cancelling",
        2,
        2,
        2,
    )
    assert found["message"] == "What had not begun will not run. Tasks that run now and may finish: 2."
    again = gate.http.delete(f"/v1/batch/{id}")
    assert (again.status_code, again.json()["message"]) == (200, "The batch was cancelled before.")
    idle = batches.add(2, owner=HERE)
    found = gate.http.delete(f"/v1/batch/{idle}").json()
    assert (found["status"], found["progress"]) == ("cancelled", "2/2")
    assert found["message"] == "What had not begun will not run."


def test_a_batch_that_has_ended_cannot_be_cancelled(gate: Edge, batches: FakeBatches) -> None:
    """409, which no program repeats by itself."""
    id = batches.add(1, owner=HERE)
    batches.end(id, well(0))
    response = gate.http.delete(f"/v1/batch/{id}")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "conflict")
    assert response.headers["x-should-retry"] == "false"


def test_batches_of_another_key_are_as_if_there_were_none(keyed: Edge, batches: FakeBatches) -> None:
    """Nothing in the answers tells them from ids that never were; the admin key sees and cancels all."""
    batches.reset()
    id = post(keyed, CHAT, ONE).json()["batch_id"]
    assert keyed.http.get(f"/v1/batch/{id}", headers=ONE).status_code == 200
    for method, path in (
        ("GET", "/v1/batch/{}"),
        ("GET", "/v1/batch/{}/status"),
        ("GET", "/v1/batch/{}/events"),
        ("HEAD", "/v1/batch/{}/events"),
        ("DELETE", "/v1/batch/{}"),
    ):
        foreign = keyed.http.request(method, path.format(id), headers=TWO)
        unknown = keyed.http.request(method, path.format("batch_99"), headers=TWO)
        odd = keyed.http.request(method, path.format("no.id"), headers=TWO)
        assert foreign.status_code == unknown.status_code == odd.status_code == 404
        said = foreign.text.replace(id, "?")
        assert said == unknown.text.replace("batch_99", "?") == odd.text.replace("no.id", "?")
    assert keyed.http.get("/v1/batch", headers=TWO).json()["total"] == 0
    assert keyed.http.get("/v1/batch", headers=ONE).json()["total"] == 1
    assert id in keyed.http.get("/v1/batch", headers=ADMIN).text
    assert keyed.http.get(f"/v1/batch/{id}", headers=ADMIN).status_code == 200
    assert keyed.http.delete(f"/v1/batch/{id}", headers=ADMIN).json()["status"] == "cancelled"


def test_without_keys_each_address_is_a_caller(batches: FakeBatches) -> None:
    """Also within one IPv6 network, which shares its limits: neither batches nor idempotency keys are common to it."""
    batches.reset()
    settings = EdgeSettings(trusted_proxies=("127.0.0.1",), allow_anonymous=True)
    one, two = ({"x-forwarded-for": f"2001:db8:1:2::{each}"} for each in ("1", "9"))
    with edge(settings=settings, batches=batches) as found:
        id = post(found, CHAT, {**one, "idempotency-key": "k"}).json()["batch_id"]
        assert found.http.get(f"/v1/batch/{id}", headers=one).status_code == 200
        for method, tail in (("GET", ""), ("GET", "/status"), ("GET", "/events"), ("DELETE", "")):
            assert found.http.request(method, f"/v1/batch/{id}{tail}", headers=two).status_code == 404
        assert found.http.get("/v1/batch", headers=one).json()["total"] == 1
        assert found.http.get("/v1/batch", headers=two).json()["total"] == 0
        assert post(found, CHAT, {**two, "idempotency-key": "k"}).status_code == 202


@pytest.mark.parametrize("id", ["no.id", "no id\x00", "batch_1:tasks", "\u00e9", "x" * 65])
def test_an_id_that_no_batch_can_have_is_not_looked_for(gate: Edge, batches: FakeBatches, id: str) -> None:
    """It is 404 without the store."""
    batches.error = StoreUnavailable("The store does not answer.")
    path = f"/v1/batch/{quote(id)}"
    for method, tail in (("GET", ""), ("GET", "/status"), ("GET", "/events"), ("DELETE", "")):
        assert gate.http.request(method, path + tail).status_code == 404
    assert gate.http.get("/v1/batch", params={"after": id}).status_code == 404


def test_idempotency_keys_are_each_callers_own(keyed: Edge, batches: FakeBatches) -> None:
    """Also the operator's, who owns what the admin key has ordered."""
    batches.reset()
    ids = {post(keyed, CHAT, {**key, "idempotency-key": "k"}).json()["batch_id"] for key in (ONE, TWO, ADMIN)}
    assert len(ids) == 3
    assert len({order.owner for order in batches.orders}) == 3
    assert all(len(order.owner) == 32 and "one" not in order.caller for order in batches.orders)


def test_the_names_of_routes_are_no_batches(gate: Edge) -> None:
    """`images` and `chat` take batches in and have no other method."""
    for path in (IMAGES, CHAT):
        response = gate.http.get(path)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert gate.http.post("/v1/batch/batch_1").status_code == 405
    assert gate.http.delete("/v1/batch/batch_1/status").status_code == 405
    assert gate.http.get("/v1/batch/batch_1/nothing").status_code == 404


def test_pages_may_cancel_and_read_what_batches_say(gate: Edge) -> None:
    """A preflight for DELETE is granted with the headers that it names, and the answer's own are exposed."""
    headers = {
        "origin": "https://app.example",
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "authorization, idempotency-key, last-event-id",
    }
    response = gate.http.options("/v1/batch/batch_1", headers=headers)
    assert response.status_code == 204
    assert response.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, OPTIONS"
    assert response.headers["access-control-allow-headers"] == headers["access-control-request-headers"]
    found = post(gate, CHAT, {"origin": "https://app.example"})
    exposed = found.headers["access-control-expose-headers"]
    assert "location" in exposed
    assert "idempotent-replayed" in exposed


def test_what_there_is_says_so(gate: Edge) -> None:
    """The routes are listed where a gateway has them."""
    listed = gate.http.get("/api/info").json()["endpoints"]
    assert "POST /v1/batch/images" in listed
    assert "DELETE /v1/batch/{id}" in listed
    with edge() as without:
        assert not [each for each in without.http.get("/api/info").json()["endpoints"] if "/batch" in each]
        assert without.http.get("/v1/batch").status_code == 404
