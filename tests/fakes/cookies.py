"""Accounts' cookies without accounts."""

from core.errors import NotFound
from engine.service import CookieStatus, HandedIn, Replaced

STATUS = CookieStatus(
    "alice", "quarantined", "expired", "2026-11-21T10:00:00.000Z", None, {}, 12.5, None, None, "", None, None, "", None
)  # fmt: skip


class FakeCookies:
    """One account, `alice`. `given` remembers what was handed in."""

    def __init__(self) -> None:
        self.given: list[tuple[str, HandedIn]] = []

    async def cookies_status(self) -> list[CookieStatus]:
        return [STATUS]

    async def replace_cookies(self, account: str, given: HandedIn) -> Replaced:
        if account != "alice":
            raise NotFound("There is no such account.", param="account")
        self.given.append((account, given))
        return Replaced(account, True, "well", "", "active", "")
