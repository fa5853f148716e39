"""Opens sessions and proves that each is the account's own."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import loguru
from curl_cffi import CurlError
from curl_cffi.const import CurlECode
from gemini_webapi.constants import Endpoint

from core.errors import GatewayError, SessionExpired, UpstreamUnstable
from core.secret import Secret
from core.tasks import Tasks
from pool.gemini_web import faults
from pool.gemini_web.client import Client, RpcFailed
from pool.gemini_web.session import Activity, GeminiWebSession
from pool.gemini_web.transfer import Request, Wire
from pool.gemini_web.trust import Trust
from pool.upstream import Credentials, Session

_SIGN_IN = ("accounts.google.com", "consent.google.com")
_FAREWELL = 2.0
"""Seconds that closing waits for side calls."""
_NAMED = ("__Secure-1PSID", "__Secure-1PSIDTS")


class GeminiWebSessions:
    """Implements `pool.upstream.SessionFactory`.

    directory: private to this process; holds the certificate bundles and the folder that the library
        would cache cookies in. That folder stays empty: a cached cookie would win over the one given.
    ca_file: a CA that upstream TLS may be signed by, in addition to the public ones, which are certifi's unless
        `public` names a file of others (see `Trust`).
    forget_waits: seconds between the tries to delete a picture's chat.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ca_file: Path | None = None,
        public: Path | None = None,
        activity: Activity = "background",
        connect_timeout: float = 10.0,
        forget_waits: Sequence[float] = (2.0, 10.0, 60.0),
    ) -> None:
        self._cache = directory / "library"
        self._activity = activity
        self._connect_timeout = connect_timeout
        self._forget_waits = tuple(forget_waits)
        self._tasks = Tasks("gemini_web")
        shutil.rmtree(self._cache, ignore_errors=True)
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["GEMINI_COOKIE_PATH"] = str(self._cache)  # read by the library at every call
        loguru.logger.disable("gemini_webapi")  # it logs cookie file names, which are cookie values
        self._trust = Trust(directory, ca_file, public)

    async def open(
        self, account: str, credentials: Credentials, proxy: str | None, timeout: float
    ) -> Session:
        _refuse_unsafe(credentials)
        client = Client(
            credentials.secure_1psid,
            credentials.secure_1psidts,
            Secret(proxy) if proxy else None,
            self._trust,
        )
        client.connect_timeout = min(self._connect_timeout, timeout)
        client.cookies = {n: v.reveal() for n, v in credentials.jar.items() if n not in _NAMED}
        try:
            await client.open(timeout)
            _prove(client)
            client.proven = True
        except Exception as error:  # border: whatever the library raises becomes ours
            if _was_redirected(error):
                raise await _where_to(client, timeout) from error
            raise _of_opening(error) from error
        finally:
            if not client.proven:
                await client.dispose()
        return GeminiWebSession(account, client, self._activity, self._tasks, self._forget_waits)

    async def close(self) -> None:
        """Give the side calls that still run a moment, then end them. Sessions are closed by whoever opened
        them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._tasks.settle()
        await self._tasks.close()


def _refuse_unsafe(credentials: Credentials) -> None:
    """Without a PSID the library takes the newest cookies of any account; with a slash in it, it leaves
    its folder. The roster refuses both long before."""
    psid = credentials.secure_1psid.reveal()
    if not psid or "/" in psid or ".." in psid:
        raise SessionExpired("the account has no usable __Secure-1PSID")


def _prove(client: Client) -> None:
    """A guest is not an account: the library opens a session without credentials as readily."""
    if client._cookie_source.startswith("Guest") or not client.access_token:
        raise SessionExpired("the session fell back to a guest's")
    if (fault := faults.of_account_status(client.status_code)) is not None:
        raise fault


def _of_opening(error: Exception) -> GatewayError:
    """On a fresh start page there is no stale token left to blame: what refuses now is the account."""
    if isinstance(error, RpcFailed) and error.status in {400, 401, 403}:
        return SessionExpired(f"a fresh session was refused with HTTP {error.status}")
    return faults.translate(error)


def _was_redirected(error: Exception) -> bool:
    """The library refuses redirects on connections to a private address, and where the proxy has one that
    is every redirect: a start page that sends us to sign in would look like a broken network."""
    return (
        isinstance(error, CurlError) and error.code == CurlECode.COULDNT_CONNECT and "Redirect" in str(error)
    )


async def _where_to(client: Client, timeout: float) -> GatewayError:
    """What the redirect of the start page says about the account."""
    async with client.bare_session() as session:
        wire = Wire(session)
        try:
            page = await wire.send(
                Request("GET", Endpoint.INIT), connect=client.connect_timeout, total=timeout
            )
        except CurlError as error:
            return faults.translate(error)
        finally:
            wire.close()
    host = urlsplit(str(page.headers.get("location", ""))).hostname
    if host in _SIGN_IN:
        return SessionExpired("the start page sends us to sign in")
    return UpstreamUnstable("the start page redirects", kind="page")
