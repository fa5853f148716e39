"""`gempool health`: whether the gateway that these settings describe answers on this machine. Container engines ask it
again and again, so it imports little."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.client import Reply, ask
from gateway.settings import Settings, SettingsError, from_process

SECONDS = 4.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where one is reached that listens everywhere


def health(options: Mapping[str, str], ready: bool) -> tuple[str, str]:
    """What to print, and what is wrong, '' where nothing is.

    ready: ask whether an account can serve, and not only whether the process answers.
    """
    try:
        settings = from_process(options)
    except SettingsError as problem:
        return "", str(problem)
    return judged(asked(settings, "/ready" if ready else "/health"), address_of(settings))


def address_of(settings: Settings) -> str:
    """The gateway's base address, as this machine reaches it."""
    host = settings.server.host.strip("[]")
    host = _ANY.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def asked(settings: Settings, path: str) -> Reply:
    return ask(address_of(settings) + path, {}, timeout=SECONDS)


def judged(reply: Reply, url: str) -> tuple[str, str]:
    if not reply.status:
        return "", f"Nothing answers on {url}: {reply.body.decode(errors='replace')}"
    told = facts(reply)
    if reply.status != 200:
        return "", f"{url} has answered HTTP {reply.status}. {told.get('why', '')}".strip()
    if "accounts" not in told:
        return f"{url} is ready", ""
    accounts = ", ".join(f"{count} {state}" for state, count in told["accounts"].items() if count)
    return f"{told.get('status')}: version {told.get('version')}, accounts: {accounts or 'none'}", ""


def facts(reply: Reply) -> dict[str, Any]:
    """The answer's JSON; nothing where it is none of ours."""
    try:
        told = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return {}
    return told if isinstance(told, dict) else {}
