"""`gempool health`: whether the gateway that these settings describe answers on this machine. Container engines ask it
again and again, so it imports little."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from gateway.client import Reply, ask
from gateway.settings import Settings, SettingsError, from_process

SECONDS = 4.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where one is reached that listens everywhere


class Health(Struct, frozen=True):
    """What `/health` answers, as far as it is told here."""

    status: Literal["ok", "degraded", "down"]
    version: str
    client_ready: bool
    accounts: Mapping[str, int]

    @property
    def words(self) -> str:
        accounts = ", ".join(f"{count} {state}" for state, count in self.accounts.items() if count)
        return f"{self.status}: version {self.version}, accounts: {accounts or 'none'}"


class Ready(Struct, frozen=True):
    """What `/ready` answers. why: where it is not."""

    ready: bool
    why: str = ""


class _Error(Struct, frozen=True):
    message: str
    type: str
    code: str | None


class Failed(Struct, frozen=True):
    """What either answers where the gateway itself fails."""

    error: _Error


Kind: TypeAlias = type[Health] | type[Ready]
Answer = TypeVar("Answer", bound=Struct)


def health(options: Mapping[str, str], ready: bool) -> tuple[str, str]:
    """What to print, and what is wrong, '' where nothing is.

    ready: ask whether an account can serve, and not only whether the process answers.
    """
    try:
        settings = from_process(options, listens=False)
    except SettingsError as problem:
        return "", str(problem)
    path, kind = ("/ready", Ready) if ready else ("/health", Health)
    return judged(asked(settings, path), address_of(settings), kind)


def address_of(settings: Settings) -> str:
    """The gateway's base address, as this machine reaches it."""
    host = settings.server.host.strip("[]")
    host = _ANY.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def asked(settings: Settings, path: str) -> Reply:
    return ask(address_of(settings) + path, {}, timeout=SECONDS)


def judged(reply: Reply, url: str, kind: Kind = Health) -> tuple[str, str]:
    """kind: what is expected there, as `/health` or `/ready` answers."""
    if not reply.status:
        return "", f"Nothing answers on {url}: {reply.body.decode(errors='replace')}"
    match told(reply, kind) or told(reply, Failed):
        case Health() as found if reply.status == 200:
            return found.words, ""
        case Ready(ready=True) if reply.status == 200:
            return f"{url} is ready", ""
        case Ready(ready=False, why=why):
            return "", f"{url} has answered HTTP {reply.status}. {why}".strip()
        case Failed(error=error):
            return "", f"{url} has answered HTTP {reply.status}. {error.message}".strip()
        case _:
            return "", f"Something else answers on {url} (HTTP {reply.status}): it is no gateway"


def told(reply: Reply, kind: type[Answer]) -> Answer | None:
    """The answer; None where it is of another shape, and so somebody else's."""
    with suppress(ValueError, RecursionError):
        return msgspec.json.decode(reply.body, type=kind)
    return None
