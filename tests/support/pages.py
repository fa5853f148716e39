"""What tests of the operator's page share: a browser's options, and an eye on what goes wrong in it."""

from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response

ARGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
KEY = "admin-key-of-the-test"
PATIENCE = 30_000
"""Milliseconds that an expectation waits; other tests may use the machine at the same time."""

Opened: TypeAlias = Callable[..., Page]


class Watch:
    """What went wrong in pages, whatever the test looked at: errors of scripts, words to other hosts, files that are missing.

    Answers of the gateway that are errors are no fault of the page, so what the console says of them is left out.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []

    def over(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", self._said)
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        # A stream that the gateway's end cuts off is told as an error of loading too.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname != "127.0.0.1":
            self.faults.append(f"another host: {request.url}")

    def _answered(self, response: Response) -> None:
        path = urlsplit(response.url).path
        if response.status == 404 and path.startswith("/admin") and "/api/" not in path:
            self.faults.append(f"no such file: {path}")
