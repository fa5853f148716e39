"""The unmodified library and bare requests against a simulator in the same process."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from curl_cffi.requests import AsyncSession
from gemini_webapi import GeminiClient

from simulator import Simulator

OpenClient: TypeAlias = Callable[..., Awaitable[GeminiClient]]


def credentials(sim: Simulator, account: str) -> dict[str, str]:
    return next(a for a in sim.accounts if a["id"] == account)


class Bare:
    """Requests as the library sends them, each of whose parts a test may change."""

    def __init__(self, sim: Simulator, account: str, proxy_of: str) -> None:
        self._has = credentials(sim, account)
        self.session: AsyncSession[Any] = AsyncSession(
            proxy=credentials(sim, proxy_of)["proxy"], verify=sim.ca_file, allow_redirects=False, timeout=10
        )
        self.cookies = {
            "__Secure-1PSID": self._has["secure_1psid"],
            "__Secure-1PSIDTS": self._has["secure_1psidts"],
        }
        self.page: dict[str, str] = {}

    def cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def get(self, url: str, *, cookies: bool = False) -> Any:
        return await self.session.get(url, headers={"Cookie": self.cookie_header()} if cookies else {})

    async def open(self) -> None:
        """Read the start page's values."""
        text = (await self.get("https://gemini.google.com/app", cookies=True)).text
        self.page = dict(re.findall(r'"(SNlM0e|cfb2h|FdrFJe|TuX5cc|qKIAYe)":"(.*?)"', text))

    async def post(
        self,
        path: str,
        form: dict[str, str],
        *,
        headers: dict[str, str | None] | None = None,
        query: dict[str, str] | None = None,
        at: str | None = None,
    ) -> Any:
        """A POST to the web app; a header of None is left out."""
        sent: dict[str, str | None] = {
            "Content-Type": "application/x-www-form-urlencoded;charset=utf-8",
            "Origin": "https://gemini.google.com",
            "Referer": "https://gemini.google.com/",
            "X-Same-Domain": "1",
            "Cookie": self.cookie_header(),
            **(headers or {}),
        }
        parameters = {
            "hl": "en",
            "_reqid": "12345",
            "rt": "c",
            "bl": self.page.get("cfb2h", ""),
            "f.sid": self.page.get("FdrFJe", ""),
            **(query or {}),
        }
        return await self.session.post(
            f"https://gemini.google.com/_/BardChatUi/data/{path}",
            params=parameters,
            headers={name: value for name, value in sent.items() if value is not None},
            data={"at": self.page.get("SNlM0e", "") if at is None else at, **form},
        )

    async def close(self) -> None:
        await self.session.close()


OpenBare: TypeAlias = Callable[..., Awaitable[Bare]]


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until `condition()` holds; fails after the deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.005)
