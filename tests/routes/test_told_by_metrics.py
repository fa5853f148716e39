"""What metrics tell of a request: which route it came to, and whether an account was to make text or a picture for it."""

import re
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from routes.gemini.handlers import METHODS
from routes.openapi import operations
from storage import Local
from tests.fakes.batches import FakeBatches
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import FakeOperator
from tests.fakes.server import until

TEXT, PICTURE = "gemini-2.5-pro", "gemini-2.5-flash-image"
HI = {"contents": [{"parts": [{"text": "a"}]}]}
CHAT = {"messages": [{"role": "user", "content": "a"}]}


def counted(gate: Edge, route: str, kind: str, model: str = TEXT, outcome: str = "ok") -> float:
    return gate.metric("gempool_requests_total", route=route, kind=kind, model=model, outcome=outcome)


def timed(gate: Edge, route: str, kind: str) -> float:
    return gate.metric("gempool_request_duration_seconds_count", route=route, kind=kind)


@pytest.mark.parametrize(
    ("path", "body", "model", "kind"),
    [
        ("/v1/generate", {"prompt": "a"}, TEXT, "text"),
        ("/v1/generate", {"prompt": "a"}, PICTURE, "picture"),
        ("/v1/chat/completions", CHAT, TEXT, "text"),
        ("/v1/chat/completions", CHAT, PICTURE, "picture"),
        ("/v1/responses", {"input": "a"}, TEXT, "text"),
        ("/v1/responses", {"input": "a"}, PICTURE, "picture"),
        ("/v1/images/generations", {"prompt": "a"}, PICTURE, "picture"),
        ("/v1beta/models/{model}:generateContent", HI, TEXT, "text"),
        ("/v1beta/models/{model}:generateContent", HI, PICTURE, "picture"),
        ("/v1beta/models/{model}:predict", {"instances": [{"prompt": "a"}]}, PICTURE, "picture"),
    ],
)
def test_text_and_pictures_are_told_apart(path: str, body: dict[str, Any], model: str, kind: str) -> None:
    """Whatever the route is called: the count, the time and the first content say the same."""
    with edge() as gate:
        answer = gate.http.post(path.replace("{model}", model), json={"model": model, **body})
        assert answer.status_code == 200
        # A request is counted once its answer has gone out.
        until(lambda: counted(gate, path, kind, model) == 1)
        until(lambda: timed(gate, path, kind) == 1)
        first = "gempool_time_to_first_content_seconds_count"
        until(lambda: gate.metric(first, route=path, kind=kind) == 1)


def test_what_no_account_is_asked_for_is_told_from_what_one_is() -> None:
    """Tokens that are counted here, batches that are taken in, health that is looked at and models that are not known: none of
    these is an answer, nor makes the time of answers look short."""
    with edge(batches=FakeBatches()) as gate:
        assert gate.http.post(f"/v1beta/models/{TEXT}:countTokens", json=HI).status_code == 200
        assert gate.http.post("/v1/batch/chat", json={"prompts": ["a"], "model": TEXT}).status_code == 202
        assert gate.http.get("/health").status_code == 200
        assert gate.http.post("/v1/chat/completions", json={**CHAT, "model": "made-up"}).status_code == 404
        until(lambda: counted(gate, "/v1beta/models/{model}:countTokens", "tokens") == 1)
        until(lambda: counted(gate, "/v1/batch/chat", "batch") == 1)
        until(lambda: counted(gate, "/health", "none", "none") == 1)
        until(lambda: counted(gate, "/v1/chat/completions", "text", "other", "model_not_found") == 1)
        for route in (
            "/v1beta/models/{model}:countTokens",
            "/v1/batch/chat",
            "/health",
            "/v1/chat/completions",
        ):
            until(lambda route=route: timed(gate, route, "none") == 1)
            assert timed(gate, route, "text") == 0


def test_routes_are_called_as_in_the_document(tmp_path: Path) -> None:
    """Every route, asked by whoever may not and by a method that it has not, is told as `openapi.json` names its path."""
    with edge(
        api_key="one",
        admin_key="root",
        cookies=FakeCookies(),
        files=Local(tmp_path, SystemClock()),
        batches=FakeBatches(),
        operator=FakeOperator(brief=True),
    ) as gate:
        named = {operation.path for operation in operations()}
        for path in named:
            real = re.sub(r"\{\w+\}", "one", path)
            gate.http.put(real)
            gate.http.put(real, headers={"authorization": "Bearer root"})

        def told() -> set[str]:
            text = gate.http.get("/metrics", headers={"authorization": "Bearer one"}).text
            return set(re.findall(r'^gempool_requests_total\{route="([^"]+)"', text, re.MULTILINE))

        until(lambda: told() >= named)
        assert told() == named
    assert {path.rpartition(":")[2] for path in named if ":" in path} == set(METHODS)
