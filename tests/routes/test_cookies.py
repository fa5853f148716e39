"""`/api/cookies`: who may, what is refused, and what the service is handed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from routes import EdgeSettings
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge

ADMIN = {"x-admin-key": "root"}
COOKIES = FakeCookies()


@pytest.fixture(scope="module")
def locked() -> Iterator[Edge]:
    """An edge with an API key and an admin key."""
    with edge(api_key="one", admin_key="root", cookies=COOKIES) as found:
        yield found


def post(found: Edge, body: Any, **headers: str) -> Any:
    return found.http.post("/api/cookies", json=body, headers={**ADMIN, **headers})


def test_the_status_is_for_every_key(locked: Edge) -> None:
    """With any key the accounts are listed with state, reason and age; without one nothing is told."""
    assert locked.http.get("/api/cookies/status").status_code == 401
    answer = locked.http.get("/api/cookies/status", headers={"x-api-key": "one"})
    [account] = answer.json()["accounts"]
    assert (account["id"], account["state"], account["reason"]) == ("alice", "quarantined", "expired")
    assert account["cookie_age_seconds"] == 12.5
    assert account["next_probe"] is None
    assert answer.headers["cache-control"] == "no-store"


def test_only_the_admin_replaces_cookies(locked: Edge) -> None:
    """No key is 401, an API key 403, the admin key does it and is told what the probe found."""
    body = {"account": "alice", "secure_1psid": "g.a000x", "secure_1psidts": "sidts-x"}
    assert locked.http.post("/api/cookies", json=body).status_code == 401
    assert locked.http.post("/api/cookies", json=body, headers={"x-api-key": "one"}).status_code == 403
    answer = post(locked, body)
    assert answer.json() == {
        "account": "alice", "kept": True, "probe": "well", "detail": "", "state": "active", "reason": ""
    }  # fmt: skip
    account, given = COOKIES.given[-1]
    assert (account, given.secure_1psid.reveal(), given.secure_1psidts.reveal()) == (
        "alice",
        "g.a000x",
        "sidts-x",
    )
    assert "g.a000x" not in answer.text


@pytest.mark.parametrize("export", ["# Netscape", [{"name": "a", "value": "b"}], {"cookies": []}])
def test_what_an_exporter_wrote_is_handed_on_as_it_is(locked: Edge, export: Any) -> None:
    """As text, or as the JSON that it is."""
    assert post(locked, {"account": "alice", "cookies": export}).status_code == 200
    handed = COOKIES.given[-1][1].export.reveal()
    assert handed == export if isinstance(export, str) else json.loads(handed) == export


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "account"),
        ({"account": 1}, "account"),
        ({"account": "alice", "secure_1psid": 5}, "secure_1psid"),
        ({"account": "alice", "cookies": 5}, "cookies"),
        ({"account": "alice", "cookies": "  "}, "cookies"),
        ({"account": "alice", "cookies": "x", "secure_1psid": "y"}, "cookies"),
    ],
)
def test_a_wrong_body_is_refused_by_name(locked: Edge, body: Any, field: str) -> None:
    """400, naming the field."""
    answer = post(locked, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


def test_an_unknown_account_is_404(locked: Edge) -> None:
    """With the field at fault."""
    answer = post(locked, {"account": "nobody", "secure_1psid": "x"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "account")


def test_without_any_key_only_this_machine_may() -> None:
    """A gateway without keys serves this machine alone, and lets it; one that is open to strangers does not."""
    body = {"account": "alice", "secure_1psid": "x"}
    with edge(cookies=COOKIES) as found:
        assert found.http.post("/api/cookies", json=body).status_code == 200
        assert (
            found.http.post("/api/cookies", json=body, headers={"origin": "https://evil.example"}).status_code
            == 403
        )
    with edge(cookies=COOKIES, settings=EdgeSettings(allow_anonymous=True)) as found:
        assert found.http.post("/api/cookies", json=body).status_code == 403


def test_the_routes_are_listed_where_they_are(locked: Edge) -> None:
    """`/api/info` names them."""
    endpoints = locked.http.get("/api/info", headers=ADMIN).json()["endpoints"]
    assert {"GET /api/cookies/status", "POST /api/cookies"} <= set(endpoints)
