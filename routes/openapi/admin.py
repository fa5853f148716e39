"""The operator's page and what it asks."""

from typing import Any

from engine.service import Checked, Turn, View
from routes.admin import wire
from routes.openapi.openai import OPENAI
from routes.openapi.operations import EVENTS, READ_ERRORS, Family, Media, Operation

ADMIN = Family("Admin", "Admin", OPENAI.errors, OPENAI)

_TEXT = {"type": "string"}
_OPEN_ERRORS = (400, 404, 405, 431, 500)
_SESSION = "/admin/api/session"
_LIVE = (
    "`view` tells how everything stands, `turn` what has changed since, once a second at most. `bye` is the last event where the"
    " session is over (`session_expired`) or the gateway stops (`shutting_down`), `failure` where the stream broke."
)
_OWN = (
    "The page shows its session's cookie, which counts for its own requests alone: those that change something carry"
    " `x-gempool-page: 1`. Everybody else shows the admin key."
)


def operations() -> list[Operation]:
    return [*_page(), *_sessions(), *_desk()]


def _operation(method: Any, path: str, summary: str, **more: Any) -> Operation:
    more.setdefault("route", path)
    more.setdefault("access", "admin")
    return Operation(method=method, path=path, family=ADMIN, tag=ADMIN.name, summary=summary, **more)


def _page() -> list[Operation]:
    same = {304: "The caller's copy is the same."}
    return [
        _operation(
            "get",
            "/admin",
            "The operator's page",
            access="open",
            media=(Media("text/html", schema=_TEXT),),
            empty={**same, 308: "It is at `/admin`, without a slash at the end."},
            errors=_OPEN_ERRORS,
        ),
        _operation(
            "get",
            "/admin/{path}",
            "A file of the page",
            route="/admin/{path:path}",
            access="open",
            media=tuple(
                Media(name, schema=_TEXT)
                for name in ("text/javascript", "text/css", "text/html", "text/plain", "image/*")
            ),
            empty=same,
            parameters=("pageFile",),
            errors=_OPEN_ERRORS,
        ),
    ]


def _sessions() -> list[Operation]:
    return [
        _operation(
            "get",
            _SESSION,
            "Whether somebody is signed in to the page",
            access="open",
            says=wire.SessionState,
            errors=(400, 405, 431, 500),
        ),
        _operation(
            "post",
            _SESSION,
            "Sign in to the page",
            description="The answer's cookie stands for the admin key. Ten wrong keys a minute may come from one address.",
            access="open",
            bodies=(wire.SignIn,),
            examples={"key": {"key": "root"}},
            says=wire.SessionState,
            errors=(400, 401, 403, 405, 408, 413, 415, 429, 431, 500),
        ),
        _operation(
            "delete",
            _SESSION,
            "Sign out of the page",
            access="open",
            description="Ends the session that the cookie names, with all its copies and live streams, in all replicas. 200 where the"
            " store does not answer, so that other replicas will be told later.",
            says=wire.SignedOut,
            empty={204: "The session has ended, and the cookie is taken back."},
            errors=(400, 403, 405, 431, 500),
        ),
    ]


def _desk() -> list[Operation]:
    account = "/admin/api/accounts/{id}"

    def on_account(action: str, summary: str, description: str = _OWN) -> Operation:
        return _operation(
            "post",
            f"{account}/{action}",
            summary,
            route=f"/admin/api/accounts/{{id:str}}/{action}",
            description=description,
            says=Checked,
            parameters=("account",),
            errors=READ_ERRORS,
        )

    return [
        _operation("get", "/admin/api/view", "How everything stands", description=_OWN, says=View),
        _operation(
            "get",
            "/admin/api/live",
            "What happens, as it happens",
            description=_LIVE,
            media=(Media(EVENTS, events=(View, Turn, wire.Bye)),),
        ),
        _operation(
            "get",
            account,
            "How an account stands, and what befell it",
            route="/admin/api/accounts/{id:str}",
            says=wire.AccountDetail,
            parameters=("account",),
        ),
        on_account("probe", "Probe an account now"),
        on_account("enable", "Let an account serve that was set aside"),
        on_account("disable", "Set an account aside"),
        on_account("clear", "End an account's cooldowns", "A quarantine ends by a probe alone."),
    ]
