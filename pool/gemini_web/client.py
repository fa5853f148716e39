"""gemini_webapi's client with its own lifecycle switched off.

The library retries, re-initialises, closes itself on any error and makes extra calls around every
prompt. Here it only builds requests: each is recorded in the moment the library would send it, and the
adapter sends it with its own bounds. Nothing of the library is patched; this is a subclass.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from http.cookiejar import Cookie
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from curl_cffi import CurlError
from curl_cffi.const import CurlECode
from curl_cffi.requests import AsyncSession, Cookies, Response
from gemini_webapi import ChatSession, GeminiClient
from gemini_webapi.constants import GRPC, AccountStatus
from gemini_webapi.types import AvailableModel, RPCData
from gemini_webapi.utils import rotate_1psidts, upload_file
from gemini_webapi.utils.parsing import extract_json_from_response, get_nested_value

from core.chat import Place
from core.secret import Secret
from pool.gemini_web.transfer import OneShot, Request, Sink, Wire
from pool.gemini_web.trust import Trust

_NOT_FOUND = 5
_T = TypeVar("_T")


class _Recorded(BaseException):
    """Carries a request out of the library. A BaseException, for the library catches every Exception
    and turns it into an error of its own."""

    def __init__(self, method: str, url: str, kwargs: dict[str, Any]) -> None:
        self.request = Request(
            method,
            str(url),
            headers=kwargs.get("headers") or {},
            params=kwargs.get("params") or {},
            body=_encode(kwargs.get("data")),
        )


class _Recorder:
    """Stands where the library expects its HTTP session."""

    def __init__(self, cookies: Cookies) -> None:
        self.cookies = cookies

    def stream(self, method: str, url: str, **kwargs: Any) -> None:
        raise _Recorded(method, url, kwargs)

    async def post(self, url: str, **kwargs: Any) -> None:
        raise _Recorded("POST", url, kwargs)


class LibraryChanged(RuntimeError):
    """The library did not build a request where it used to: another version than the pinned one."""


class RpcFailed(Exception):
    """An RPC was answered with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"an RPC was answered with HTTP {status}")
        self.status = status


class RpcRefused(Exception):
    """An RPC was refused inside an answer with status 200."""

    def __init__(self, code: int) -> None:
        super().__init__(f"an RPC was refused with code {code}")
        self.code = code


class Client(GeminiClient):  # type: ignore[misc]  # the library ships no types
    """One live session of one account. `open` it once, `dispose` of it once.

    status_code: what the last user status call said, None where its answer held no status.
    proven: set by the factory once the session is known to be the account's own.
    """

    client: AsyncSession[Response] | None

    def __init__(self, psid: Secret, psidts: Secret, proxy: Secret | None, trust: Trust) -> None:
        way = proxy.reveal() if proxy else None
        super().__init__(psid.reveal(), psidts.reveal() or None, proxy=way, verify=trust.begin(way))
        self._trust = trust
        self.rpc_timeout = 10.0
        self.connect_timeout = 10.0
        self.status_code: int | None = None
        self.proven = False
        self.wire: Wire | None = None
        self._recorder: _Recorder | None = None

    async def open(self, timeout: float) -> None:
        """Load the start page and the account's status; raises what the library raises.

        timeout: seconds for the whole, after which TimeoutError is raised.
        """
        self.rpc_timeout = timeout
        async with asyncio.timeout(timeout):
            await self._trusting(
                lambda: self.init(timeout=timeout, auto_refresh=False, auto_close=False, verbose=False)
            )

    async def dispose(self) -> None:
        """Drop the connection. What still runs on it ends as if the body had ended there."""
        self._running = False
        session = self.client
        if session is not None:
            self.client = None
            self._cookies.update(session.cookies)
            if self.wire is not None:
                self.wire.close()
            await session.close()

    async def close(self, delay: float = 0) -> None:
        """The library's wish to close on any error is not granted: one failed call must not end the
        others, and nothing is written to its cookie cache. See `dispose`."""

    def bare_session(self) -> AsyncSession[Response]:
        """A session like the one that the library opens, with the same cookies, proxy and certificates."""
        return AsyncSession(
            impersonate=self.impersonate,
            proxy=self.proxy,
            verify=self.kwargs["verify"],
            cookies=Cookies(self._cookies),
        )

    def record_prompt(
        self,
        text: str,
        files: list[Any] | None,
        model: AvailableModel | None,
        *,
        temporary: bool,
        thinking: bool,
        place: Place | None = None,
    ) -> Request:
        """The request that the library would send for this prompt; with a place, as the next turn of that chat.

        Raises what the library raises for a prompt it does not take (AssertionError, ValueError).
        """
        steps: AsyncGenerator[Any, None] = self._generate(
            text,
            req_file_data=files,
            model=model,
            chat=None if place is None else ChatSession(self, _metadata(place)),
            temporary=temporary,
            extended_thinking=thinking,
            current_retry=0,
        )
        return self._record(anext(steps))

    def record_rotation(self) -> Request:
        """The request that rotates `__Secure-1PSIDTS`."""
        return _record(rotate_1psidts(_Recorder(self.cookies)))

    async def send(
        self, request: Request, *, total: float, connect: float | None = None, sink: Sink | None = None
    ) -> Response:
        """Send a request on this session's connection and with its cookies; see `Wire.send`."""
        return await self._trusting(
            lambda: self._wire().send(
                request, connect=connect or self.connect_timeout, total=total, sink=sink
            )
        )

    async def upload(self, data: bytes, name: str) -> str:
        """Upload a file under `name`, whose ending tells its type; the reference to put in the prompt."""
        with self._wire().awake():
            reference = await self._trusting(
                lambda: upload_file(data, client=self._live_client, push_id=self.push_id, filename=name)
            )
        return str(reference)

    async def delete_chat(self, cid: str) -> None:
        """Raises RpcFailed or RpcRefused, for which the library's own does not look. A chat that is not there counts as
        deleted. Other than in the library, the account's status that was seen last decides nothing, and what the
        page asks next is `fetch_tasks`."""
        response = await self._batch_execute([_rpc(GRPC.DELETE_CONVERSATION, [cid])])
        code = next(
            (
                code
                for part in extract_json_from_response(response.text)
                if get_nested_value(part, [1]) == GRPC.DELETE_CONVERSATION
                and (code := get_nested_value(part, [5, 0]))
            ),
            None,
        )
        if code not in {None, _NOT_FOUND}:
            raise RpcRefused(code)

    async def fetch_tasks(self, cid: str) -> None:
        """What the page asks once it has deleted a chat; the answer is not looked at."""
        await self._batch_execute([_rpc(GRPC.GET_TASKS_IN_CONVERSATION, [cid, [1, None, 0, 1]])])

    async def _trusting(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Call once more with all authorities where Google's own did not do: nothing had left by then."""
        try:
            return await call()
        except CurlError as error:
            whole = self._trust.whole
            if error.code != CurlECode.PEER_FAILED_VERIFICATION or self.kwargs["verify"] == whole:
                raise
            self.kwargs["verify"] = whole
            if self.client is not None:
                self.client.verify = whole  # type: ignore[assignment]  # a path as well, in truth
        answer = await call()
        self._trust.widen(self.proxy)
        return answer

    def _wire(self) -> Wire:
        if self.wire is None:
            self.wire = Wire(self._live_client)
        return self.wire

    @property
    def _live_client(self) -> Any:
        return self._recorder or super()._live_client

    def _record(self, step: Coroutine[Any, Any, Any]) -> Request:
        self._recorder = _Recorder(self.cookies)
        try:
            return _record(step)
        finally:
            self._recorder = None

    async def _init_rpc(self) -> None:
        await self._fetch_user_status()

    async def _fetch_user_status(self) -> None:
        self.status_code = None
        await super()._fetch_user_status()

    def _parse_rpc_results(self, response_text: str, target_id: str) -> Iterator[Any]:
        for body in super()._parse_rpc_results(response_text, target_id):
            if target_id == GRPC.GET_USER_STATUS:
                self.status_code = get_nested_value(body, [14], int(AccountStatus.AVAILABLE))
            yield body
        if target_id == GRPC.GET_USER_STATUS and self.account_status == AccountStatus.UNAUTHENTICATED:
            self.status_code = int(AccountStatus.UNAUTHENTICATED)

    async def _batch_execute(
        self, payloads: list[RPCData], source_path: str = "/app", close_on_error: bool = True, **kwargs: Any
    ) -> Response:
        """The library's own would close the client, sleep, initialise again behind a lock that is held
        already, and so never return. This one sends once and raises RpcFailed."""
        request = self._record(
            super()._batch_execute(payloads, source_path, close_on_error=False, current_retry=0)
        )
        response = await self.send(request, total=self.rpc_timeout)
        if response.status_code != 200:
            raise RpcFailed(response.status_code)
        return response

    def cookie_values(self) -> dict[str, Secret]:
        """The whole jar by name, as far as it belongs to google.com itself."""
        jar: Iterator[Cookie] = iter(self.cookies.jar)
        return {
            cookie.name: Secret(cookie.value)
            for cookie in jar
            if cookie.value and cookie.domain.lstrip(".") == "google.com"
        }


def _record(step: Coroutine[Any, Any, Any]) -> Request:
    """Run the library up to the point where it sends. It builds requests without waiting for anything,
    so one step is enough; where it is not, the library is another than the pinned one."""
    try:
        step.send(None)
    except _Recorded as recorded:
        return recorded.request
    except StopIteration:
        raise LibraryChanged("gemini_webapi ended without a request") from None
    step.close()
    raise LibraryChanged("gemini_webapi waited before it had built its request")


def _metadata(place: Place) -> list[str | None]:
    """A chat's ids and context where the library keeps them."""
    return [place.cid, place.rid, place.rcid, *[None] * 6, place.context]


def _rpc(rpcid: str, payload: list[Any]) -> RPCData:
    return RPCData(rpcid=rpcid, payload=msgspec.json.encode(payload).decode())


def _encode(data: Any) -> OneShot | None:
    if data is None:
        return None
    if isinstance(data, dict):
        data = urlencode(data)
    return OneShot(data.encode() if isinstance(data, str) else data)
