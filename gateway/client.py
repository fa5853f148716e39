"""A small caller of our own API, for the demo and the smoke test. Loopback only, never through a proxy."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import msgspec

POLL_SECONDS = 0.1
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


async def wait_until_ready(url: str, seconds: float) -> bool:
    """Whether the gateway at the base URL said within that time that it can serve."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status, _ = await call(f"{url}/ready", {}, timeout=5)
        if status == 200:
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def call(
    url: str, headers: Mapping[str, str], body: Any = None, timeout: float = 330
) -> tuple[int, bytes]:
    """Status and body of a GET, or of a POST of JSON where there is a body; 0 where nothing answered."""

    def exchange() -> tuple[int, bytes]:
        data = None if body is None else msgspec.json.encode(body)
        request = urllib.request.Request(  # noqa: S310  # our own address
            url, data, {"content-type": "application/json", **headers}
        )
        try:
            with _OPENER.open(request, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()
        except OSError as error:
            return 0, str(error).encode()

    return await asyncio.to_thread(exchange)
