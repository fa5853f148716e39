"""What operators and their tools are answered."""

from collections.abc import Mapping
from typing import Any, Final

from routes.openapi.shown.parts import Shown, as_json

_COOKIES: dict[str, Any] = {
    "id": "alice",
    "state": "quarantined",
    "reason": "expired",
    "since": "2026-11-22T00:00:00.000Z",
    "cooling_until": None,
    "cooling_models": {},
    "cookie_age_seconds": 86400.0,
    "last_proved": "2026-11-21T23:59:55.000Z",
    "last_probe": "2026-11-22T00:00:00.000Z",
    "last_probe_outcome": "expired",
    "next_probe": "2026-11-22T00:10:00.000Z",
    "last_rotation": "2026-11-21T23:55:00.000Z",
    "rotation_outcome": "ok",
    "next_rotation": None,
}

SHOWN: Final[Mapping[tuple[str, str], Shown]] = {
    ("get", "/"): as_json(
        root={
            "name": "gemini-pool-gateway",
            "version": "0.1.0",
            "info": "/api/info",
            "health": "/health",
            "openapi": "/openapi.json",
            "admin": "/admin",
            "docs": "/docs",
        }
    ),
    ("get", "/openapi.json"): as_json(document={"openapi": "3.1.0"}),
    ("get", "/health"): as_json(
        degraded={
            "status": "degraded",
            "version": "0.1.0",
            "client_ready": True,
            "accounts": {"active": 1, "quarantined": 1},
            "task_stats": {"running": 0, "pending": 0, "completed": 26, "failed": 0},
            "concurrency": {"in_flight": 0, "waiting": 0, "capacity": 2},
        }
    ),
    ("get", "/ready"): as_json(ready={"ready": True}),
    ("get", "/metrics"): {
        "text/plain": {
            "metrics": "# TYPE gempool_requests_total counter\n"
            'gempool_requests_total{route="/v1/chat/completions",model="gemini-2.5-pro",kind="text",outcome="ok"} 26\n'
        }
    },
    ("get", "/api/info"): as_json(
        info={
            "name": "gemini-pool-gateway",
            "version": "0.1.0",
            "uptime_seconds": 3600.0,
            "default_model": "gemini-3-flash-preview",
            "default_image_model": "gemini-3-pro-image-preview",
            "endpoints": ["POST /v1/chat/completions", "GET /v1/models"],
        }
    ),
    ("get", "/api/cookies/status"): as_json(accounts={"accounts": [_COOKIES]}),
    ("post", "/api/cookies"): as_json(
        kept={
            "account": "alice",
            "kept": True,
            "probe": "well",
            "detail": "",
            "state": "active",
            "reason": "",
        }
    ),
}

REFUSED: Final[Mapping[tuple[str, int], Mapping[str, Any]]] = {
    ("/ready", 503): {
        "not ready": {
            "ready": False,
            "why": "No account can serve: 2 are quarantined.",
            "error": {
                "message": "No account can serve: 2 are quarantined.",
                "type": "server_error",
                "param": None,
                "code": "no_account",
            },
        }
    },
}
"""Errors of a shape of their own, by path and status."""
