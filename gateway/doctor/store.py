"""The store: is it there, does it last, is it quick, and does its clock agree."""

import time
from statistics import median
from urllib.parse import urlsplit

from core.clock import Clock
from core.wire import Address, ServerError, Wire, WireError
from gateway.doctor.findings import Finding, ok, problem, warning
from gateway.embedded import EmbeddedStore
from gateway.settings import Settings

PART = "store"
SECONDS = 3.0
OLDEST = (7, 0)
SLOW = 0.01
"""Seconds for an answer. A request takes some ten of them, one after the other."""
OFF, FAR_OFF = 2.0, 60.0
"""Seconds between two clocks."""
_KEY = "{gempool}:doctor"


def store_url(settings: Settings) -> str:
    if settings.redis_url:
        return settings.redis_url.reveal()
    return EmbeddedStore(settings.data_dir / "store").url


async def store(settings: Settings, clock: Clock) -> list[Finding]:
    """An embedded store is asked where a gateway runs it; none is started."""
    url = store_url(settings)
    embedded = not settings.redis_url
    folder = settings.data_dir / "store"
    if embedded and not EmbeddedStore(folder).socket.exists():
        return [ok(PART, f"the embedded one, which starts with the gateway; none runs in {folder}")]
    where = "the gateway's own socket" if embedded else place(url)
    wire = Wire(Address(url), SECONDS)
    try:
        return await _asked(wire, where, clock)
    except WireError as error:
        if embedded:
            return [ok(PART, f"the embedded one, which starts with the gateway; none answers in {folder}")]
        return [
            problem(
                PART,
                f"{where} cannot be reached: {error}",
                "Look whether it runs, whether REDIS_URL is right, and whether this machine reaches it.",
            )
        ]
    except ServerError as error:
        return [refusal(where, str(error))]
    finally:
        await wire.close()


def place(url: str) -> str:
    """Host and port, or the socket: what may be shown of the address."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


async def _asked(wire: Wire, where: str, clock: Clock) -> list[Finding]:
    info = parsed(str(await wire.call("INFO")))
    took = []
    for _ in range(20):
        started = time.perf_counter()
        await wire.call("PING")
        took.append(time.perf_counter() - started)
    before = clock.now()
    seconds, micros = await wire.call("TIME")
    ahead = float(seconds) + float(micros) / 1e6 - (before + clock.now()) / 2
    found = [*about(info, where), latency(median(took)), *difference(ahead)]
    try:
        await wire.call("SET", _KEY, "1", "PX", 1000)
        await wire.call("EVAL", "return redis.call('DEL', KEYS[1])", 1, _KEY)
    except ServerError as error:
        found.append(refusal(where, str(error)))
    else:
        found.append(ok(PART, "takes what is written, and runs scripts"))
    return found


def parsed(info: str) -> dict[str, str]:
    lines = (line.partition(":") for line in info.splitlines() if ":" in line and not line.startswith("#"))
    return {name: value.strip() for name, _, value in lines}


def about(info: dict[str, str], where: str) -> list[Finding]:
    """Version, role, what it writes to disk and what it throws away."""
    name, version = "Valkey", info.get("valkey_version", "")
    if not version:
        name, version = "Redis", info.get("redis_version", "")
    # Valkey tells the Redis that it is compatible with beside its own version.
    numbers = tuple(int(part) for part in info.get("redis_version", "0").split(".")[:2] if part.isdigit())
    found = [ok(PART, f"{name} {version} at {where}")]
    if numbers < OLDEST:
        found = [
            problem(PART, f"{name} {version} at {where} is too old", "Use Redis 7.0 or newer, or Valkey.")
        ]
    if info.get("role") not in (None, "master"):
        found.append(
            problem(PART, f"it is a {info['role']}, which takes no writes", "Let REDIS_URL name the primary.")
        )
    found.append(_persistence(info))
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", "0") != "0":
        found.append(
            warning(
                PART,
                f"it throws keys away when its memory is full ({policy}), and with them accounts' states",
                "Set maxmemory-policy noeviction.",
            )
        )
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used > 0.9 * limit:
        found.append(warning(PART, f"{used / limit:.0%} of its memory is used", "Raise maxmemory."))
    return found


def _persistence(info: dict[str, str]) -> Finding:
    appends = info.get("aof_enabled") == "1"
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(name, "ok") != "ok" and (appends or name.startswith("rdb"))
    ]
    if failed:
        return problem(
            PART, f"it could not write to its disk ({', '.join(failed)})", "Look at its log and its disk."
        )
    if appends:
        return ok(PART, "writes down what changes (append-only file)")
    return warning(
        PART,
        "it has no append-only file: after a restart renewed cookies and batches may be lost",
        "Set appendonly yes there, and give it a disk that lasts.",
    )


def latency(seconds: float) -> Finding:
    words = f"answers in {seconds * 1000:.1f} ms"
    if seconds <= SLOW:
        return ok(PART, words)
    return warning(PART, words, "Bring it nearer to the gateway: each request asks it about ten times.")


def difference(ahead: float) -> list[Finding]:
    """ahead: seconds that the store's clock is ahead of this machine's."""
    if abs(ahead) <= OFF:
        return [ok("clock", f"agrees with the store's to {abs(ahead) * 1000:.0f} ms")]
    words = f"the store's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    remedy = "Let a time service (chrony, systemd-timesyncd) set both clocks."
    return [(problem if abs(ahead) > FAR_OFF else warning)("clock", words, remedy)]


def refusal(where: str, text: str) -> Finding:
    """In words, by the error's first word; what the server says may quote what it was told."""
    code = text.partition(" ")[0]
    remedies: dict[str, tuple[str, str]] = {
        "NOAUTH": ("asks for a password", "Put it into REDIS_URL: redis://:password@host:6379/0."),
        "WRONGPASS": ("does not know this user and password", "Correct them in REDIS_URL."),
        "NOPERM": ("does not allow this user all commands", "Give the user +@all on keys and channels of {gempool*."),
        "READONLY": ("is a replica, which takes no writes", "Let REDIS_URL name the primary."),
        "OOM": ("has used up its memory", "Raise its maxmemory."),
        "MISCONF": ("cannot write to its disk, and so takes no writes", "Look at its log and its disk."),
        "LOADING": ("still reads its data", "Wait a moment."),
    }  # fmt: skip
    what, remedy = remedies.get(code, (f"has refused ({code})", "Look at its log."))
    return problem(PART, f"{where} {what}", remedy)
