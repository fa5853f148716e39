"""A stand-in for bark-server, as strict as the real one: an ASGI application without a framework.

Written from its sources: parameter names are compared in lower case, a `group` that is no string makes it
panic, an unknown device is 400, what APNs would not take is 500, a batch is answered 200 with a row for
each device.
"""

import asyncio
import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from tests.fakes.server import serving

APNS_BYTES = 4096
STRINGS = (
    "title",
    "subtitle",
    "body",
    "level",
    "volume",
    "call",
    "sound",
    "group",
    "url",
    "id",
    "ciphertext",
    "iv",
)


class FakeBark:
    """devices: the keys it knows. batch: whether it knows `device_keys`. answer_with: a status and a message
    for every push from now on. turn_away: a status and a message for everything, as of a proxy before it.
    delay: seconds before an answer. user: `name:password` for basic authentication. garbage: answers that
    are not Bark's."""

    def __init__(self, *devices: str) -> None:
        self.devices = set(devices)
        self.batch = True
        self.answer_with: tuple[int, str] | None = None
        self.turn_away: tuple[int, str] | None = None
        self.broken_devices: set[str] = set()
        self.delay = 0.0
        self.user = ""
        self.garbage: bytes | None = None
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.received: list[tuple[str, dict[str, Any]]] = []
        """What reached APNs: the device's key and the parameters, names in lower case."""

    def of(self, device: str) -> list[dict[str, Any]]:
        return [parameters for key, parameters in self.received if key == device]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if self.delay:
            await asyncio.sleep(self.delay)
        status, content = self._answer(scope, body)
        headers = [(b"content-type", b"application/json; charset=utf-8")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, scope: Any, body: bytes) -> tuple[int, bytes]:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if self.turn_away is not None:
            return self.turn_away[0], _reply(*self.turn_away)
        if self.user:
            expected = "Basic " + base64.b64encode(self.user.encode()).decode()
            if headers.get("authorization") != expected:
                return 401, b"Unauthorized"
        if scope["path"] in ("/ping", "/healthz"):
            return 200, _reply(200, "pong")
        if scope["path"] != "/push" or scope["method"] != "POST":
            return 404, _reply(404, f"Cannot {scope['method']} {scope['path']}")
        if not headers.get("content-type", "").lower().startswith("application/json"):
            return 400, _reply(400, "device key is empty")
        try:
            given = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            return 400, _reply(400, f"request bind failed: {error}")
        self.requests.append(given)
        if self.garbage is not None:
            return 200, self.garbage
        if self.answer_with is not None:
            return self.answer_with[0], _reply(*self.answer_with)
        parameters = {name.lower(): value for name, value in given.items()}
        keys = parameters.pop("device_keys", None)
        if self.batch and keys is not None:
            keys = keys.split(",") if isinstance(keys, str) else keys
            rows = []
            for key in keys:
                code, message = self._push(key, parameters)
                rows.append({"code": code, "device_key": key} | ({} if code == 200 else {"message": message}))
            return 200, msgspec.json.encode(
                {"code": 200, "message": "success", "data": rows, "timestamp": int(time.time())}
            )
        code, message = self._push(parameters.pop("device_key", ""), parameters)
        return code, _reply(code, message)

    def _push(self, key: object, parameters: dict[str, Any]) -> tuple[int, str]:
        if not isinstance(key, str) or not key:
            return 400, "device key is empty"
        if key not in self.devices:
            return 400, f"failed to get device token: failed to get [{key}] device token from database"
        for name in STRINGS:
            if name in parameters and not isinstance(parameters[name], str):
                return (
                    500,
                    f"interface conversion: interface {{}} is {type(parameters[name]).__name__}, not string",
                )
        if len(parameters.get("id", "").encode()) > 64:
            return 500, "push failed: APNS push failed: InvalidCollapseId"
        known = {"title", "body", "sound"}
        aps = {"alert": {k: parameters.get(k, "") for k in ("title", "body")}, "sound": "1107.caf"}
        aps |= {
            "category": "myNotificationCategory",
            "mutable-content": 1,
            "thread-id": parameters.get("group", ""),
        }
        custom = {k: v for k, v in parameters.items() if k not in known}
        if len(msgspec.json.encode({"aps": aps, **custom})) > APNS_BYTES:
            return 500, "push failed: APNS push failed: PayloadTooLarge"
        if key in self.broken_devices:
            return 500, "push failed: APNS push failed: BadDeviceToken"
        self.received.append((key, parameters))
        return 200, "success"


def _reply(code: int, message: str) -> bytes:
    return msgspec.json.encode({"code": code, "message": message, "timestamp": int(time.time())})


@contextmanager
def bark_server(*devices: str) -> Iterator[FakeBark]:
    """The stand-in, served on loopback; its address is in `url`."""
    server = FakeBark(*devices)
    with serving(server) as url:
        server.url = url
        yield server
