"""The stream of a response: its events in order, numbered, each under its name."""

import msgspec

from core.chat import Event, Finish
from core.clock import Clock
from routes.inline import Pieces, encoded
from routes.openai.errors import ErrorEnvelope
from routes.openai.responses.output import Output, status_of, usage_of
from routes.openai.responses.wire import (
    ErrorEvent,
    ErrorFields,
    ImageCallItem,
    Response,
    StreamEvent,
)
from routes.sse import EVENT_STREAM, frame, framed


class ResponseFraming:
    """Frames of one streamed response, whose events all have a sequence number. There is no [DONE]."""

    media_type = EVENT_STREAM
    keepalive = b": keep-alive\n\n"

    def __init__(self, response: Response, output: Output, clock: Clock) -> None:
        self._response = response
        self._output = output
        self._clock = clock
        self._number = 0
        self._encode = msgspec.json.Encoder().encode

    def event(self, index: int, event: Event) -> bytes | Pieces:
        taken = [*self._output.take(event)]
        if not taken and not isinstance(event, Finish):
            # Until something is told, a failure is a plain error.
            return b""
        frames = [*self._begun(), *(self._frame(item) for item in taken)]
        if isinstance(event, Finish):
            completed(self._response, self._output, event, int(self._clock.now()))
            frames.append(
                self._frame(StreamEvent(f"response.{self._response.status}", response=self._response))
            )
        if all(isinstance(found, bytes) for found in frames):
            return b"".join(found for found in frames if isinstance(found, bytes))
        return Pieces.chained(Pieces([found]) if isinstance(found, bytes) else found for found in frames)

    def end(self) -> bytes:
        return b""

    def error(self, data: bytes) -> bytes:
        error = msgspec.json.decode(data, type=ErrorEnvelope).error
        fields = ErrorFields(error.type, error.code, error.message, error.param)
        event = ErrorEvent(error.code, error.message, error.param, self._number, fields)
        return b"event: error\n" + frame(self._encode(event))

    def _begun(self) -> list[bytes | Pieces]:
        if self._number:
            return []
        return [
            self._frame(StreamEvent(f"response.{step}", response=self._response))
            for step in ("created", "in_progress")
        ]

    def _frame(self, event: StreamEvent) -> bytes | Pieces:
        event.sequence_number = self._number
        self._number += 1
        head = f"event: {event.type}\n".encode()
        if _has_pictures(event):
            return framed(encoded(event)).within(head, b"")
        return head + frame(self._encode(event))


def _has_pictures(event: StreamEvent) -> bool:
    items = event.response.output if isinstance(event.response, Response) else [event.item]
    return any(isinstance(item, ImageCallItem) for item in items)


def completed(response: Response, output: Output, finish: Finish, now: int) -> Response:
    """The response with its output and its end."""
    response.output = [*output.items]
    response.status = status_of(finish.reason)
    if response.status == "incomplete":
        response.incomplete_details = {"reason": "content_filter"}
    else:
        response.completed_at = now
    response.usage = usage_of(finish.usage)
    return response
