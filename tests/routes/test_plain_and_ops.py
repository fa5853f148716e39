"""The short forms, and what operators read."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from core.chat import Delta, Finish, Usage
from core.errors import NoAccount, NotFound, StoreUnavailable
from engine.service import CookieStatus, HandedIn, Replaced, Status
from tests.fakes.edge import Edge, edge
from tests.fakes.server import until
from tests.fakes.service import WELL, Fail, Pause


def test_generate_is_a_prompt_in_and_text_out(gate: Edge) -> None:
    """The model named is the one asked for, or the default."""
    response = gate.http.post("/v1/generate", json={"prompt": "hi", "model": "gemini-2.5-pro"})
    assert response.json() == {"text": "You said: hi", "model": "gemini-2.5-pro"}
    assert gate.http.post("/v1/generate", json={"prompt": "hi"}).json()["model"] == "gemini-3-flash-preview"


@pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"prompt": " "}, {"prompt": 3}, {"prompt": None}])
def test_generate_names_a_bad_prompt(gate: Edge, body: dict[str, object]) -> None:
    """A missing, empty or mistyped prompt is 400 with its name."""
    response = gate.http.post("/v1/generate", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "prompt"


def test_api_models_are_grouped(gate: Edge) -> None:
    """The short form lists models, their categories and the default."""
    found = gate.http.get("/api/models").json()
    assert found["default"] == "gemini-3-flash-preview"
    assert found["default_image"] == "gemini-3-pro-image-preview"
    assert found["categories"]["image"] == ["gemini-2.5-flash-image", "gemini-3-pro-image-preview"]
    assert "gemini-2.5-pro" in found["categories"]["text"]
    assert found["models"][0] == {
        "id": "gemini-3-flash-preview",
        "name": "Gemini 3 Flash",
        "description": "Fast",
    }


def test_info_and_root_say_what_this_is(gate: Edge) -> None:
    """Name, version and endpoints, each of which exists."""
    found = gate.http.get("/api/info").json()
    assert (found["name"], found["version"]) == ("gemini-pool-gateway", "1.2.3")
    assert found["uptime_seconds"] >= 0
    for endpoint in found["endpoints"]:
        method, _, path = endpoint.partition(" ")
        path = path.replace("{id}", "gemini-2.5-pro").replace("{model}", "gemini-2.5-pro")
        path = path.replace("{path}", "index.html").replace("{response}", "resp_1")
        answer = gate.http.request(method, path)
        # Kept responses are not told again.
        assert answer.status_code in (200, 400) or "{response}" in endpoint, endpoint
        assert f"There is no route {method}" not in answer.text, endpoint
    assert gate.http.get("/").json()["info"] == "/api/info"


def status(**accounts: int) -> Status:
    ready = bool(accounts.get("active"))
    return Status(
        ready=ready, why="" if ready else "Both accounts are quarantined.", store_ok=True, accounts=accounts,
        in_flight=1, waiting=2, capacity=4,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "verdict", "ready"),
    [
        (WELL, "ok", 200),
        (status(active=2), "ok", 200),
        (status(active=1, quarantined=1), "degraded", 200),
        (status(active=1, cooling=1), "degraded", 200),
        (status(quarantined=2), "down", 503),
        (StoreUnavailable("gone"), "down", 503),
    ],
)
def test_health_and_ready_follow_the_engines_status(
    gate: Edge, state: Status | StoreUnavailable, verdict: str, ready: int
) -> None:
    """`/health` is always 200; `/ready` is 503 with the reason and a wait where nothing can be served."""
    gate.chat.state = state
    health, readiness = gate.http.get("/health"), gate.http.get("/ready")
    assert health.status_code == 200
    assert health.json()["status"] == verdict
    assert health.json()["client_ready"] is (ready == 200)
    assert readiness.status_code == ready
    assert readiness.json()["ready"] is (ready == 200)
    if ready != 200:
        assert readiness.headers["retry-after"]
        assert readiness.json()["why"]
        assert readiness.json()["error"]["code"] == "no_account_available"
    if isinstance(state, Status):
        assert health.json()["accounts"] == dict(state.accounts)
        assert health.json()["concurrency"]["waiting"] == state.waiting


def test_ready_tells_the_true_wait(gate: Edge) -> None:
    """What the pool knows of its next try; a few seconds where nobody knows."""
    for told, header in ((None, "5"), (17.2, "18"), (0.3, "1"), (600.0, "600")):
        gate.chat.state = structs.replace(status(quarantined=2), retry_after=told)
        response = gate.http.get("/ready")
        assert (response.status_code, response.headers["retry-after"]) == (503, header)
        assert response.headers.get("x-should-retry") == ("false" if header == "600" else None)


def test_ready_tells_when_a_quarantined_account_is_probed_next() -> None:
    """The soonest of them; accounts that are not waited for do not count."""
    now = datetime.now(UTC)

    class Cookies:
        async def cookies_status(self) -> list[CookieStatus]:
            return [
                CookieStatus(
                    id=id,
                    state=state,
                    reason="",
                    since=None,
                    cooling_until=None,
                    cooling_models={},
                    cookie_age_seconds=None,
                    last_proved=None,
                    last_probe=None,
                    last_probe_outcome="",
                    next_probe=next_probe,
                    last_rotation=None,
                    rotation_outcome="",
                    next_rotation=None,
                )
                for id, state, next_probe in (
                    ("a", "quarantined", (now + timedelta(seconds=90)).isoformat()),
                    ("b", "quarantined", (now + timedelta(seconds=40)).isoformat()),
                    ("c", "disabled", (now + timedelta(seconds=4)).isoformat()),
                    ("d", "quarantined", None),
                )
            ]

        async def replace_cookies(self, account: str, given: HandedIn) -> Replaced:
            raise NotFound("not here")

    with edge(cookies=Cookies()) as found:
        found.chat.state = status(quarantined=4)
        assert 30 <= int(found.http.get("/ready").headers["retry-after"]) <= 41


def test_health_counts_what_became_of_requests_for_answers() -> None:
    """Whole and failed ones, streamed and not; who leaves, and what is no request for an answer, is not
    counted."""
    body = {"messages": [{"role": "user", "content": "hi"}]}
    with edge() as found:

        def stats() -> dict[str, int]:
            told: dict[str, int] = found.http.get("/health").json()["task_stats"]
            return told

        assert stats() == {"running": 0, "pending": 0, "completed": 0, "failed": 0}
        found.http.get("/v1/models")
        found.http.post("/v1/chat/completions", json=body)
        found.http.post("/v1/generate", json={"prompt": "hi"})
        found.http.post("/v1/chat/completions", json={**body, "stream": True, "n": 2})
        found.http.post("/v1/chat/completions", json={})
        found.chat.say(Delta("a"), Fail(NoAccount("gone")))
        found.http.post("/v1/chat/completions", json={**body, "stream": True})
        found.http.post("/v1/generate", json={"prompt": "hi"})
        found.chat.say(Delta("a"), Pause(60))
        with found.http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}):
            pass
        until(lambda: found.chat.running == 0)
        found.chat.state = status(active=1)
        until(lambda: stats() == {"running": 1, "pending": 2, "completed": 3, "failed": 2})


def test_metrics_have_bounded_labels() -> None:
    """Routes are templates, models public names; whatever else callers write is `other`."""
    with edge() as found:
        for model in ("gemini-2.5-pro", "made-up-1", "made-up-2", "vendor/odd:name"):
            found.http.post(
                f"/v1beta/models/{model}:generateContent", json={"contents": [{"parts": [{"text": "a"}]}]}
            )
            found.http.get(f"/nope/{model}")
            found.http.post(f"/v1beta/models/{model}:dance{model}")
        text = found.http.get("/metrics").text
        for word in ("made-up", "vendor", "dance"):
            assert word not in text
        route = "/v1beta/models/{model}:generateContent"

        def asked(**labels: str) -> float:
            return found.metric("gempool_requests_total", route=route, kind="text", **labels)

        assert asked(model="gemini-2.5-pro", outcome="ok") == 1
        assert asked(model="other", outcome="model_not_found") == 2
        assert asked(model="other", outcome="ok") == 1
        assert found.metric("gempool_time_to_first_content_seconds_count", route=route, kind="text") == 2


def test_every_request_is_one_log_line_without_the_key() -> None:
    """Ids, names, numbers and how it ended; the key shows as a fingerprint only."""
    with edge(api_key="very-secret-key") as found, capture_logs() as lines:
        found.chat.waited = 0.0001
        found.chat.say(Delta("a"), Finish(Usage(1, 1), "gemini-flash"))
        body = {"messages": [{"role": "user", "content": "private words"}], "stream": True}
        found.http.post(
            "/v1/chat/completions",
            json=body,
            headers={"authorization": "Bearer very-secret-key", "x-request-id": "r-1"},
            params={"key": "very-secret-key"},
        )
        found.http.get("/v1/models", headers={"authorization": "Bearer other-secret"})
        until(lambda: len(lines) == 2)
    good, refused = lines
    assert good["event"] == "request"
    assert (good["request_id"], good["route"], good["model"]) == (
        "r-1",
        "/v1/chat/completions",
        "gemini-3-flash-preview",
    )
    assert (good["status"], good["outcome"], good["attempts"]) == (200, "ok", 1)
    assert good["caller"].startswith("key:")
    assert good["ms"] >= good["ms_first_content"] > 0
    assert good["bytes"] > 100
    assert (refused["status"], refused["outcome"], refused["caller"]) == (401, "invalid_api_key", "")
    assert "secret" not in repr(lines)
    assert "private" not in repr(lines)
