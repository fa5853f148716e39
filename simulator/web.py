"""The web app: hosts and paths, the start page, RPCs, rotation, and the faults that any request may have."""

from collections.abc import Callable

import msgspec

from simulator.accounts import BUILD_LABEL, Account, Egress
from simulator.faults import Fault
from simulator.files import picture, upload
from simulator.generate import generate
from simulator.http import Reply, Request
from simulator.rpcs import RPCS, BadBatch, batch, parse_batch
from simulator.visitors import Visitor, World, check_post, identify

HOSTS = (
    "gemini.google.com",
    "accounts.google.com",
    "www.google.com",
    "content-push.googleapis.com",
    "lh3.googleusercontent.com",
    "work.fife.usercontent.google.com",
    "encrypted-tbn0.gstatic.com",
)
_PICTURE_HOSTS = HOSTS[4:]
_BATCH = "/_/BardChatUi/data/batchexecute"
_GENERATE = "/_/BardChatUi/data/assistant.lamda.BardFrontendService/StreamGenerate"
_ROTATE_BODY = b'[000,"-0000000000000000000"]'
_SOURCES = ("/app", "/usage")
_YEAR = "Max-Age=31536000"


class WebApp:
    """Answers requests that came through an egress. Collaborators are in the `World`.

    changed: called when a cookie changed, so that it is kept over a restart.
    """

    def __init__(self, world: World, changed: Callable[[], None]) -> None:
        self._world = world
        self._changed = changed

    def handle(self, request: Request, host: str, egress: Egress) -> Reply:
        world, path = self._world, request.path
        if host == "content-push.googleapis.com" and path == "/upload" and request.method == "POST":
            account, reply = upload(world, request, egress)
            return self._spoil(account, "upload", reply)
        if host in _PICTURE_HOSTS and request.method == "GET":
            account, kind, reply = picture(world, request, host, egress)
            return self._spoil(account, kind, reply)
        if host == "www.google.com" and path == "/":
            return self._preflight(egress)
        if host == "accounts.google.com" and path == "/RotateCookies":
            return self._rotate(request, identify(world, request, egress))
        if host == "accounts.google.com" and path == "/ServiceLogin":
            return Reply(body=_SIGN_IN)
        if host == "gemini.google.com":
            visitor = identify(world, request, egress)
            if path == "/app" and request.method == "GET":
                return self._page(visitor)
            if path == _BATCH:
                return self._batch(request, visitor)
            if path == _GENERATE:
                return generate(world, request, visitor)
        world.journal.anomaly(egress.name, "unknown_path", f"{request.method} {host}{path}")
        return Reply(status=404, body=b"not found")

    def _page(self, visitor: Visitor) -> Reply:
        account = visitor.account
        account.journal.counts["page"] += 1
        hits = account.faults.hits("page")
        if account.egress.faults.hits("page"):
            return Reply(status=429, body=b"<html>unusual traffic from your network</html>")
        if "expired" in hits and hits["expired"].form == "redirect":
            sign_in = ("Location", "https://accounts.google.com/ServiceLogin")
            reply = Reply(status=302, headers=(sign_in,))
        elif visitor.standing in ("dead", "refused") or "expired" in hits:
            reply = Reply(body=_SIGN_IN)
        elif visitor.standing == "guest":
            known = visitor.has_nid and self._world.defaults.guests
            reply = Reply(body=_start_page(account, token="") if known else _CONSENT)
        elif "guest" in hits:
            reply = Reply(body=_start_page(account, token=""))
        else:
            cookies = tuple(
                ("Set-Cookie", f"{name}={account.psidcc}; {_YEAR}; Domain=.google.com; Path=/; Secure{tail}")
                for name, tail in (("__Secure-1PSIDCC", "; HttpOnly"), ("SIDCC", ""))
            )
            reply = Reply(body=_start_page(account, token=account.token), headers=cookies)
        return self._apply(hits, "page", reply)

    def _preflight(self, egress: Egress) -> Reply:
        account = self._world.accounts.guest(egress)
        account.journal.counts["preflight"] += 1
        tail = f"; {_YEAR}; Domain=.google.com; Path=/; Secure"
        cookies = (
            ("Set-Cookie", f"NID={egress.nid}{tail}"),
            ("Set-Cookie", f"AEC=AVh_V2{egress.name}{tail}"),
        )
        return self._spoil(account, "preflight", Reply(body=b"<html>Google</html>", headers=cookies))

    def _batch(self, request: Request, visitor: Visitor) -> Reply:
        world, account = self._world, visitor.account
        guest = visitor.standing == "guest" or account.faults.active("guest") is not None
        dead = visitor.standing == "dead" or account.faults.active("expired") is not None
        if visitor.standing == "refused":
            account.journal.counts["rpc:?"] += 1
            return Reply(status=403, body=b"Forbidden")
        if (refusal := check_post(world, request, visitor, BUILD_LABEL, lax=guest or dead)) is not None:
            return refusal
        query, form = request.parameters(), request.form()
        if not guest and not dead and form.get("at") != account.token:
            world.journal.anomaly(account.id, "wrong_token", "at is not the start page's token")
            return Reply(status=400, body=b"xsrf")
        try:
            calls = parse_batch(form.get("f.req", ""))
            if query.get("rpcids") != ",".join(rpcid for rpcid, _ in calls):
                raise BadBatch("rpcids does not list the calls of f.req")
            if query.get("source-path") not in _SOURCES:
                raise BadBatch("source-path is missing or unknown")
        except BadBatch as error:
            world.journal.anomaly(account.id, "bad_request", str(error))
            return Reply(status=400, body=b"bad request")
        for rpcid, _ in calls:
            account.journal.counts[f"rpc:{rpcid}"] += 1
            if rpcid not in RPCS:
                world.journal.anomaly(account.id, "unknown_rpc", rpcid)
                return Reply(status=400, body=b"unknown rpc")
        kind = f"rpc:{calls[0][0]}"
        hits = account.faults.hits(kind)
        if "expired" in hits and hits["expired"].form == "401":
            return self._apply(hits, kind, Reply(status=401))
        if "rpc_fail" in hits and hits["rpc_fail"].status not in (0, 7):
            return self._apply(hits, kind, Reply(status=hits["rpc_fail"].status))
        try:
            body = batch(world, account, calls, guest=guest, dead=dead, hits=hits)
        except BadBatch as error:
            world.journal.anomaly(account.id, "bad_request", str(error))
            return Reply(status=400, body=b"bad request")
        return self._apply(hits, kind, Reply(body=body, content_type="application/json; charset=utf-8"))

    def _rotate(self, request: Request, visitor: Visitor) -> Reply:
        world, account = self._world, visitor.account
        account.journal.counts["rotate"] += 1
        headers = request.headers
        right = request.method == "POST" and request.body == _ROTATE_BODY
        typed = headers.get("content-type", "").startswith("application/json")
        if not right or not typed or headers.get("origin") != "https://accounts.google.com":
            world.journal.anomaly(
                account.id, "bad_rotation", "body, Content-Type or Origin is not the library's"
            )
            return Reply(status=400, body=b"bad request")
        hits = account.faults.hits("rotate")
        if visitor.standing != "signed_in" or "expired" in hits or "guest" in hits:
            return self._apply(hits, "rotate", Reply(status=401))
        now = world.clock.now()
        if now - account.rotated_at < world.defaults.rotation_spacing:
            account.journal.notes.append({"at": now, "kind": "rotated_too_soon"})
            return self._apply(hits, "rotate", Reply(status=429))
        reply = self._apply(
            hits, "rotate", Reply(body=b'[["identity.hfcr",600],["di",17]]', content_type="application/json")
        )
        if reply.status == 200 and "rotate_empty" not in hits:
            grace = (
                hits["rotation_grace"].seconds if "rotation_grace" in hits else world.defaults.rotation_grace
            )
            account.rotate(now, grace)
            self._changed()
            tail = f"; {_YEAR}; Domain=.google.com; Path=/; Secure; HttpOnly"
            reply.headers = tuple(
                ("Set-Cookie", f"__Secure-{n}PSIDTS={account.kept.psidts}{tail}") for n in (1, 3)
            )
        return reply

    def _spoil(self, account: Account, kind: str, reply: Reply) -> Reply:
        return self._apply(account.faults.hits(kind), kind, reply)

    def _apply(self, hits: dict[str, Fault], kind: str, reply: Reply) -> Reply:
        """Faults that any request may have: a status, a reset, latency, a slow body; and what may befall a picture."""
        latency, whole = self._world.defaults.latency, kind.partition(":")[0]
        wait = latency.get(kind, 0.0) + (latency.get(whole, 0.0) if whole != kind else 0.0)
        if "drop_before_first" in hits:
            return Reply(status=0, wait=wait)
        if "http" in hits:
            reply = Reply(status=hits["http"].status, body=b"<html>error</html>")
        reply.wait = wait + (hits["latency"].seconds if "latency" in hits else 0.0)
        if "slow_body" in hits:
            reply.seconds = hits["slow_body"].seconds
        return _broken_picture(hits, reply) if whole == "image" and reply.status in (200, 302) else reply


def _broken_picture(hits: dict[str, Fault], reply: Reply) -> Reply:
    """Faults of an answer's stream that may be told to befall a picture: `frames` are tenths of its body."""
    if "garbage" in hits and hits["garbage"].form == "away":
        redirects = reply.status == 302
        reply.headers = (("Location", _AWAY),) if redirects else ()
        reply.make, reply.body = None, b"" if redirects else _AWAY.encode()
    elif "garbage" in hits:
        reply.status, reply.headers = 200, ()
        reply.make, reply.body = None, _SORRY
        reply.content_type = "text/html; charset=utf-8"
    if "truncate" in hits:
        reply.kept = hits["truncate"].frames / 10
    for kind, ending in (("drop_mid", "reset"), ("stall", "silence")):
        if kind in hits:
            reply.sent, reply.ending = hits[kind].frames / 10, ending  # type: ignore[assignment]  # both are endings
    return reply


_SIGN_IN = (
    b"<!doctype html><html><title>Sign in - Google Accounts</title><body>Sign in to continue</body></html>"
)
_AWAY = "https://lh3.googleusercontent.com.example.org/rd-gg/picture"
_SORRY = b"<!doctype html><html><title>Sorry...</title><body>unusual traffic</body></html>"
_CONSENT = b"<!doctype html><html><title>Before you continue to Google</title><body>Cookies</body></html>"


def _start_page(account: Account, token: str) -> bytes:
    values = {
        "cfb2h": BUILD_LABEL,
        "FdrFJe": account.session_id,
        "TuX5cc": "en",
        "qKIAYe": account.push_id,
        **({"SNlM0e": token} if token else {}),
    }
    data = msgspec.json.encode(values).decode()
    return f"<!doctype html><html><head><title>Gemini</title><script>window.WIZ_global_data = {data};</script></head><body></body></html>".encode()
