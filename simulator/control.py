"""The control API: JSON over HTTP on loopback. Routes and arguments only; the work is `Simulator`'s."""

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from simulator.config import AccountSpec, ControlError, Defaults, Script
from simulator.faults import Fault, expand
from simulator.http import Reply, Request
from simulator.journal import Anomaly, PromptRecord


class Controlled(Protocol):
    """What the API may ask of the simulator. Unknown accounts raise `LookupError`."""

    @property
    def accounts(self) -> list[dict[str, str]]: ...
    @property
    def defaults(self) -> Defaults: ...
    def account(self, account: str) -> dict[str, object]: ...
    def erase_chats(self, account: str) -> None: ...
    def add_account(self, spec: AccountSpec) -> dict[str, str]: ...
    def remove_account(self, account: str) -> None: ...
    def issue_cookies(self, account: str) -> dict[str, str]: ...
    def set_fault(self, account: str, *faults: Fault) -> None: ...
    def clear_fault(self, account: str) -> None: ...
    def queue_reply(self, script: Script, account: str | None = None) -> None: ...
    def set_defaults(self, **changes: Any) -> Defaults: ...
    def journal(self) -> list[PromptRecord]: ...
    def clear_journal(self) -> None: ...
    def anomalies(self) -> list[Anomaly]: ...
    def clear_anomalies(self) -> None: ...
    def reset(self) -> None: ...


T = TypeVar("T")


class _NoFields(msgspec.Struct, forbid_unknown_fields=True):
    """Cookies are made up, not handed in."""


class Control:
    """`handle` is what a `http.Connection` calls."""

    def __init__(self, simulator: Controlled) -> None:
        self._simulator = simulator

    def handle(self, request: Request) -> Reply:
        path = request.path.rstrip("/") or "/"
        allowed = []
        for method, pattern, action in _ROUTES:
            if (found := pattern.fullmatch(path)) is None:
                continue
            allowed.append(method)
            if method != request.method:
                continue
            try:
                return _json(200, action(self._simulator, found.groupdict().get("id", ""), request.body))
            except ControlError as error:
                return _json(400, {"error": str(error)})
            except RecursionError:
                return _json(400, {"error": "body: it is nested too deeply; send what the README shows"})
            except LookupError as error:
                return _json(404, {"error": str(error.args[0])})
        if allowed:
            return _json(405, {"error": f"{path} takes {', '.join(allowed)}"})
        return _json(404, {"error": f"no such route: {request.method} {path}"})


def _json(status: int, body: object) -> Reply:
    return Reply(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _decode(body: bytes, kind: type[T], rewrite: Callable[[object], object] = lambda raw: raw) -> T:
    """The body as a struct; a wrong one raises `ControlError` naming the field."""
    try:
        return msgspec.convert(rewrite(msgspec.json.decode(body or b"{}")), kind)
    except msgspec.ValidationError as error:
        message = str(error)
        field = message.rpartition("`$")[2].rstrip("`").lstrip(".") if "`$" in message else ""
        raise ControlError(f"{field}: {message}" if field else message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ControlError(f"body: send JSON ({error})") from error


def _set_fault(simulator: Controlled, account: str, body: bytes) -> object:
    raw = _decode(body, object)
    faults = [
        _decode(msgspec.json.encode(one), Fault, expand) for one in (raw if isinstance(raw, list) else [raw])
    ]
    simulator.set_fault(account, *faults)
    return simulator.account(account)["faults"]


def _clear_fault(simulator: Controlled, account: str, _body: bytes) -> object:
    simulator.clear_fault(account)
    return []


def _queue(simulator: Controlled, account: str, body: bytes) -> object:
    raw = _decode(body, object)
    scripts = [_decode(msgspec.json.encode(one), Script) for one in (raw if isinstance(raw, list) else [raw])]
    for script in scripts:
        simulator.queue_reply(script, account or None)
    return {"queued": len(scripts)}


def _set_defaults(simulator: Controlled, _account: str, body: bytes) -> object:
    changes = _decode(body, dict)
    merged = {**msgspec.to_builtins(simulator.defaults), **changes}
    _decode(msgspec.json.encode(merged), Defaults)
    return simulator.set_defaults(**changes)


def _done(call: Callable[[Controlled], None]) -> Callable[[Controlled, str, bytes], object]:
    def action(simulator: Controlled, _account: str, _body: bytes) -> object:
        call(simulator)
        return {"done": True}

    return action


def _issue_cookies(simulator: Controlled, account: str, body: bytes) -> object:
    _decode(body, _NoFields)
    return simulator.issue_cookies(account)


def _remove(simulator: Controlled, account: str, _body: bytes) -> object:
    simulator.remove_account(account)
    return {"done": True}


def _erase(simulator: Controlled, account: str, _body: bytes) -> object:
    simulator.erase_chats(account)
    return {"done": True}


_ID = r"/accounts/(?P<id>[^/]+)"
_ROUTES: list[tuple[str, re.Pattern[str], Callable[[Controlled, str, bytes], object]]] = [
    (method, re.compile(pattern), action)
    for method, pattern, action in (
        ("GET", "/health", lambda s, _a, _b: {"status": "ok", "accounts": len(s.accounts)}),
        ("GET", "/accounts", lambda s, _a, _b: s.accounts),
        ("POST", "/accounts", lambda s, _a, b: s.add_account(_decode(b, AccountSpec))),
        ("GET", _ID, lambda s, a, _b: s.account(a)),
        ("DELETE", _ID, _remove),
        ("PUT", _ID + "/fault", _set_fault),
        ("DELETE", _ID + "/fault", _clear_fault),
        ("POST", _ID + "/replies", _queue),
        ("DELETE", _ID + "/chats", _erase),
        ("POST", _ID + "/cookies", _issue_cookies),
        ("POST", "/replies", _queue),
        ("GET", "/defaults", lambda s, _a, _b: s.defaults),
        ("PUT", "/defaults", _set_defaults),
        ("GET", "/anomalies", lambda s, _a, _b: s.anomalies()),
        ("DELETE", "/anomalies", _done(lambda s: s.clear_anomalies())),
        ("GET", "/journal", lambda s, _a, _b: s.journal()),
        ("DELETE", "/journal", _done(lambda s: s.clear_journal())),
        ("POST", "/reset", _done(lambda s: s.reset())),
    )
]
