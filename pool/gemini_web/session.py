"""One account's live session: prompts, probe, rotation."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import structlog
from gemini_webapi.types import AvailableModel

from core.chat import Blob, Picture
from core.errors import (
    GatewayError,
    ModelUnavailable,
    NetworkFault,
    PlaceLost,
    SessionExpired,
    UpstreamError,
    UpstreamUnstable,
    UsageLimitReached,
)
from core.secret import Secret
from core.tasks import Tasks
from pool.answer import Refused
from pool.frames import FramingError
from pool.gemini_web import faults
from pool.gemini_web.client import Client
from pool.gemini_web.deletions import Deletions
from pool.gemini_web.pictures import fetch_pictures
from pool.gemini_web.reading import Reading
from pool.gemini_web.transfer import Request, stop
from pool.gemini_web.uploads import file_name
from pool.upstream import Bounds, Done, Offered, Prompt, UpstreamEvent

log = structlog.get_logger("gempool.gemini_web")

Activity: TypeAlias = Literal["background", "each", "off"]
"""When the web app's own side calls are made: in the background now and then while the account is in
use, around every prompt as the library does, or never."""

_LINGER = 2.0
"""Seconds that a finished answer's connection may stay open before it is taken for ended."""
_ACTIVITY_GAP = (60.0, 120.0)
_RESET_TIMEOUT = 0.5
"""Seconds that the question when a usage limit ends may hold up the failover."""


class GeminiWebSession:
    """Implements `pool.upstream.Session` over one `Client`. Calls run side by side; none ends another."""

    def __init__(
        self, account: str, client: Client, activity: Activity, tasks: Tasks, forget_waits: Sequence[float]
    ) -> None:
        self._account = account
        self._client = client
        self._activity = activity
        self._tasks = tasks
        self._next_activity = 0.0
        self._forgetting = Deletions(account, client, tasks, forget_waits)
        self._models = _unambiguous(client.list_models() or [])

    @property
    def offered(self) -> tuple[Offered, ...]:
        return tuple(
            Offered(name, model.display_name, model.description, aliases)
            for name, (model, aliases) in self._models.items()
        )

    async def generate(self, prompt: Prompt, bounds: Bounds) -> AsyncGenerator[UpstreamEvent, None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        model = self._model(prompt.model)
        if prompt.place is not None and prompt.place.account != self._account:
            raise PlaceLost("the chat is another account's")
        if self._activity == "each":
            await self._call(self._client._sync_activity(), bounds.first_content)
        files = [await self._upload(blob, bounds, started) for blob in prompt.files] or None
        try:
            request = self._client.record_prompt(
                prompt.text,
                files,
                model,
                temporary=prompt.temporary,
                thinking=prompt.thinking,
                place=prompt.place,
            )
        except Exception as error:  # border: whatever the library raises becomes ours
            raise self._translated(error) from error
        reading = Reading(stream=prompt.stream)
        asked = loop.time()
        transfer = loop.create_task(
            self._client.send(request, connect=bounds.connect, total=bounds.total, sink=reading.take),
            name=f"prompt:{self._account}",
        )
        transfer.add_done_callback(reading.wake)
        finished_at = 0.0
        found = 0
        try:
            while not transfer.done():
                if reading.last_content is None:
                    until = asked + bounds.first_content
                else:
                    until = (finished_at + _LINGER) if finished_at else reading.last_content + bounds.silence
                arrived = await reading.more(min(until, started + bounds.total))
                content = reading.last_content
                delta = reading.digest()
                self._check_place(reading, prompt)
                if delta is not None:
                    yield delta
                if reading.failure is not None:
                    break
                if reading.turn.complete and not finished_at:
                    finished_at = loop.time()
                if not arrived and content == reading.last_content and not transfer.done():
                    if finished_at:
                        break
                    raise _too_slow(content, request)
            if isinstance(reading.failure, FramingError):
                await asyncio.wait({transfer}, timeout=_LINGER)  # an error page: its status says more
            rest = reading.finish()
            self._check_place(reading, prompt)
            await self._judge(reading, transfer, request, in_place=prompt.place is not None)
            if rest is not None:
                yield rest
            if reading.turn.pictured:
                pictures, found = await self._pictures(reading, prompt, bounds, started)
                for picture in pictures:
                    yield picture
        finally:
            await stop(transfer)
            if prompt.forget and not prompt.temporary:
                self._forget(reading)
        if self._activity == "each":
            await self._side_call(self._client._fetch_usage_info)
        elif self._activity == "background" and loop.time() >= self._next_activity:
            self._next_activity = loop.time() + random.uniform(*_ACTIVITY_GAP)  # noqa: S311  jitter, no secret
            self._tasks.spawn(self._side_call(self._client._sync_activity), f"activity:{self._account}")
        turn = reading.turn
        yield Done(turn.cid, turn.rid, turn.rcid, turn.rewritten, found, turn.context)

    async def probe(self, timeout: float) -> None:
        self._client.rpc_timeout = timeout
        await self._call(self._client._fetch_user_status(), timeout)
        if (fault := faults.of_account_status(self._client.status_code)) is not None:
            raise fault

    async def rotate(self, timeout: float) -> bool:
        before = self.jar().get("__Secure-1PSIDTS")
        try:
            response = await self._client.send(self._client.record_rotation(), total=timeout)
        except Exception as error:  # border
            raise self._translated(error) from error
        if response.status_code == 401:
            raise SessionExpired("the rotation was answered with HTTP 401")
        if response.status_code != 200:
            raise faults.of_http_status(response.status_code, "the rotation")
        after = self.jar().get("__Secure-1PSIDTS")
        return after is not None and after != before

    def jar(self) -> Mapping[str, Secret]:
        return self._client.cookie_values()

    def adopt(self, jar: Mapping[str, Secret]) -> None:
        for name, value in jar.items():
            self._client.cookies.set(name, value.reveal(), domain=".google.com", secure=True)

    async def close(self) -> None:
        await self._forgetting.close()
        await self._client.dispose()

    def _model(self, name: str | None) -> AvailableModel | None:
        if name is None:
            return None
        if name not in self._models:
            raise ModelUnavailable(f"the account does not offer {name}")
        return self._models[name][0]

    def _check_place(self, reading: Reading, prompt: Prompt) -> None:
        """An answer that stands in another chat than was asked for knows nothing of what was said before: nobody
        may see it, and that chat goes."""
        cid = reading.turn.cid
        if prompt.place is not None and cid and cid != prompt.place.cid:
            self._forgetting.begin(cid)
            raise PlaceLost("the prompt was answered in a new chat")

    async def _judge(
        self, reading: Reading, transfer: asyncio.Task[Any], request: Request, *, in_place: bool
    ) -> None:
        """Whether the answer is whole; raises what is wrong with it. in_place: it was to go on in a chat."""
        turn, failure = reading.turn, reading.failure
        if isinstance(failure, Refused):
            if in_place and failure.code in faults.PLACE_CODES:
                raise PlaceLost(f"the chat was refused with error code {failure.code}")
            error = faults.of_error_code(failure.code)
            if isinstance(error, UsageLimitReached):
                error = faults.of_error_code(failure.code, resets_at=await self._resets_at())
            raise error
        if turn.complete and turn.started:
            return
        if transfer.done() and not transfer.cancelled():
            if (broken := transfer.exception()) is not None:
                sent = request.body.sent if request.body is not None else None
                raise self._translated(broken, sent=sent) from broken
            status = transfer.result().status_code
            if status != 200:
                if in_place and status in faults.PLACE_STATUSES:
                    raise PlaceLost(f"the chat was refused with HTTP {status}")
                raise faults.of_http_status(status, "the prompt")
        if turn.started:
            raise UpstreamUnstable("the answer ended before it was whole", kind="truncated")
        if failure is not None or (reading.received and turn.candidate is None and not turn.cid):
            raise UpstreamUnstable("the answer is no answer", kind="garbage")
        raise UpstreamUnstable("the answer is empty", kind="empty")

    async def _resets_at(self) -> float | None:
        """When the usage window that is full opens again (wall clock), as far as the web app tells in time."""
        client = self._client
        try:
            async with asyncio.timeout(_RESET_TIMEOUT):
                await client._fetch_usage_info()
        except Exception as error:  # noqa: BLE001  border: the limit itself is what matters, its end is a courtesy
            log.debug("reset time not told", account=self._account, error=type(error).__name__)
            return None
        return max((at for at in map(_full_until, client.usage_info.values()) if at), default=None)

    async def _upload(self, blob: Blob, bounds: Bounds, started: float) -> list[Any]:
        """Upload a file under a name whose ending tells its type, and name it the same in the prompt."""
        name = file_name(blob)
        patience = min(bounds.first_content, started + bounds.total - asyncio.get_running_loop().time())
        reference = await self._call(self._client.upload(blob.data, name), patience)
        if not reference.startswith("/"):
            raise UpstreamUnstable("the upload gave no reference", kind="garbage")
        return [[reference], name]

    async def _pictures(
        self, reading: Reading, prompt: Prompt, bounds: Bounds, started: float
    ) -> tuple[list[Picture], int]:
        """The generated pictures, and how many others were found on the web."""
        turn = reading.turn
        _, _, found, made, *_ = self._client._parse_candidate(turn.candidate, turn.cid, turn.rid, turn.rcid)
        if turn.generated and not made:
            raise UpstreamUnstable("a picture was made and has no address", kind="garbage")
        left = started + bounds.total - asyncio.get_running_loop().time()
        fetching = fetch_pictures(
            self._client,
            made,
            account=self._account,
            originals=prompt.originals and not prompt.temporary,
            left=left,
            silence=bounds.silence,
        )
        return await self._call(fetching, left), len(found)

    def _forget(self, reading: Reading) -> None:
        """Delete the answer's chat in the background, as far as it got an id."""
        reading.finish()
        if cid := reading.turn.cid:
            self._forgetting.begin(cid)

    async def _side_call(self, call: Callable[[], Awaitable[Any]]) -> None:
        """A call that the web page makes beside the answer; nothing of ours depends on it."""
        try:
            await self._call(call(), self._client.rpc_timeout)
        except GatewayError as error:
            log.debug("side call failed", account=self._account, error=str(error))

    async def _call(self, call: Any, timeout: float) -> Any:
        """Await one of the library's calls within `timeout` seconds, its errors turned into ours."""
        try:
            async with asyncio.timeout(timeout):
                return await call
        except Exception as error:  # border: whatever the library raises becomes ours
            raise self._translated(error) from error

    def _translated(self, error: BaseException, *, sent: bool | None = None) -> GatewayError:
        fault = faults.translate(error, sent=sent)
        if fault is not error:
            log.debug(
                "library error", account=self._account, error=type(error).__name__, fault=type(fault).__name__
            )
        return fault


def _unambiguous(models: list[AvailableModel]) -> dict[str, tuple[AvailableModel, frozenset[str]]]:
    """The models by canonical name, each with the aliases that mean it and no other.

    Two models of one category share the name that the library derives; then the later one goes by its
    display name, or its id.
    """
    claims: dict[str, int] = {}
    for model in models:
        for alias in {*model.aliases, model.display_name}:
            claims[alias.lower()] = claims.get(alias.lower(), 0) + 1
    named: dict[str, tuple[AvailableModel, frozenset[str]]] = {}
    for model in models:
        display = "gemini-" + model.display_name.lower().replace(" ", "-")
        name = next((n for n in (model.model_name, display) if n and n not in named), model.model_id)
        aliases = {a.lower() for a in (*model.aliases, model.display_name) if claims[a.lower()] == 1}
        named[name] = (model, frozenset(aliases - {name}))
    return named


def _too_slow(content: float | None, request: Request) -> UpstreamError:
    if request.body is not None and not request.body.sent:
        return NetworkFault("no connection in time")
    if content is None:
        return UpstreamUnstable("no first content in time", kind="slow_first_content")
    return UpstreamUnstable("silence in the middle of the answer", kind="stalled")


def _full_until(window: Any) -> float | None:
    """When a usage window that is used up opens again, or None where it is not used up."""
    if not isinstance(window, dict) or not window.get("reset_at"):
        return None
    level, left = window.get("usage_level"), window.get("remaining_credits")
    full = left == 0 or (isinstance(level, int | float) and level >= 1)
    return datetime.fromisoformat(window["reset_at"]).timestamp() if full else None
