"""What else the gateway uses: the place for pictures, the Bark server, and the gateway itself."""

import asyncio
import base64
from importlib.metadata import version
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct

from core.clock import Clock
from core.masking import mask
from core.metrics import Metrics
from gateway import health
from gateway.alerts import bark_of
from gateway.client import Reply, ask
from gateway.doctor.findings import Finding, ok, problem, warning
from gateway.pictures import Pictures, pictures_of
from gateway.settings import Settings, SettingsError, is_loopback
from storage import StorageError, name_of
from supervisor import Note

SECONDS = 10.0
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB4iG8MwAAAABJRU5ErkJggg=="
)
"""One grey pixel."""


async def pictures(settings: Settings, clock: Clock) -> list[Finding]:
    """A picture is written, read and removed where pictures belong, and in the folder that stands in for it."""
    part = "pictures"
    try:
        places = pictures_of(settings, Metrics(), clock)
    except SettingsError as error:
        return [problem(part, str(error), "Mend the setting.")]
    folder = settings.storage.directory or settings.data_dir / "pictures"
    where = settings.s3.endpoint if settings.stores_in_s3 else f"the folder {folder}"
    try:
        found = await _tried(settings, places, where, clock)
    except StorageError as error:
        words, _, remedy = str(error).rpartition(": ")
        return [problem(part, words or str(error), remedy[:1].upper() + remedy[1:])]
    if settings.stores_in_s3:
        try:
            await places.local.check()
        except StorageError as error:
            found.append(
                warning(part, f"the folder that stands in for it: {error}", "Let the gateway write there.")
            )
    return found


async def _tried(settings: Settings, places: Pictures, where: str, clock: Clock) -> list[Finding]:
    part, name = "pictures", name_of("gempool doctor", "image/png", clock.now())
    link = await places.store.put(name, PICTURE, "image/png")
    try:
        read = await places.store.read(name)
        seen = await asyncio.to_thread(ask, link, {}, timeout=SECONDS) if settings.stores_in_s3 else None
    finally:
        await places.store.remove(name)
    if read != PICTURE:
        return [problem(part, f"{where} gives back something else than was written", "Look at its log.")]
    found = [ok(part, f"written to, read from and removed from {where}")]
    return found if seen is None else [*found, linked(settings, seen)]


def linked(settings: Settings, seen: Reply) -> Finding:
    """Whether callers can read what their links lead to, as far as can be told from here."""
    part = "pictures"
    host = urlsplit(settings.s3.public_url or settings.s3.endpoint).hostname or ""
    if seen.status == 200 and seen.body == PICTURE:
        return ok(part, f"links at {host} can be read")
    if not seen.status:
        remedy = "Open a picture's link where callers are; if it does not work there, mend S3_PUBLIC_URL."
        words = f"links at {host} cannot be tried from here ({seen.body.decode(errors='replace')})"
        # A container's localhost is its own.
        return ok(part, words) if is_loopback(host) else warning(part, words, remedy)
    return warning(
        part,
        f"links at {host} cannot be read (HTTP {seen.status})",
        "Let everybody read the bucket's objects by name there, or unset S3_PUBLIC_URL for signed links.",
    )


async def alerts(settings: Settings, push: bool) -> list[Finding]:
    """Whether the Bark server answers; with `push` a test alert goes to every device."""
    part, bark = "alerts", bark_of(settings)
    if bark is None:
        return [ok(part, "none are sent: no device is named (docs/alerts.md)")]
    try:
        if not push:
            return [await asyncio.to_thread(_ping, settings)]
        environment = settings.alerts.environment
        note = Note(
            title=f"{environment}: test",
            body="`gempool doctor` has sent this. Nothing is wrong.",
            severity="plain",
            id="gw-@test",
            group=environment,
            url=settings.alerts.admin_url,
        )
        return [
            ok(part, "has got a test alert", f"device {sent.device + 1}")
            if sent.outcome == "ok"
            else problem(
                part,
                f"{sent.outcome}: {mask(sent.detail)}",
                "Look at BARK_URL and at this key in BARK_KEYS.",
                f"device {sent.device + 1}",
            )
            for sent in await bark.push(note)
        ]
    finally:
        await bark.close()


def _ping(settings: Settings) -> Finding:
    parts = urlsplit(settings.bark.url.reveal())
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    headers = {}
    if parts.username:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    base = urlunsplit(bare).rstrip("/").removesuffix("/push")
    reply = ask(f"{base}/ping", headers, timeout=SECONDS)
    part, where = "alerts", parts.hostname or ""
    if reply.status == 200 and _message(reply) == "pong":
        count = len(settings.bark.keys)
        devices = f"{count} device{'' if count == 1 else 's'}"
        return ok(part, f"the Bark server at {where} answers, for {devices}; --push sends a test alert")
    if not reply.status:
        words = f"the Bark server at {where} cannot be reached: {reply.body.decode(errors='replace')}"
        return problem(part, words, "Look at BARK_URL, and whether this machine reaches the server.")
    if reply.status == 403:
        said = mask(_message(reply))[:200]
        return problem(
            part,
            f"what answers at {where} refuses (HTTP 403{f': {said}' if said else ''})",
            "Look at BARK_URL, and whether that server, or a proxy before it, lets this machine in.",
        )
    if reply.status == 401:
        return problem(
            part,
            f"the Bark server at {where} asks for a user and a password",
            "Write them into BARK_URL: https://user:password@host.",
        )
    return problem(
        part, f"what answers at {where} is no Bark server (HTTP {reply.status})", "Correct BARK_URL."
    )


class _Said(Struct, frozen=True):
    """What a Bark server says of any request."""

    message: str = ""


def _message(reply: Reply) -> str:
    found = health.told(reply, _Said)
    return found.message if found is not None else ""


async def gateway(settings: Settings) -> list[Finding]:
    """The one that runs here, where one does; that none runs is no fault."""
    reply = await asyncio.to_thread(health.asked, settings, "/health")
    url, told = health.address_of(settings), health.told(reply, health.Health)
    if not reply.status:
        return [ok("gateway", f"none answers on {url}")]
    if told is None or reply.status != 200:
        return [
            problem(
                "gateway",
                f"something else answers on {url} (HTTP {reply.status})",
                "End it, or choose another port with PORT.",
            )
        ]
    own = version("gemini-pool-gateway")
    if told.version != own:
        return [warning("gateway", f"{told.words}; this program is {own}", "Start the gateway anew.")]
    if told.status == "down":
        return [problem("gateway", told.words, "What else is found here says why.")]
    return [ok("gateway", told.words)]
