"""The events of a batch, read for as long as it takes: what breaks off is gone on with where it was."""

import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from msgspec import Struct

from gateway.batching.refusals import (
    BatchError,
    decoded,
    message_of,
    retry_after,
    told,
)
from gateway.client import DROPPED, Api, Reply, why

SILENCE = 60.0
"""Seconds. The gateway gives a sign of life every 15 by default; whoever is silent for longer than this is gone."""
_PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds between looking for a gateway that has gone; the last one from then on."""
_LONGEST_PAUSE = 30.0


class Standing(Struct, frozen=True):
    """How a batch stands, as far as this command looks at it."""

    batch_id: str
    status: str
    total: int
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    pending: int = 0
    running: int = 0
    concurrency: int = 0
    kind: str = ""
    model: str = ""
    created_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    expires_at: str | None = None
    why: str | None = None
    message: str | None = None

    @property
    def ended(self) -> int:
        return self.completed + self.failed + self.cancelled


class Told(Struct, frozen=True):
    """How a batch stands. text: the JSON of the gateway, with all of its fields."""

    standing: Standing
    text: str


class Task(Struct, frozen=True):
    """One task that has ended, with the fields that the gateway tells of it."""

    ok: bool
    fields: Mapping[str, Any]


class Lost(Struct, frozen=True):
    """The gateway does not answer, and is looked for again. Told once for each time."""

    why: str


class Back(Struct, frozen=True):
    """It answers again."""


Event: TypeAlias = Told | Task | Lost | Back


class _Frame(Struct):
    event: str = ""
    data: str = ""
    id: str = ""


def follow(api: Api, batch: str, pause: Callable[[float], None] = time.sleep) -> Iterator[Event]:
    """Every task that ends, in that order and each once, and how the batch stands; the last is what is `Told` of its end.

    A gateway that does not answer is waited for. Raises BatchError where it has no such batch, or not for this key.
    """
    after, lost, misses = 0, False, 0
    while True:
        wait = 0.0
        try:
            with api.opened(
                f"/v1/batch/{quote(batch, safe='')}/events",
                headers={"accept": "text/event-stream", "last-event-id": str(after)},
                timeout=SILENCE,
            ) as stream:
                for frame in _frames(stream):
                    if lost:
                        yield Back()
                    lost, misses = False, 0
                    if frame.event == "failure":
                        problem = message_of(frame.data.encode()) or "it has failed"
                        break
                    if frame.event in ("result", "problem"):
                        fields = decoded(api, frame.data, dict[str, Any])
                        yield Task(frame.event == "result", fields)
                        after = int(frame.id)
                    elif frame.event in ("progress", "done"):
                        yield Told(decoded(api, frame.data, Standing), frame.data)
                        if frame.event == "done":
                            return
                else:
                    problem = "the connection has ended"
        except urllib.error.HTTPError as error:
            with error:
                refused = Reply.of(error)
            wait = retry_after(refused)
            problem = told(api, refused)
            if _is_final(refused):
                raise BatchError(problem) from None
        except DROPPED as error:
            problem = why(error)
        if misses == 1:  # a gap that the next try closes is not worth a word
            yield Lost(problem)
            lost = True
        pause(min(max(wait, _PAUSES[min(misses, len(_PAUSES) - 1)]), _LONGEST_PAUSE))
        misses += 1


def _is_final(refused: Reply) -> bool:
    """A proxy may answer 404 for a gateway that is restarting; what the gateway itself refuses stays refused."""
    passing = refused.status >= 500 or refused.status in (0, 408, 429)
    return not passing and bool(message_of(refused.body))


def _frames(stream: Any) -> Iterator[_Frame]:
    """Server-sent events; comments and fields that we do not know are passed over."""
    frame = _Frame()
    while line := stream.readline():
        text = line.decode(errors="replace").rstrip("\r\n")
        if not text:
            if frame.data:
                yield frame
            frame = _Frame()
            continue
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            frame.data = f"{frame.data}\n{value}" if frame.data else value
        elif name in ("event", "id"):
            setattr(frame, name, value)
