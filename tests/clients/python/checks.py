"""What every client script says its findings with, and how it tells the simulator what comes next.

A script is one client. It states facts one by one; each is a line of JSON in the file that the runner named. Only the
standard library is used, since each script runs in the environment of its client.
"""

import base64
import html
import json
import os
import signal
import struct
import time
import traceback
import urllib.request
import zlib
from collections.abc import Callable
from typing import Any

URL = os.environ["CLIENTS_URL"]
"""The gateway, which asks for KEY."""
KEY = os.environ["CLIENTS_KEY"]
TIGHT_URL = os.environ["CLIENTS_TIGHT_URL"]
"""Another gateway, without keys: one request in two seconds for each model, on accounts of its own."""
MODEL = "gemini-3-flash-preview"
OTHER_MODEL = "gemini-2.5-flash"
PRO_MODEL = "gemini-2.5-pro"
PICTURE_MODEL = "gemini-2.5-flash-image"
UNICODE = 'Zwölf Boxkämpfer, 漢字かな交じり, עברית, \u202eمرحبا\u202c, e\u0301, 👩\u200d🚀🇺🇳, <b>&amp;</b> \\n "quoted" $x^2$ `code`'  # noqa: RUF001  # scripts that run both ways
LONG = "lorem ipsum dolor sit amet, consectetur adipiscing " * 20_000 + "THE-END"
"""One megabyte."""


def _raise(*_: Any) -> None:
    raise TimeoutError("the case took too long")


class Checks:
    """The facts of one client."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._group = ""
        self._file = open(os.environ["CLIENTS_FILE"], "a", encoding="utf-8")  # noqa: SIM115  # until the script ends
        self._only = os.environ.get("CLIENTS_ONLY", "")
        signal.signal(signal.SIGALRM, _raise)

    def version(self, **versions: str) -> None:
        self._write({"client": self._client, "versions": versions})

    def that(self, fact: str, held: Any, detail: Any = "") -> None:
        """One check: `fact` is what a user would expect, `held` whether it is so, `detail` what was seen."""
        self._write(
            {
                "client": self._client,
                "group": self._group,
                "fact": fact,
                "ok": bool(held),
                "detail": "" if held else str(detail)[:1500],
            }
        )

    def case(self, group: str, seconds: int = 60) -> Callable[[Callable[[], None]], None]:
        """Decorates a group of facts, which runs at once. The simulator is as new at its start; an exception is a
        failed check and ends the group."""

        def run(body: Callable[[], None]) -> None:
            if self._only and self._only not in group:
                return
            self._group = group
            reset()
            signal.alarm(seconds)
            try:
                body()
            except Exception as error:  # noqa: BLE001  # whatever a client throws is a finding, and the next case runs
                signal.alarm(0)
                self.that("no unexpected error", False, f"{error!r}\n{traceback.format_exc(limit=-4)}")
            finally:
                signal.alarm(0)

        return run

    def raised(
        self, fact: str, kinds: type[BaseException] | tuple[type[BaseException], ...], act: Callable[[], Any]
    ) -> Any:
        """The exception that `act` raises, which must be one of `kinds`; an empty stand-in if it raised none."""
        try:
            got = act()
        except kinds as error:
            self.that(fact, True)
            return error
        except Exception as error:  # noqa: BLE001  # the wrong one is the finding
            self.that(fact, False, f"raised {error!r}")
            return error
        self.that(fact, False, f"no exception, but {got!r}")
        return Exception("none")

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def control(method: str, path: str, body: Any = None) -> Any:
    """The simulator's control API."""
    request = urllib.request.Request(  # noqa: S310  # a loopback address of the runner's
        os.environ["CLIENTS_CONTROL"].rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if text else None


def reset() -> None:
    """No faults, no scripted answers, an empty journal; what the last case ran upstream has ended."""
    control("POST", "/reset")
    control("PUT", "/defaults", {"words": 30, "frames": 5})


def reply(*texts: str, **fields: Any) -> None:
    """The next prompts are answered with these texts, in this order, whichever account they reach."""
    # The web app sends its text with entities.
    control("POST", "/replies", [{"text": html.escape(text, quote=False), **fields} for text in texts])


def defaults(**fields: Any) -> None:
    control("PUT", "/defaults", fields)


def fault(kind: str, **fields: Any) -> None:
    """A fault of all accounts."""
    for account in accounts():
        control("PUT", f"/accounts/{account}/fault", {"kind": kind, **fields})


def accounts() -> list[str]:
    found = control("GET", "/accounts")
    return [account["id"] for account in (found["accounts"] if isinstance(found, dict) else found)]


def prompts() -> list[dict[str, Any]]:
    """What reached the web app, in order: `text` (its beginning), `length`, `outcome`, `model`, `thinking`, `uploads`."""
    found = control("GET", "/journal")
    prompts: list[dict[str, Any]] = found["prompts"] if isinstance(found, dict) else found
    return prompts


def until(condition: Callable[[], Any], seconds: float = 10) -> bool:
    """Whether it comes true in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def png(width: int = 48, height: int = 32, colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A small picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def data_url(picture: bytes = b"") -> str:
    return "data:image/png;base64," + base64.b64encode(picture or png()).decode()


def is_picture(data: bytes) -> bool:
    return data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"RIFF"))


def call_text(*calls: tuple[str, Any]) -> str:
    """Function calls, written as a model writes them when the gateway has told it how (docs/tools.md)."""
    return "\n".join(
        f"```tool_call\n{json.dumps({'name': name, 'arguments': given}, ensure_ascii=False)}\n```"
        for name, given in calls
    )
