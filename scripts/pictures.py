"""Takes the pictures of the documents: `.venv/bin/python scripts/pictures.py` writes docs/pictures/*.png.

Starts the demo with traffic and two accounts that are not well, and shows its pages to Debian's chromium (scripts/debian.sh).
`--only NAME` takes one. Look at what comes out before you commit it.
"""

import argparse
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
DESK = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
QUESTIONS = ("Why is the sky blue?", "Name three rivers.", "A line about autumn.", "What is a lease?")
PROMPTS = ["A red kite over a harbour", "A fox in the snow", "A lighthouse at dusk", "A tram in the rain"]


class Demo:
    """`gempool demo` as a process: where it listens, and where its simulator is told what to do."""

    def __init__(self, data: Path) -> None:
        self._log = (data / "gateway.log").open("w", encoding="utf-8")
        gempool = str(Path(sys.executable).with_name("gempool"))
        self._child = subprocess.Popen(  # noqa: S603  # our own command
            ["/usr/bin/env", f"GEMPOOL_DATA_DIR={data}", gempool, "demo", "--port", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        said = ""
        for line in self._child.stdout or ():
            said += line
            if "Ctrl-C stops" in line:
                break
        addresses = re.findall(r"http://127\.0\.0\.1:\d+", said)
        if not addresses:
            raise SystemExit(f"The demo did not start; {data / 'gateway.log'} says why.")
        self.url = addresses[0]
        self.control = next(address for address in addresses if address != self.url)

    def break_account(self, number: int, kind: str) -> None:
        found = httpx.get(f"{self.control}/accounts", timeout=30).json()
        accounts = found["accounts"] if isinstance(found, dict) else found
        account = accounts[number]["id"]
        httpx.put(
            f"{self.control}/accounts/{account}/fault", json={"kind": kind}, timeout=30
        ).raise_for_status()

    def end(self) -> None:
        self._child.send_signal(signal.SIGINT)
        self._child.wait(timeout=60)
        self._log.close()


def ask(url: str, question: str) -> None:
    body = {"messages": [{"role": "user", "content": question}]}
    httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


@contextlib.contextmanager
def traffic(url: str) -> Iterator[None]:
    """Somebody asks all the time."""
    over = threading.Event()

    def go_on() -> None:
        number = 0
        while not over.is_set():
            # What fails is for the page to show.
            with contextlib.suppress(httpx.HTTPError):
                ask(url, QUESTIONS[number % len(QUESTIONS)])
            number += 1
            over.wait(0.4)

    threads = [threading.Thread(target=go_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def shown(browser: Browser, url: str, path: str, act: Callable[[Page], None], **options: Any) -> Page:
    """A page as somebody sees it who has looked for a while."""
    context = browser.new_context(base_url=url, **{"locale": "en-GB", "viewport": DESK, **options})
    page = context.new_page()
    page.goto(path)
    page.wait_for_timeout(3000)
    act(page)
    page.wait_for_timeout(500)
    return page


def nothing(page: Page) -> None:
    """Only look."""


def chat(page: Page) -> None:
    """Ask the playground, and wait for the answer."""
    box = page.locator("textarea").first
    box.fill("Why is the sky blue?")
    box.press("Enter")
    page.wait_for_timeout(4000)


def try_out(page: Page) -> None:
    """Open a route of the reference."""
    page.locator("#operations-OpenAI-postV1ChatCompletions button.opblock-summary-control").click()
    page.wait_for_selector(".execute")


VIEWS: dict[str, tuple[str, Callable[[Page], None], dict[str, Any]]] = {
    "overview": ("/admin#/", nothing, {}),
    "overview-dark": ("/admin#/", nothing, {"color_scheme": "dark"}),
    "overview-phone": ("/admin#/", nothing, {"viewport": PHONE}),
    "overview-zh": ("/admin#/", nothing, {"locale": "zh-CN"}),
    "accounts": ("/admin#/accounts", nothing, {}),
    "accounts-zh": ("/admin#/accounts", nothing, {"locale": "zh-CN"}),
    "requests": ("/admin#/requests", nothing, {}),
    "playground": ("/admin#/play", chat, {}),
    "batches": ("/admin#/batches", nothing, {}),
    "docs": ("/docs", try_out, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(VIEWS), action="append")
    parser.add_argument("--minutes", type=float, default=2.0, help="of traffic before the first picture (2)")
    given = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not installed: sudo sh scripts/debian.sh")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder))
        try:
            with traffic(demo.url), sync_playwright() as driver:
                time.sleep(given.minutes * 30)
                demo.break_account(0, "expired")
                time.sleep(given.minutes * 30)
                demo.break_account(1, "http_429")
                httpx.post(f"{demo.url}/v1/batch/images", json={"prompts": PROMPTS * 50}, timeout=60)
                time.sleep(3)
                browser = driver.chromium.launch(executable_path=program, args=ARGS)
                for name in given.only or VIEWS:
                    path, act, options = VIEWS[name]
                    page = shown(browser, demo.url, path, act, **options)
                    page.screenshot(path=PICTURES / f"{name}.png")
                    page.context.close()
                browser.close()
        finally:
            demo.end()


if __name__ == "__main__":
    main()
