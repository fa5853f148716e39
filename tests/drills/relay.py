"""A stretch of network between a gateway and the upstream that goes silent, or resets, after so many bytes."""

import asyncio
import threading
from types import TracebackType
from typing import Literal, TypeAlias

from tests.drills.verdict import reset

Ending: TypeAlias = Literal["silent", "reset"]


class Relay:
    """Listens on `port` and carries bytes to another port of this machine and back while the block lasts.

    `break_(after, how)`: each connection carries so many bytes of the upstream's more, open ones too; then nothing comes any more,
    or it is reset. `mend()`: new connections are whole again; those that went silent stay so.
    """

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self.broken = 0
        """Connections that were."""
        self._upstream = upstream
        self._after: int | None = None
        self._how: Ending = "silent"
        self._open: set[_Carried] = set()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> "Relay":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    def break_(self, after: int, how: Ending) -> None:
        self._tell(after, how)

    def mend(self) -> None:
        self._tell(None, self._how)

    def _tell(self, after: int | None, how: Ending) -> None:
        def tell() -> None:
            self._after, self._how = after, how
            for one in self._open:
                one.may = after if not one.silent else one.may

        self._loop.call_soon_threadsafe(tell)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._over.wait()
        server.close()
        for one in list(self._open):
            one.cut()
        while self._open:  # noqa: ASYNC110  their ends have no event
            await asyncio.sleep(0.01)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        one = _Carried(writer, back, self._after)
        self._open.add(one)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, back))
                both.create_task(self._return(there, one))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            one.cut()
            self._open.discard(one)

    async def _return(self, there: asyncio.StreamReader, one: "_Carried") -> None:
        while data := await there.read(65536):
            if one.may is not None and len(data) >= one.may:
                one.caller.write(data[: one.may])
                self.broken += 1
                if self._how == "reset":
                    reset(one.caller.get_extra_info("socket").dup())
                    one.caller.transport.abort()
                    raise ConnectionResetError
                one.silent, one.may = True, 0
                await asyncio.Event().wait()
            if one.may is not None:
                one.may -= len(data)
            one.caller.write(data)
            await one.caller.drain()
        one.caller.close()


class _Carried:
    """One connection. may: how many bytes it carries on; None: any number."""

    def __init__(self, caller: asyncio.StreamWriter, upstream: asyncio.StreamWriter, may: int | None) -> None:
        self.caller = caller
        self.upstream = upstream
        self.may = may
        self.silent = False

    def cut(self) -> None:
        self.caller.transport.abort()
        self.upstream.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    # The gateway is gone: so is what it asked for, whatever the upstream still sends.
    raise ConnectionResetError
