"""Who a request comes from: cookies are checked here, and nowhere else."""

from collections import deque
from typing import Literal, TypeAlias

from msgspec import Struct

from core.clock import Clock
from simulator.accounts import Account, Accounts, Egress
from simulator.config import Defaults, Script
from simulator.http import Reply, Request
from simulator.journal import Journal
from simulator.pictures import Pictures

Standing: TypeAlias = Literal["signed_in", "guest", "dead", "refused"]
"""dead: cookies that were good once. refused: cookies that no correct client would send here."""

PSID, PSIDTS = "__Secure-1PSID", "__Secure-1PSIDTS"


class World(Struct):
    """What the parts of the web app share."""

    accounts: Accounts
    journal: Journal
    pictures: Pictures
    clock: Clock
    defaults: Defaults
    scripts: deque[Script]


class Visitor(Struct, frozen=True):
    """account: whose journal the request goes to. has_nid: carries the cookie that www.google.com sets."""

    account: Account
    standing: Standing
    has_nid: bool


def cookies(request: Request) -> list[tuple[str, str]]:
    pairs = []
    for item in request.headers.get("cookie", "").split(";"):
        name, _, value = item.strip().partition("=")
        if name:
            pairs.append((name, value))
    return pairs


def identify(world: World, request: Request, egress: Egress) -> Visitor:
    """The visitor; what is wrong with the cookies becomes an anomaly."""
    accounts, journal = world.accounts, world.journal
    guest = accounts.guest(egress)
    pairs = cookies(request)
    psids = {value for name, value in pairs if name == PSID}
    stamps = {value for name, value in pairs if name == PSIDTS}
    nids = {value for name, value in pairs if name == "NID"}

    def refused(who: Account, kind: str, detail: str) -> Visitor:
        journal.anomaly(who.id, kind, detail)
        return Visitor(who, "refused", bool(nids))

    if nids - {egress.nid}:
        return refused(guest, "mixed_cookies", "NID was set for another egress")
    if len(psids) > 1 or len(stamps) > 1:
        return refused(guest, "mixed_cookies", "the same cookie arrived with two values")
    if not psids:
        if stamps:
            return refused(guest, "wrong_cookies", f"{PSIDTS} without {PSID}")
        return Visitor(guest, "guest", bool(nids))

    psid = psids.pop()
    account = accounts.by_psid(psid)
    if account is None:
        if (owner := accounts.retired(psid)) is not None:
            return Visitor(accounts.get(owner) or guest, "dead", bool(nids))
        return refused(guest, "wrong_cookies", f"{PSID} was never issued")
    if account.egress is not egress:
        return refused(account, "foreign_egress", f"cookies of {account.id} came through {egress.name}")
    for name, value in pairs:
        if name in ("SIDCC", "__Secure-1PSIDCC") and value != account.psidcc:
            return refused(account, "mixed_cookies", f"{name} is not this account's")
    if not stamps:
        return refused(account, "wrong_cookies", f"{PSIDTS} is missing")
    stamp = stamps.pop()
    state = account.psidts_state(stamp, world.clock.now())
    if state == "unknown":
        owner_of = next((a.id for a in accounts if a.psidts_state(stamp, 0.0) != "unknown"), None)
        if owner_of is not None:
            return refused(account, "mixed_cookies", f"{PSIDTS} belongs to {owner_of}")
        return refused(account, "wrong_cookies", f"{PSIDTS} was never issued")
    if state == "stale":
        account.journal.notes.append({"at": world.clock.now(), "kind": "stale_psidts"})
    return Visitor(account, "dead" if state == "stale" else "signed_in", bool(nids))


ORIGIN = "https://gemini.google.com"


def check_post(world: World, request: Request, visitor: Visitor, build: str, *, lax: bool) -> Reply | None:
    """The refusal of a POST to the web app that no page of ours would send, or None.

    lax: the session is known to be dead or a guest's, so its token and session id prove nothing.
    """
    account = visitor.account

    def refuse(status: int, kind: str, detail: str) -> Reply:
        world.journal.anomaly(account.id, kind, detail)
        return Reply(status=status, body=b"refused")

    headers = request.headers
    if request.method != "POST":
        return refuse(405, "bad_request", f"{request.method} {request.path}")
    if headers.get("x-same-domain") != "1":
        return refuse(400, "bad_headers", "X-Same-Domain is not 1")
    if headers.get("origin") != ORIGIN or not headers.get("referer", "").startswith(ORIGIN + "/"):
        return refuse(403, "bad_headers", "Origin or Referer is not the web app's")
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return refuse(400, "bad_headers", "Content-Type is not a form's")
    query = request.parameters()
    if query.get("rt") != "c" or not query.get("hl") or not query.get("_reqid", "").isdigit():
        return refuse(400, "bad_request", "rt, hl or _reqid is missing or wrong")
    if query.get("bl") != build:
        return refuse(400, "wrong_build", "bl is not the build label of the start page")
    if lax:
        return None
    if query.get("f.sid") != account.session_id:
        return refuse(400, "wrong_session_id", "f.sid is not the start page's")
    return None
