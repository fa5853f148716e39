"""Uploads, and the hops that a picture's download takes."""

import hashlib
import re
import secrets

from simulator.accounts import Account, Egress, Upload
from simulator.http import End, Reply, Request
from simulator.journal import SentFile
from simulator.painting import MIME
from simulator.pictures import PREVIEW_PIXELS, WEB_PIXELS, Picture
from simulator.visitors import World, cookies, identify

_SIZED = re.compile(r"(?P<token>[A-Za-z0-9_-]+)(?:=s(?P<size>\d+)(?:-rj)?|=(?P<full>d-I))?")
_DISPOSITION = re.compile(rb'name="file"(?:;\s*filename="(?P<name>[^"]*)")?', re.IGNORECASE)
_PART_TYPE = re.compile(rb"^content-type:\s*([^\r\n]+)", re.IGNORECASE | re.MULTILINE)
_SIGNED_IN_HOST = "work.fife.usercontent.google.com"
"""The one host of pictures that may see the cookies."""
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def upload(world: World, request: Request, egress: Egress) -> tuple[Account, Reply]:
    """The account that the Push-ID names, and the answer: a reference in plain text."""
    accounts, journal = world.accounts, world.journal
    guest = accounts.guest(egress)
    account = accounts.by_push_id(request.headers.get("push-id", ""))

    def refuse(who: Account, status: int, kind: str, detail: str) -> tuple[Account, Reply]:
        journal.anomaly(who.id, kind, detail)
        return who, Reply(status=status, body=b"refused")

    if account is None:
        return refuse(guest, 403, "wrong_push_id", "Push-ID is not one of a start page")
    account.journal.counts["upload"] += 1
    if account.egress is not egress:
        return refuse(account, 403, "foreign_egress", f"Push-ID of {account.id} came through {egress.name}")
    if any(name.startswith("__Secure") for name, _ in cookies(request)):
        return refuse(account, 400, "leaked_cookies", "google.com cookies were sent to googleapis.com")
    if request.headers.get("x-tenant-id") != "bard-storage":
        return refuse(account, 400, "bad_headers", "X-Tenant-Id is not bard-storage")
    part = _multipart(request)
    if part is None:
        return refuse(account, 400, "bad_request", "the body is no multipart form with a part named file")
    name, content_type, data = part
    if content_type.startswith("text/") and data.startswith(_MAGIC):
        account.journal.notes.append({"at": world.clock.now(), "kind": "image_as_text", "name": name})
    reference = f"/contrib_service/ttl_1d/{int(world.clock.now())}{secrets.token_hex(12)}"
    file = SentFile(name, content_type, len(data), hashlib.sha256(data).hexdigest())
    account.keep_upload(Upload(reference, file))
    return account, Reply(body=reference.encode(), content_type="text/plain; charset=utf-8")


def _multipart(request: Request) -> tuple[str, str, bytes] | None:
    """(name, type, bytes) of the part named `file`."""
    kind, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    if not kind.startswith("multipart/form-data") or not boundary:
        return None
    for section in request.body.split(b"--" + boundary.strip('"').encode())[1:-1]:
        header, _, data = section.partition(b"\r\n\r\n")
        if (found := _DISPOSITION.search(header)) is not None:
            declared = _PART_TYPE.search(header)
            name = (found["name"] or b"").decode("utf-8", "replace")
            return (
                name,
                declared[1].decode("latin-1") if declared else "text/plain",
                data.removesuffix(b"\r\n"),
            )
    return None


def picture(world: World, request: Request, host: str, egress: Egress) -> tuple[Account, str, Reply]:
    """The account that the picture belongs to, the hop (`image:full-2`; `image` where it is none), and the answer:
    a redirect, a url in plain text, or bytes."""
    guest = world.accounts.guest(egress)
    folder, _, rest = request.path.lstrip("/").partition("/")
    found = _SIZED.fullmatch(rest)
    known = world.pictures.get(found["token"]) if found else None
    owner = world.accounts.get(known.account) if known else None
    leaked = host != _SIGNED_IN_HOST and any(name.startswith("__Secure") for name, _ in cookies(request))
    anomaly = world.journal.anomaly
    if found is None or known is None:
        if leaked:
            anomaly(guest.id, "leaked_cookies", f"google.com cookies were sent to {host}")
        return guest, "image", Reply(status=404, body=b"no such picture")
    account = owner or guest
    account.journal.counts["image"] += 1
    if owner is not None and owner.egress is not egress:
        anomaly(owner.id, "foreign_image", f"a picture of {owner.id} came through {egress.name}")
        return account, "image", Reply(status=403, body=b"Forbidden")
    if owner is not None and known.cid in owner.deleted and not known.web:
        anomaly(owner.id, "deleted_chat", f"a picture of {known.cid}, which is gone")
        return account, "image", Reply(status=404, body=b"no such picture")
    if host == _SIGNED_IN_HOST:
        visitor = identify(world, request, egress)
        dead = owner is not None and owner.faults.active("expired") is not None
        if visitor.standing != "signed_in" or visitor.account is not owner or dead:
            return account, "image", Reply(status=403, body=b"Forbidden")
    elif leaked:
        anomaly(account.id, "leaked_cookies", f"google.com cookies were sent to {host}")
        return account, "image", Reply(status=400, body=b"refused")
    size = int(found["size"]) if found["size"] else None
    kind, reply = _hop(world, known, host, folder, size, full=found["full"] is not None)
    account.journal.counts[kind] += kind != "image"
    if kind in ("image:full-1", "image:full-2") and request.query != "alr=yes":
        anomaly(account.id, "bad_request", "the full size of a picture was asked for without alr=yes")
        return account, kind, Reply(status=400, body=b"bad request")
    return account, kind, reply


def _hop(
    world: World, picture: Picture, host: str, folder: str, size: int | None, *, full: bool
) -> tuple[str, Reply]:
    """Which hop it is and where the download goes next.

    Sized:  lh3/gg-dl/T=sN-rj -302-> work.fife/rd-gg-dl/T=sN-rj -302-> lh3/rd-gg-dl/T=sN-rj: bytes.
    Full:   lh3/gg/T=d-I?alr=yes -text-> work.fife/rd-gg/T=d-I?alr=yes -text-> lh3/rd-gg/T=d-I: bytes.
    """
    fife, lh3 = "https://work.fife.usercontent.google.com", "https://lh3.googleusercontent.com"
    at_lh3 = host == "lh3.googleusercontent.com"
    token = picture.token
    if picture.web:
        at_web = host == "encrypted-tbn0.gstatic.com"
        return "image:web", _bytes(world, picture, WEB_PIXELS) if at_web else Reply(status=404)
    if size is not None and at_lh3 and folder == "gg-dl":
        if not world.defaults.redirects:
            return "image:sized-3", _bytes(world, picture, size)
        return "image:sized-1", _redirect(f"{fife}/rd-gg-dl/{token}=s{size}-rj")
    if size is not None and folder == "rd-gg-dl":
        if at_lh3:
            return "image:sized-3", _bytes(world, picture, size)
        return "image:sized-2", _redirect(f"{lh3}/rd-gg-dl/{token}=s{size}-rj")
    if full and at_lh3 and folder == "gg":
        return "image:full-1", _text(f"{fife}/rd-gg/{token}=d-I?alr=yes")
    if full and folder == "rd-gg":
        if at_lh3:
            return "image:full-3", _bytes(world, picture, 0)
        return "image:full-2", _text(f"{lh3}/rd-gg/{token}=d-I")
    if at_lh3 and folder == "gg-dl" and size is None and not full:
        return "image:sized-3", _bytes(world, picture, PREVIEW_PIXELS)
    return "image", Reply(status=404, body=b"no such form of the picture")


def _redirect(url: str) -> Reply:
    return Reply(status=302, headers=(("Location", url),))


def _text(url: str) -> Reply:
    return Reply(body=url.encode(), content_type="text/plain; charset=utf-8")


def _bytes(world: World, picture: Picture, side: int) -> Reply:
    """side: the longest that is wanted, 0 for the original; never more than the original has."""
    look, painter = picture.look, world.pictures.painter
    side = min(max(16, side), max(look.width, look.height)) if side else 0
    account, clock = world.accounts.get(picture.account), world.clock

    def ended(end: End) -> None:
        if end == "aborted" and account is not None:
            account.journal.aborted.append({"at": clock.now(), "kind": "image", "cid": picture.cid})

    return Reply(make=lambda: painter.file(look, side), content_type=MIME[look.format], on_end=ended)
