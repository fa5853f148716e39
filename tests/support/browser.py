"""What a browser does with the operator's page: it keeps the cookie, and the page sends its header."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from msgspec import Struct

from access import Sessions
from core.secret import Secret
from tests.fakes.edge import Edge
from tests.support.openapi import ConformingClient

PAGE = {"x-gempool-page": "1"}
COOKIE = "gempool_session"
SECURE_COOKIE = "__Host-gempool_session"


@contextmanager
def browser(edge: Edge, **headers: str) -> Iterator[ConformingClient]:
    """A client with cookies of its own; `_` in a header's name stands for `-`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with ConformingClient(base_url=edge.url, headers={**PAGE, **sent}, timeout=10) as client:
        yield client


@contextmanager
def signed_in(edge: Edge, key: str = "root", **headers: str) -> Iterator[ConformingClient]:
    """The same, signed in."""
    with browser(edge, **headers) as client:
        assert client.post("/admin/api/session", json={"key": key}).status_code == 200
        yield client


def token(admin_key: str = "root", state_key: str = "", *, age: float = 0.0, life: float = 3600.0) -> str:
    """What the cookie holds of somebody who has signed in `age` seconds ago."""
    issued, _ = Sessions(Secret(admin_key), Secret(state_key), life=life).issue(time.time() - age)
    return issued.reveal()


def cookie(value: str, name: str = COOKIE) -> dict[str, str]:
    """The header that shows it."""
    return {"cookie": f"{name}={value}"}


def given(response: httpx.Response) -> dict[str, str]:
    """The cookie that an answer sets: its attributes by name, in lower case; its own name and value under `name` and `value`."""
    [text] = response.headers.get_list("set-cookie")
    pair, *attributes = [part.strip() for part in text.split(";")]
    name, _, value = pair.partition("=")
    found = {"name": name, "value": value}
    for attribute in attributes:
        key, _, said = attribute.partition("=")
        found[key.lower()] = said
    return found


class Told(Struct):
    """One server-sent event."""

    name: str
    data: dict[str, Any]


def told(lines: Iterator[str]) -> Iterator[Told]:
    """What the specification makes of lines."""
    name, data = "message", ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Told(name, json.loads(data))
            name, data = "message", ""
        elif field == "event":
            name = value
        elif field == "data":
            data += value
