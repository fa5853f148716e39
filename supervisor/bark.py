"""Bark, which shows notes on iPhones: the client of its server. Besides `fetch/` the only importer of httpx.

The server's ways that shaped this: it fails on numbers where it expects strings, old ones know no batches,
a batch answers 200 though single devices failed, APNs takes 4 KB, and parameter names are compared in lower
case by the server and by the app.
"""

import asyncio
import base64
import hashlib
import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from msgspec import Struct

from core.secret import Secret
from supervisor.notes import Note, Severity

Mode: TypeAlias = Literal["gcm", "cbc"]

PAYLOAD_BYTES = 3000
"""For the parameters, encrypted ones included: APNs takes 4096 with what the server adds."""
KEY_LENGTHS = (16, 24, 32)
_IV_LENGTHS: Mapping[Mode, int] = {"gcm": 12, "cbc": 16}
_IV_LETTERS = string.ascii_letters + string.digits  # the app reads it as text
_ANSWER_BYTES = 64 * 1024

_SEVERITIES: Mapping[Severity, Mapping[str, str]] = {
    "quiet": {"level": "passive"},
    "plain": {"level": "active"},
    "urgent": {"level": "timeSensitive", "sound": "bell"},
    "critical": {"level": "critical", "volume": "5", "call": "1", "sound": "alarm"},
}


class BarkError(ValueError):
    """A setting of the client will not do; the message says which and what to do, and shows no secret."""


class Delivery(Struct, frozen=True):
    """What became of a note at one device. device: its place in the list of keys, from 0. detail: why not,
    free of keys. outcome: ok, refused (the server said no) or unreachable (no answer, or none in time)."""

    device: int
    outcome: Literal["ok", "refused", "unreachable"]
    detail: str = ""


class Encryption:
    """The app's own encryption: AES with a key of 16, 24 or 32 characters that the app was given, too."""

    def __init__(self, key: Secret, mode: Mode) -> None:
        self._key = key.reveal().encode()
        self._mode = mode
        if len(self._key) not in KEY_LENGTHS:
            raise BarkError(
                "BARK_ENCRYPTION_KEY: a key has 16, 24 or 32 characters (AES-128, -192, -256)."
                " Copy the one from the app's encryption settings."
            )

    def sealed(self, parameters: Mapping[str, str], iv: str = "") -> dict[str, str]:
        """`ciphertext` and `iv` in the parameters' place. iv: random where none is given."""
        iv = iv or "".join(secrets.choice(_IV_LETTERS) for _ in range(_IV_LENGTHS[self._mode]))
        plain = msgspec.json.encode(parameters)
        if self._mode == "gcm":
            sealed = AESGCM(self._key).encrypt(iv.encode(), plain, None)
        else:
            padder = PKCS7(128).padder()
            encryptor = Cipher(algorithms.AES(self._key), modes.CBC(iv.encode())).encryptor()
            sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
        return {"ciphertext": base64.b64encode(sealed).decode(), "iv": iv}


class Bark:
    """Sends notes to the devices of one server. Close it at the end.

    url: the server's base address; a user and a password in it become basic authentication. keys: the
    devices'. timeout: seconds for one request, all in all.
    """

    def __init__(
        self,
        url: Secret,
        keys: Sequence[Secret],
        encryption: Encryption | None = None,
        timeout: float = 10.0,
    ) -> None:
        parts = urlsplit(url.reveal())
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        self._push_url = f"{urlunsplit(address).rstrip('/').removesuffix('/push')}/push"
        self._keys = tuple(keys)
        self._encryption = encryption
        self._timeout = timeout
        user = (
            httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
            if parts.username
            else None
        )
        self._client = httpx.AsyncClient(auth=user, timeout=timeout, follow_redirects=False)
        self._batches = len(self._keys) > 1

    @property
    def devices(self) -> tuple[int, ...]:
        return tuple(range(len(self._keys)))

    async def push(self, note: Note, devices: Sequence[int] | None = None) -> list[Delivery]:
        """Send the note to these devices, or to all. Never raises for what the server or the network does;
        there is one delivery for each device."""
        to = list(self.devices if devices is None else devices)
        parameters = fitted(note, self._encryption)
        if self._batches and len(to) > 1:
            answered = await self._batch(parameters, to)
            if answered is not None:
                return answered
            self._batches = False  # an old server: one request a device from now on
        return [await self._single(parameters, device) for device in to]

    async def close(self) -> None:
        await self._client.aclose()

    async def _single(self, parameters: Mapping[str, str], device: int) -> Delivery:
        answer = await self._post({**parameters, "device_key": self._keys[device].reveal()})
        if isinstance(answer, str):
            return Delivery(device, "unreachable", answer)
        return self._judged(device, *answer)

    async def _batch(self, parameters: Mapping[str, str], to: list[int]) -> list[Delivery] | None:
        """None: this server knows no batches. An `id` in every note makes it harmless to send one twice."""
        answer = await self._post({**parameters, "device_keys": [self._keys[d].reveal() for d in to]})
        if isinstance(answer, str):
            return [Delivery(device, "unreachable", answer) for device in to]
        status, body = answer
        rows = body.get("data")
        if status == 200 and isinstance(rows, list):
            told = {row.get("device_key"): row for row in rows if isinstance(row, dict)}
            missing = {"code": 0, "message": "the server's answer does not mention the device"}
            return [self._judged(d, 200, told.get(self._keys[d].reveal(), missing)) for d in to]
        if body.get("code") == 200 or status == 404 or "device key is empty" in str(body.get("message", "")):
            return None
        return [self._judged(device, status, body) for device in to]

    def _judged(self, device: int, status: int, body: Mapping[str, Any]) -> Delivery:
        code = body.get("code", status)
        if status == 200 and code == 200:
            return Delivery(device, "ok")
        message = str(body.get("message", "")) or "no reason given"
        for key in self._keys:
            message = message.replace(key.reveal(), "***")
        said = f"HTTP {status}" if status != 200 or not code else f"code {code}"
        return Delivery(device, "refused", f"{said}: {message[:200]}")

    async def _post(self, parameters: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | str:
        """Status and body, or why there is none."""
        try:
            async with (
                asyncio.timeout(self._timeout),  # httpx bounds each step only
                self._client.stream(
                    "POST",
                    self._push_url,
                    content=msgspec.json.encode(parameters),
                    headers={"content-type": "application/json; charset=utf-8"},
                ) as answer,
            ):
                content = b""
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > _ANSWER_BYTES:
                        break
        except (TimeoutError, httpx.TimeoutException):
            return f"no answer within {self._timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"no answer ({type(error).__name__})"
        try:
            body = msgspec.json.decode(content)
        except (ValueError, RecursionError):
            body = None
        return answer.status_code, body if isinstance(body, dict) else {
            "code": 0,
            "message": "not Bark's answer",
        }


def parameters_of(note: Note) -> dict[str, str]:
    """Bark's parameters, all of them strings."""
    link = {"url": note.url} if note.url else {}
    words = {"title": note.title, "body": note.body, "group": note.group, "id": note.id, "isarchive": "1"}
    return words | link | dict(_SEVERITIES[note.severity])


def fitted(note: Note, encryption: Encryption | None) -> dict[str, str]:
    """The parameters within what APNs takes: the body is cut where it must be, at last the link left out."""
    parameters = parameters_of(note) | {"title": _cut(note.title, 200)}
    if encryption is not None:
        # APNs goes by an id in the clear to replace a note, so it must not tell the account's name.
        parameters["id"] = f"gw-{hashlib.sha256(note.id.encode()).hexdigest()[:32]}"
    while True:
        sent = parameters
        if encryption is not None:
            sent = encryption.sealed(parameters) | {"id": parameters["id"]}
        over = len(msgspec.json.encode(sent)) - PAYLOAD_BYTES
        if over > 0 and (body := parameters["body"]):
            parameters["body"] = _cut(body, max(0, len(body.encode()) - over))
        elif over > 0 and "url" in parameters:
            del parameters["url"]
        else:
            return sent


def _cut(text: str, size: int) -> str:
    """At most so many bytes of UTF-8, with an ellipsis where something was cut."""
    encoded = text.encode()
    if len(encoded) <= size:
        return text
    return encoded[: size - 3].decode(errors="ignore") + "…" if size > 3 else ""
