"""The configuration, the files, and what this machine gives to the gateway."""

import os
import resource
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from access import is_digest
from gateway.doctor.findings import Finding, ok, problem, warning
from gateway.settings import Settings, exposure, secret_names
from gateway.sources import IN_FILE

LITTLE_SPACE, NO_SPACE = 1024**3, 100 * 1024**2
LONG_KEY = 32
"""Characters that a key for sealing has at least, if nobody shall guess it."""
SHORT_ADMIN_KEY = 16
"""Characters. Wrong keys are counted where people sign in, and nowhere else (see the decision about the page's session)."""
FEW_FILES = 4096
"""Each caller takes one, and so does each of its requests to the upstream."""
_EVERYBODY = ("0.0.0.0/0", "::/0")


def configuration(settings: Settings) -> list[Finding]:
    part = "configuration"
    keys = len(settings.api_keys) + len(settings.access.keys)
    guarded = f"{keys} API keys" if keys != 1 else "1 API key"
    found = [ok(part, f"can be read: listens on {settings.server.host}:{settings.server.port}, {guarded}")]
    if told := exposure(settings):
        words, _, remedy = told.partition(". ")
        found.append(problem(part, f"{words}; `gempool serve` does not start", remedy))
    found += [
        warning(part, f"{name} has no effect", "Take one of the two away.")
        for name in settings.without_effect
    ]
    if keys and not settings.admin_key:
        found.append(
            warning(
                part,
                "ADMIN_KEY is not set, so nobody can sign in to /admin or hand in cookies",
                "Make one with `gempool keys new` and set ADMIN_KEY or ADMIN_KEY_FILE.",
            )
        )
    admin = settings.admin_key
    if admin and not is_digest(admin) and len(admin.reveal()) < SHORT_ADMIN_KEY:
        found.append(
            warning(
                part,
                f"ADMIN_KEY has fewer than {SHORT_ADMIN_KEY} characters, so it might be guessed",
                "Make one with `gempool keys new`. Whoever has it may change everything.",
            )
        )
    if not keys and settings.allow_anonymous and not settings.loopback_only:
        found.append(
            warning(
                part,
                "everybody who reaches the gateway may use your accounts (GEMPOOL_ALLOW_ANONYMOUS)",
                "Set API_KEY, unless a guard of your own stands before it.",
            )
        )
    if any(network in _EVERYBODY for network in settings.server.trusted_proxies):
        found.append(
            warning(
                part,
                "server.trusted_proxies lets everybody say where a request comes from",
                "Name the proxies' own addresses there.",
            )
        )
    if settings.redis_url and not settings.state_key:
        found.append(
            warning(
                part,
                "GEMPOOL_STATE_KEY is not set: the accounts' cookies lie in the shared store as they are",
                f"Set one for all replicas, {LONG_KEY} random characters or more; new cookies are then encrypted.",
            )
        )
    if 0 < len(settings.state_key.reveal()) < LONG_KEY:
        found.append(
            warning(
                part,
                f"GEMPOOL_STATE_KEY has fewer than {LONG_KEY} characters, so it might be guessed",
                "Set a longer one, random, for all replicas. What the old one has sealed cannot be read with it: have the"
                " accounts' newest cookies at hand.",
            )
        )
    return found


def files(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Whether others may change a secret's file. That others may read it is the engine's affair: containers' users
    differ."""
    found = []
    for name in secret_names():
        if not (given := environment.get(name + IN_FILE, "").strip()):
            continue
        path = Path(given).expanduser()
        if path.stat().st_mode & 0o022:
            found.append(
                warning(
                    "files",
                    "others on this machine may change it",
                    f"Run chmod go-w {path}",
                    f"{name}{IN_FILE}",
                )
            )
    return found


def system(settings: Settings) -> list[Finding]:
    return [_data(settings.data_dir), *_space(settings.data_dir), _open_files()]


def _data(directory: Path) -> Finding:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0")
    except OSError as error:
        return problem(
            "files",
            f"the data folder {directory} cannot be written: {error.strerror}",
            f"Let the gateway's user ({os.getuid()}) own it, or name another with GEMPOOL_DATA_DIR.",
        )
    return ok("files", f"the data folder {directory} can be written")


def _space(directory: Path) -> list[Finding]:
    try:
        free = shutil.disk_usage(directory).free
    except OSError:
        return []
    words = f"{free / 1024**3:.1f} GiB are free for {directory}"
    remedy = "Make room, or lower storage.max_bytes and storage.max_age."
    if free < NO_SPACE:
        return [problem("system", words, remedy)]
    return [warning("system", words, remedy) if free < LITTLE_SPACE else ok("system", words)]


def _open_files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        return warning(
            "system",
            f"a process may have {soft} files and connections open, which some hundred callers use up",
            "Raise it: `ulimit -n 65536`, LimitNOFILE= of systemd, or ulimits: of Compose.",
        )
    return ok("system", f"{'any number of' if soft == resource.RLIM_INFINITY else soft} files may be open")
