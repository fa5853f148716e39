"""One account asked once."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, Delta, Finish, Picture, Place, Usage
from core.errors import ShuttingDown, UpstreamUnstable
from core.pictures import measure
from core.tokens import estimate
from engine.images import without_pictures
from engine.prompt import Flat
from pool import Lease
from pool.upstream import Bounds, Done, Prompt


class Staying(Struct, frozen=True):
    """A known chat, the model that it stands under, and what is new in it."""

    place: Place
    lane: str
    flat: Flat


class Attempt:
    """`run` hands out the text; what else the answer holds stands here once `run` has ended.

    begun: the caller has seen content, so that nothing can be tried elsewhere. held: nobody reads the answer as it
    grows, so that it is handed out when it is whole. pictures: as they were downloaded, each proved to be one.
    flat: the whole conversation. keep: in a chat that stays on the account. staying: it goes on in one that does.
    """

    def __init__(
        self,
        ask: Ask,
        flat: Flat,
        lease: Lease,
        bounds: Bounds,
        monotonic: Callable[[], float],
        forget: bool,
        keep: bool = False,
        staying: Staying | None = None,
    ) -> None:
        self.ask = ask
        self.flat = flat
        self.lease = lease
        self.bounds = bounds
        self.held = ask.picture is not None or not ask.stream
        self.begun = False
        self.rewritten = False
        self.settled = False
        self.pictures: list[Picture] = []
        self.keep = keep
        self.staying = staying
        self._done = Done()
        self._forget = forget
        self._monotonic = monotonic
        self._leased_at = monotonic()
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._waiting: asyncio.Task[Any] | None = None
        self._interrupted = False

    def interrupt(self) -> None:
        """Raise ShuttingDown from `run`: at once where it waits for the upstream, otherwise when its
        reader asks for the next event."""
        self._interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> AsyncGenerator[Delta, None]:
        ask, lease, held = self.ask, self.lease, self.held
        texts, thoughts = self._texts, self._thoughts
        events = lease.session.generate(self._prompt(), self.bounds)
        try:
            while True:
                before = self._monotonic()
                if self._interrupted:
                    raise _shutting_down()
                self._waiting = asyncio.current_task()
                try:
                    event = await anext(events)
                except StopAsyncIteration:
                    raise UpstreamUnstable("the session ended without an end", kind="truncated") from None
                except asyncio.CancelledError:
                    if self._interrupted and self._waiting is not None and not self._waiting.uncancel():
                        raise _shutting_down() from None
                    raise
                finally:
                    self._waiting = None
                    ask.trace.waited += self._monotonic() - before
                if isinstance(event, Delta):
                    texts.append(event.text)
                    thoughts.append(event.thoughts)
                    if not held:
                        self.begun = True
                        yield event
                elif isinstance(event, Done):
                    self._done = event
                    break
                else:
                    self.pictures.append(_proved(event))
        finally:
            await events.aclose()
        self.rewritten = self._done.rewritten
        if ask.picture is not None and not self.pictures:
            raise without_pictures("".join(texts), self._done.web_pictures)
        if not self.pictures and not texts:
            raise UpstreamUnstable("the answer has no content", kind="empty")

    def whole(self) -> Delta | None:
        """The text that was held back, None where there is none."""
        if not self.held or not self._texts:
            return None
        return Delta("".join(self._texts), "".join(self._thoughts))

    @property
    def seconds(self) -> float:
        """Since the lease."""
        return self._monotonic() - self._leased_at

    def finish(self) -> Finish:
        usage = Usage(
            estimate(self.flat.text), estimate("".join(self._texts)), estimate("".join(self._thoughts))
        )
        return Finish(usage, self.lease.lane, self.ask.trace.attempts, place=self._place())

    def _place(self) -> Place | None:
        """Where a further message can go on: nowhere where the caller has read other words than stand there."""
        done = self._done
        if not self.keep or not (done.cid and done.rid and done.rcid) or (self.rewritten and not self.held):
            return None
        return Place(self.lease.account, done.cid, done.rid, done.rcid, done.context)

    def _prompt(self) -> Prompt:
        ask, flat, model = self.ask, self.flat, self.lease.model
        if ask.picture is None:
            sent, place = (flat, None) if self.staying is None else (self.staying.flat, self.staying.place)
            return Prompt(
                sent.text,
                sent.files,
                model=model,
                thinking=ask.thinking,
                temporary=not self.keep,
                place=place,
                stream=ask.stream,
            )
        return Prompt(
            flat.text,
            flat.files,
            model=model,
            thinking=ask.thinking,
            temporary=False,  # the full-size download needs a chat that the account has
            # Copies are scaled and coded with loss, so that the logo cannot be taken off them cleanly; the studio
            # reduces what is more than was asked for.
            originals=True,
            forget=self._forget,
            stream=False,
        )


def _proved(picture: Picture) -> Picture:
    """With its true type and size. Raises UpstreamUnstable where its bytes are no picture."""
    found = measure(picture.data)
    if found is None:
        raise UpstreamUnstable("a picture's bytes are no picture", kind="garbage")
    return replace(picture, mime=found.format, width=found.width, height=found.height)


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("The gateway is shutting down. Please ask again.", retry_after=1.0)
