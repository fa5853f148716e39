"""Which cookies open an account's session: the roster's, or newer ones that somebody keeps."""

from typing import Protocol

from pool.account import AccountConfig
from pool.upstream import Credentials


class CookieSource(Protocol):
    """Knows the newest cookies of every account."""

    async def newest(self, account: AccountConfig) -> tuple[Credentials, ...]:
        """What to try in turn, the newest first; never empty. Never raises."""
        ...

    def missing(self, account: AccountConfig) -> str:
        """Why the last `newest` may lack newer cookies than it gave, in words; '' where it lacks none. That its
        cookies are dead then says nothing about the account."""
        ...


class RosterCookies:
    """The accounts file alone."""

    async def newest(self, account: AccountConfig) -> tuple[Credentials, ...]:
        return (of_roster(account),)

    def missing(self, account: AccountConfig) -> str:
        return ""


def of_roster(account: AccountConfig) -> Credentials:
    return Credentials(account.secure_1psid, account.secure_1psidts)
