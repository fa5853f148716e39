"""What the operator's page is answered."""

from collections.abc import Mapping
from typing import Any, Final

from routes.admin.session import UNTOLD
from routes.openapi.operations import EVENTS
from routes.openapi.shown.parts import AT, Shown, as_events, as_json

_NOTED = float(AT)

_STANDING: dict[str, Any] = {
    "id": "alice",
    "state": "quarantined",
    "reason": "expired",
    "why": "Its session has ended. Replace its cookies.",
    "since": _NOTED,
    "until": None,
    "next": "probe",
    "next_at": _NOTED + 600,
    "order": 0,
    "in_flight": 0,
    "max_concurrency": 2,
    "min_interval": 1.0,
    "last_used": _NOTED - 5,
    "cookies_at": _NOTED - 86400,
    "cookie_source": "rotation",
    "rotation_at": _NOTED - 300,
    "rotation_outcome": "ok",
    "next_rotation": None,
    "proved_at": _NOTED - 5,
    "probed_at": _NOTED,
    "probe_outcome": "expired",
    "next_probe": _NOTED + 600,
    "failures": 1,
    "last_resort": False,
    "session_open": False,
    "egress": "10.0.0.5:3128",
    "tags": ["images"],
    "models": ["gemini-2.5-pro"],
    "resting": [],
}
_WELL = {
    **_STANDING,
    "id": "bob",
    "state": "active",
    "reason": "",
    "why": "",
    "order": 1,
    "probe_outcome": "well",
    "failures": 0,
    "session_open": True,
}
_NOW: dict[str, Any] = {
    "time": _NOTED + 60,
    "ready": True,
    "why": "",
    "store_ok": True,
    "accounts": {"active": 1, "quarantined": 1},
    "capacity": 2,
    "in_flight": 0,
    "waiting": 0,
    "replica": "one",
    "replicas": 1,
    "leader": "one",
    "version": "0.1.0",
    "started": _NOTED - 3600,
    "alerts_pending": 0,
    "alerts_configured": True,
    "batches_open": 0,
    "tasks_waiting": 0,
    "tasks_running": 0,
    "broken_files": {},
}
_HAPPENED = {
    "at": _NOTED,
    "kind": "state",
    "account": "alice",
    "before": "active",
    "after": "quarantined",
    "outcome": "expired",
    "detail": "",
    "replica": "one",
}
_SERVED = {
    "at": _NOTED + 30,
    "id": "req_5f0c",
    "replica": "one",
    "caller": "key:12345678",
    "route": "/v1/chat/completions",
    "model": "gemini-2.5-pro",
    "status": 200,
    "outcome": "ok",
    "seconds": 1.9,
    "first_content": 0.9,
    "queued": 0.0,
    "upstream": 1.8,
    "pictures": 0.0,
    "asked": [
        {"account": "alice", "outcome": "expired", "seconds": 0.3},
        {"account": "bob", "outcome": "ok", "seconds": 1.5},
    ],
}
_MINUTE = {
    "start": AT,
    "asked": {"alice": {"expired": 1}, "bob": {"ok": 1}},
    "served": {"ok": 1},
    "seconds": {"2.5": 1},
    "first_content": {"1": 1},
}
_VIEW = {
    "now": _NOW,
    "accounts": [_STANDING, _WELL],
    "happened": [_HAPPENED],
    "served": [_SERVED],
    "minutes": [_MINUTE],
}
_TURN = {
    "now": _NOW,
    "accounts": [_WELL],
    "gone": [],
    "happened": [],
    "served": [_SERVED],
    "minutes": [_MINUTE],
}
_SESSION = {"needed": True, "signed_in": True, "expires_at": _NOTED + 43200, "version": "0.1.0", "why": ""}
_ACCOUNT = "/admin/api/accounts/{id}"


def _checked(account: Mapping[str, Any], outcome: str = "", detail: str = "") -> Shown:
    return as_json(done={"account": account, "outcome": outcome, "detail": detail})


SHOWN: Final[Mapping[tuple[str, str], Shown]] = {
    ("get", "/admin/api/session"): as_json(session=_SESSION),
    ("post", "/admin/api/session"): as_json(session=_SESSION),
    ("delete", "/admin/api/session"): as_json(untold={"told": False, "why": UNTOLD}),
    ("get", "/admin/api/view"): as_json(view=_VIEW),
    ("get", "/admin/api/live"): {
        EVENTS: {"live": "retry: 1000\n\n" + as_events(("view", _VIEW), ("turn", _TURN))}
    },
    ("get", _ACCOUNT): as_json(account={"account": _STANDING, "history": [_HAPPENED]}),
    ("post", f"{_ACCOUNT}/probe"): _checked(_WELL, "well"),
    ("post", f"{_ACCOUNT}/enable"): _checked(_WELL),
    ("post", f"{_ACCOUNT}/disable"): _checked(
        {**_WELL, "state": "disabled", "reason": "operator", "order": 0, "next": ""}
    ),
    ("post", f"{_ACCOUNT}/clear"): _checked(_WELL),
}
