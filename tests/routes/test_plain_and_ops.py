"""The short forms, and what operators read."""

import pytest
from structlog.testing import capture_logs

from core.chat import Delta, Finish, Usage
from core.errors import StoreUnavailable
from engine.service import Status
from tests.fakes.edge import Edge, edge
from tests.fakes.server import until
from tests.fakes.service import WELL


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
    assert found["categories"]["image"] == []
    assert "gemini-2.5-pro" in found["categories"]["text"]
    assert found["models"][0] == {
        "id": "gemini-3-flash-preview",
        "name": "Gemini 3 Flash",
        "description": "Fast",
    }


def test_info_and_root_say_what_this_is(gate: Edge) -> None:
    """Every endpoint that info lists exists."""
    found = gate.http.get("/api/info").json()
    assert (found["name"], found["version"]) == ("gemini-pool-gateway", "1.2.3")
    assert found["uptime_seconds"] >= 0
    for endpoint in found["endpoints"]:
        method, _, path = endpoint.partition(" ")
        path = path.replace("{id}", "gemini-2.5-pro").replace("{model}", "gemini-2.5-pro")
        assert gate.http.request(method, path).status_code in (200, 400), endpoint
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
        assert found.metric("gempool_requests_total", route=route, model="gemini-2.5-pro", outcome="ok") == 1
        assert (
            found.metric("gempool_requests_total", route=route, model="other", outcome="model_not_found") == 2
        )
        assert found.metric("gempool_requests_total", route=route, model="other", outcome="ok") == 1
        assert found.metric("gempool_request_duration_seconds_count", route=route) == 4
        assert found.metric("gempool_time_to_first_content_seconds_count", route=route) == 2


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
