"""What the verbs of the command line do. Each returns "" after a good end, or else what went wrong and what
to do about it."""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from access import new_key
from core.secret import Secret
from gateway import client, logs
from gateway import demo as demonstration
from gateway.app import create_app
from gateway.embedded import EmbeddedStoreError
from gateway.sections import AccessSettings
from gateway.server import CannotListen, OnReady, listen
from gateway.server import serve as serve_until_stopped
from gateway.settings import Settings, SettingsError, from_process
from pool import RosterError

SHARED_SERVICES = frozenset(
    {
        "REDIS_URL",
        "BARK_URL",
        "BARK_KEYS",
        "BARK_ENCRYPTION_KEY",
        "S3_ENDPOINT",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
        "S3_BUCKET",
        "S3_PUBLIC_URL",
    }
)
"""What the demo must not touch: its accounts have no business in a store that real replicas share."""

PROBLEMS = (
    SettingsError,
    RosterError,
    EmbeddedStoreError,
    CannotListen,
    demonstration.DemoFailed,
)
LIVE_READY_SECONDS = 60.0


def serve(options: Mapping[str, str]) -> str:
    try:
        _serve(from_process(options))
    except PROBLEMS as problem:
        return str(problem)
    return ""


def demo(options: Mapping[str, str]) -> str:
    """Everything of the demo lives under `<data>/demo`."""
    given: dict[str, str | Path] = {**options, "config_file": demonstration.CONFIG_FILE}
    try:
        asked = from_process(given, SHARED_SERVICES)
        home = asked.data_dir / "demo"
        given |= {"accounts_file": home / "accounts.yaml", "data_dir": home}
        with (
            listen(asked.server.host, asked.server.port) as bound,
            demonstration.running(home / "simulator") as simulated,
        ):
            demonstration.write_accounts(simulated, home / "accounts.yaml")
            given["upstream_ca_file"] = simulated.ca_file
            settings = from_process(given, SHARED_SERVICES)
            made = "" if _has_operator(settings) else new_key().reveal()
            if made:
                settings = replace(settings, admin_key=Secret(made))
            _serve(settings, bound, demonstration.announcer(settings, simulated, made))
    except PROBLEMS as problem:
        return str(problem)
    return ""


def _has_operator(settings: Settings) -> bool:
    """Whether somebody can look after the accounts: with the admin key, or on this machine where no key is asked for."""
    locked = settings.api_keys or settings.access.keys or settings.allow_anonymous
    return bool(settings.admin_key) or not locked


def live(options: Mapping[str, str]) -> str:
    """A gateway on a free port with a key and no limits of its own, one question whole and one streamed, and the end."""
    failures: list[str] = []
    try:
        private = {"server.host": "127.0.0.1", "server.port": "0", "limits.enabled": "false"}
        settings = replace(
            from_process({**options, **private}), api_keys=(new_key(),), access=AccessSettings()
        )
        _serve(settings, None, _questions(settings, failures))
    except PROBLEMS as problem:
        return str(problem)
    return "\n".join(failures)


def _serve(settings: Settings, bound: socket.socket | None = None, on_ready: OnReady | None = None) -> None:
    logs.set_up(settings.server.log_format, settings.server.log_level)
    serve_until_stopped(settings, create_app, bound, on_ready)


def _questions(settings: Settings, failures: list[str]) -> OnReady:
    headers = {"authorization": f"Bearer {settings.api_keys[0].reveal()}"}
    question = {
        "model": settings.models.default,
        "messages": [{"role": "user", "content": "Answer with one short word: are you there?"}],
    }

    async def ask(url: str) -> None:
        try:
            if not await client.wait_until_ready(url, LIVE_READY_SECONDS):
                _, why = await client.call(f"{url}/ready", headers)
                failures.append(f"No account can serve: {why.decode(errors='replace')}")
                return
            for stream in (False, True):
                status, body = await client.call(
                    f"{url}/v1/chat/completions", headers, question | {"stream": stream}
                )
                told = f"{'streamed' if stream else 'whole'}: HTTP {status}"
                print(told, body.decode(errors="replace").strip(), sep="\n")  # noqa: T201  # the result
                if status != 200 or (stream and b"[DONE]" not in body):
                    failures.append(f"The question failed ({told}).")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    return ask
