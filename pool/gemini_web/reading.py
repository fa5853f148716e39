"""Reads one answer as it arrives: bytes from curl's callback on one side, events on the other."""

import asyncio

from core.chat import Delta
from pool.answer import Refused, Turn, last_word
from pool.frames import FrameReader, FramingError

_HELD = 32
"""Frames of an unstreamed answer that are kept unread; then the newest is read and the rest dropped."""


class Reading:
    """One answer. `take` is curl's callback; everything else belongs to the coroutine that waits.

    Every frame repeats the answer so far, so of the frames that arrive together only the newest that
    holds a candidate is read, and an answer that nobody reads as it grows is read at its end.

    last_content: monotonic time of the last frame that held the answer, or None before the first content. A frame
        counts that adds nothing: while a picture is made, the web app may only repeat itself.
    failure: what ended the reading early, `Refused` or `FramingError`.
    """

    def __init__(self, *, stream: bool) -> None:
        self.turn = Turn()
        self.failure: Refused | FramingError | None = None
        self.last_content: float | None = None
        self.received = 0
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._frames = FrameReader()
        self._chunks: list[bytes] = []
        self._held: list[bytes] = []
        self._largest = 0
        self._waiter: asyncio.Future[None] | None = None

    def take(self, chunk: bytes) -> None:
        """Keep what arrived and wake the coroutine, unless it could not do anything with it yet."""
        self.received += len(chunk)
        self._chunks.append(chunk)
        if self._stream or self.last_content is None:
            self.wake()
        elif len(self._chunks) >= _HELD:
            self.digest()

    def wake(self, *_: object) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def more(self, until: float) -> bool:
        """Wait until something arrived or `wake` was called. False once `until` (monotonic) is past."""
        if self._chunks and (self._stream or self.last_content is None):
            return True
        if until <= self._loop.time():
            return False
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until, self.wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None
        return bool(self._chunks) or self._loop.time() < until

    def digest(self) -> Delta | None:
        """Read what arrived. Returns what it added, for an unstreamed answer only at its first content.

        Sets `failure` where the answer refuses or makes no sense; nothing is raised.
        """
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if not data or self.failure is not None:
            return None
        try:
            frames = self._frames.feed(data)
            if not frames:
                return None
            if self._stream:
                return self._show(frames)
            self._hold(frames)
        except (Refused, FramingError) as failure:
            self.failure = failure
        return None

    def finish(self) -> Delta | None:
        """Read what is left once nothing will follow; returns the rest of the text."""
        self.digest()
        try:
            if self._held:
                last_word(self._held, self.turn)
                self._held.clear()
        except Refused as failure:
            self.failure = failure
        return self.turn.rest()

    def _show(self, frames: list[bytes]) -> Delta | None:
        seen = self.turn.candidate
        if len(frames) > 1:
            last_word(frames, self.turn)
            delta = self.turn.show()
        else:
            delta = self.turn.feed(frames[0])
        if self.turn.started and self.turn.candidate is not seen:
            self.last_content = self._loop.time()
        return delta

    def _hold(self, frames: list[bytes]) -> None:
        if self.last_content is None:
            last_word(frames, self.turn)
            if self.turn.started:
                self.last_content = self._loop.time()
            return
        for frame in frames:
            if len(frame) >= self._largest:
                self._largest = len(frame)
                self.last_content = self._loop.time()
        self._held += frames
        if len(self._held) > _HELD:
            last_word(self._held, self.turn)
            self._held.clear()
