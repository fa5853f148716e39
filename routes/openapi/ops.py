"""What operators and their tools read, and this document itself."""

from typing import Any

from engine.service import Replaced
from routes.openapi.openai import OPENAI
from routes.openapi.operations import WORK_ERRORS, Family, Media, Operation
from routes.ops import wire
from routes.ops.cookies import NewCookies

OPS = Family("Operations", "Ops", OPENAI.errors, OPENAI)

_TEXT = {"type": "string"}
_SAME = {304: "The caller's copy is the same."}
_OPEN_ERRORS = (400, 405, 431, 500)


def _read(path: str, summary: str, **more: Any) -> Operation:
    more.setdefault("route", path)
    return Operation(method="get", path=path, family=OPS, tag=OPS.name, summary=summary, **more)


def operations() -> list[Operation]:
    return [
        _read(
            "/",
            "Where to go on",
            description="A browser, which asks for `text/html`, is sent to the page at `/admin`.",
            access="open",
            says=wire.Root,
            empty={302: "To the page."},
            errors=_OPEN_ERRORS,
        ),
        _read(
            "/openapi.json",
            "This document",
            access="open",
            media=(Media("application/json", schema={"type": "object"}),),
            errors=_OPEN_ERRORS,
        ),
        _read(
            "/docs",
            "This document, to read and try out",
            access="open",
            media=(Media("text/html", schema=_TEXT),),
            empty=_SAME,
            errors=_OPEN_ERRORS,
        ),
        _read(
            "/docs/{path}",
            "A file of that page",
            route="/docs/{path:path}",
            access="open",
            media=tuple(
                Media(name, schema=_TEXT)
                for name in ("text/javascript", "text/css", "text/html", "text/plain", "application/json")
            ),
            empty=_SAME,
            parameters=("referenceFile",),
            errors=(400, 404, 405, 431, 500),
        ),
        _read(
            "/health",
            "How the service stands",
            description="200 as long as the process can answer. Without a key only numbers are told.",
            access="open",
            says=wire.HealthReport,
            errors=_OPEN_ERRORS,
        ),
        _read(
            "/ready",
            "Whether requests can be served",
            access="open",
            says=wire.Ready,
            unlike={503: wire.NotReady},
            errors=_OPEN_ERRORS,
        ),
        _read(
            "/metrics",
            "Prometheus",
            description="Needs no key where `server.metrics_open` says so and no proxy has handed the request on.",
            media=(Media("text/plain", schema=_TEXT),),
        ),
        _read("/api/info", "What this is", says=wire.Info),
        _read("/api/cookies/status", "How the accounts and their cookies stand", says=wire.Accounts),
        Operation(
            method="post",
            path="/api/cookies",
            route="/api/cookies",
            family=OPS,
            tag=OPS.name,
            summary="Newer cookies of an account",
            description="They are tried before the answer, which says what became of them.",
            access="admin",
            bodies=(NewCookies,),
            examples={
                "values": {"account": "alice", "secure_1psid": "g.a000...", "secure_1psidts": "sidts-..."},
                "export": {"account": "alice", "cookies": [{"name": "__Secure-1PSID", "value": "g.a000..."}]},
            },
            says=Replaced,
            errors=WORK_ERRORS,
        ),
    ]
