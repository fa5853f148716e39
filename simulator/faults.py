"""Faults: what an account, or the egress that it uses, does wrong, and on which requests."""

import random
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from simulator.config import KINDS_HINT, ControlError, Manner, is_request_kind

FaultKind: TypeAlias = Literal[
    "ok", "expired", "guest", "http", "error", "slow_first_token", "stall", "drop_before_first", "drop_mid",
    "truncate", "empty", "garbage", "rpc_fail", "latency", "slow_body", "status", "rotation_grace",
    "rotate_empty", "ip_block", "refuse_connect", "tls_broken", "chat_lost",
    "tool_reply", "json_reply",
]  # fmt: skip

EGRESS_KINDS = frozenset({"ip_block", "refuse_connect", "tls_broken"})
"""Faults of the IP address: every account behind the same egress has them."""

PARTS = {"chat_lost": "place", "tool_reply": "tools", "json_reply": "json"}
"""Kinds that befall not a request but what a prompt may want: to go on in a chat, function calls, JSON."""

_SCOPE: dict[str, tuple[str, ...]] = {
    "expired": ("all",),
    "guest": ("page", "rpc", "generate", "rotate"),
    "latency": ("all",),
    "slow_body": ("page", "rpc", "generate", "image"),
    "rpc_fail": ("rpc",),
    "status": ("rpc:otAQ7b", "generate"),
    "rotation_grace": ("rotate",),
    "rotate_empty": ("rotate",),
    "ip_block": ("page", "generate"),
    **{kind: (part,) for kind, part in PARTS.items()},
    "refuse_connect": ("connect",),
    "tls_broken": ("connect",),
}
_FREE_SCOPE = frozenset({"http", "latency", "slow_body", "drop_before_first", "rpc_fail"})
_ALSO_PICTURES = frozenset({"drop_mid", "garbage", "stall", "truncate"})
"""Kinds that befall an answer's stream or, where `on` says so, a picture's bytes."""


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """One fault. Durations in seconds.

    kind: as below; `http_429` and `error_1037` are short for http and error with that number.
    times: fires on that many requests only. probability: of firing on a request that it applies to.
    on: request kinds (page, rpc, rpc:<id>, generate, upload, image, image:<hop>, rotate, preflight, all) for
        http, latency, slow_body, drop_before_first and rpc_fail. drop_mid, garbage, stall and truncate take
        image and image:<hop> alone; others know where they belong.
    status: http: the answer's status. expired: generate's (400). rpc_fail: the RPC's; 7 refuses inside
        a 200. status: a status that also refuses generate; 0 lets it answer.
    code: error: the web app's error code. status: the account status that init is told.
    seconds: slow_first_token, latency, slow_body, rotation_grace.
    frames: stall, drop_mid, truncate: content frames that still arrive; of a picture, tenths of its bytes.
    model: error: only for this model (category, display name or hex id).
    resets_in: error 1037: when the limit ends, as the usage RPCs then tell.
    form: empty: `cid` or `bare`. garbage: `html`, `frame` or `bytes`; of a picture `html`, or `away`: the hop
        leads to a host that is none of Google's. expired: the RPCs answer `7`
        or `401`; `redirect`: the start page redirects to the sign-in. truncate: `recoverable` keeps the whole answer in the history.
        chat_lost, of prompts that go on in a chat: error `1050`, HTTP `400`, refused with `7`, or answered in a `new` chat. tool_reply, json_reply: as in `Defaults`, for this account.
    """

    kind: FaultKind
    times: int | None = None
    probability: float = 1.0
    on: tuple[str, ...] = ()
    status: int = 0
    code: int = 0
    seconds: float = 0.0
    frames: int = 2
    model: str = ""
    resets_in: float | None = None
    form: str = ""


_FORMS = {
    "empty": ("", "cid", "bare"),
    "garbage": ("", "html", "frame", "bytes", "away"),
    "expired": ("", "7", "401", "redirect"),
    "truncate": ("", "recoverable"),
    "chat_lost": ("", "1050", "400", "7", "new"),
    "tool_reply": get_args(Manner),
    "json_reply": get_args(Manner),
}
_FIELDS: dict[str, frozenset[str]] = {
    "status": frozenset({"http", "expired", "rpc_fail", "status"}),
    "code": frozenset({"error", "status"}),
    "seconds": frozenset({"slow_first_token", "latency", "slow_body", "rotation_grace"}),
    "frames": frozenset({"stall", "drop_mid", "truncate"}),
    "model": frozenset({"error"}),
    "resets_in": frozenset({"error"}),
    "form": frozenset(_FORMS),
}
"""The kinds that read a field; for the others it would say something that does not happen."""
_SHORT = re.compile(r"(http|error)_(\d{3,5})")


def expand(raw: object) -> object:
    """A control API's fault object with the short kinds (`http_429`, `error_1037`) written out."""
    if isinstance(raw, dict) and isinstance(kind := raw.get("kind"), str) and (m := _SHORT.fullmatch(kind)):
        return {**raw, **_written_out(m, raw)}
    return raw


def _written_out(short: re.Match[str], given: Mapping[str, object]) -> dict[str, object]:
    field, number = ("status" if short[1] == "http" else "code"), int(short[2])
    if given.get(field, number) != number:
        raise ControlError(f"{field}: kind {short[0]} says {number} itself; leave {field} out")
    return {"kind": short[1], field: number}


_PLAIN = Fault(kind="ok")


def check_fault(fault: Fault) -> Fault:
    """`fault`, where it makes sense; raises `ControlError` naming the field."""
    for field, kinds in _FIELDS.items():
        if fault.kind not in kinds and getattr(fault, field) != getattr(_PLAIN, field):
            raise ControlError(
                f"{field}: kind {fault.kind} does not use it, {', '.join(sorted(kinds))} do; leave it out"
            )
    if fault.resets_in is not None and fault.code != 1037:
        raise ControlError("resets_in: only error 1037, the usage limit, resets; leave it out")
    if fault.times is not None and fault.times < 1:
        raise ControlError("times: give 1 or more, or leave it out")
    if not 0 < fault.probability <= 1:
        raise ControlError("probability: give a number above 0, up to 1")
    if fault.kind == "http" and not 400 <= fault.status <= 599:
        raise ControlError("status: kind http needs a status from 400 to 599")
    if fault.kind == "error" and fault.code < 1:
        raise ControlError("code: kind error needs the web app's error code, such as 1013")
    if fault.kind == "status" and fault.code < 1:
        raise ControlError("code: kind status needs an account status code, such as 1021")
    if fault.seconds < 0 or fault.frames < 0:
        raise ControlError("seconds, frames: give zero or more")
    if fault.kind in _ALSO_PICTURES:
        if any(name.partition(":")[0] != "image" for name in fault.on):
            raise ControlError(
                f"on: kind {fault.kind} takes image and image:<hop> alone; leave it out for answers"
            )
    elif fault.on and fault.kind not in _FREE_SCOPE:
        raise ControlError(f"on: kind {fault.kind} knows where it applies; leave it out")
    for name in fault.on:
        if name != "all" and not is_request_kind(name):
            raise ControlError(f"on: {name!r} is none of all, {KINDS_HINT}")
    if fault.form == "away" and not fault.on:
        raise ControlError("form: away is for pictures; name their hops in on")
    if fault.on and fault.form in ("frame", "bytes"):
        raise ControlError("form: garbage of a picture takes html, away")
    if fault.on and fault.kind in _ALSO_PICTURES and fault.frames > 9:
        raise ControlError("frames: of a picture these are tenths of its bytes; give 0 to 9")
    if fault.kind in _FORMS and fault.form not in _FORMS[fault.kind]:
        raise ControlError(f"form: kind {fault.kind} takes {', '.join(filter(None, _FORMS[fault.kind]))}")
    return fault


def fault(kind: str, **fields: object) -> Fault:
    """A checked `Fault`; takes the short kinds too: `fault("http_429")`, `fault("error_1037", resets_in=60)`."""
    if m := _SHORT.fullmatch(kind):
        fields |= _written_out(m, fields)
        kind = str(fields.pop("kind"))
    if kind not in get_args(FaultKind):
        raise ControlError(f"kind: {kind!r} is none of {', '.join(get_args(FaultKind))}")
    return check_fault(Fault(kind=kind, **fields))  # type: ignore[arg-type]  # the names are checked above


class Faults:
    """The faults of one account or egress. Chances are drawn from a seeded source."""

    def __init__(self, seed: str) -> None:
        self._active: list[tuple[Fault, float]] = []
        self._left: dict[int, int] = {}
        self._random = random.Random(seed)  # noqa: S311  # a repeatable draw is wanted

    def __bool__(self) -> bool:
        return bool(self._active)

    def replace(self, faults: tuple[Fault, ...], now: float) -> None:
        """Set the faults; `ok` or none clears them."""
        self._active = [(f, now) for f in faults if f.kind != "ok"]
        self._left = {n: f.times for n, (f, _) in enumerate(self._active) if f.times is not None}

    def shown(self) -> list[dict[str, object]]:
        """The active faults with what is left of `times`, for the control API."""
        return [
            {"kind": f.kind, "status": f.status, "code": f.code, "left": self._left.get(n)}
            for n, (f, _) in enumerate(self._active)
            if self._left.get(n) != 0
        ]

    def active(self, kind: str) -> tuple[Fault, float] | None:
        """The fault of that kind and when it was set, without using it up."""
        for n, (f, since) in enumerate(self._active):
            if f.kind == kind and self._left.get(n) != 0:
                return f, since
        return None

    def limits(self) -> list[tuple[Fault, float]]:
        """Usage limits (error 1037) with their reset time in wall clock seconds."""
        return [
            (f, since + f.resets_in)
            for n, (f, since) in enumerate(self._active)
            if f.kind == "error" and f.code == 1037 and f.resets_in is not None and self._left.get(n) != 0
        ]

    def hits(self, request: str, model: tuple[str, ...] = ()) -> dict[str, Fault]:
        """The faults, by kind, that fire on a request of this kind (`page`, `rpc:otAQ7b`, ...);
        their `times` are used up."""
        fired: dict[str, Fault] = {}
        for n, (f, _) in enumerate(self._active):
            if f.kind in fired or self._left.get(n) == 0 or not _applies(f, request):
                continue
            if f.model and model and f.model.lower() not in model:
                continue
            if f.probability < 1 and self._random.random() >= f.probability:
                continue
            if n in self._left:
                self._left[n] -= 1
            fired[f.kind] = f
        return fired


def _applies(f: Fault, request: str) -> bool:
    if f.kind in PARTS or request in PARTS.values():
        return PARTS.get(f.kind) == request
    if f.kind == "status" and request == "generate" and not f.status:
        return False
    scope = f.on or _SCOPE.get(f.kind, ("generate",))
    return "all" in scope or request in scope or request.partition(":")[0] in scope
