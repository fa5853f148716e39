"""Gemini's two forms of a stream: server-sent events, and a JSON array sent item by item."""

import msgspec

from core.chat import Delta, Event, Picture, ToolCall, Usage
from routes.gemini import answers, wire
from routes.inline import Pieces, encoded
from routes.sse import EVENT_STREAM, frame, framed, on_one_line


class _Chunks:
    """The chunks of one streamed answer of `n` candidates. Usage comes with the last candidate's end."""

    def __init__(self, *, id: str, model: str, n: int, show_thoughts: bool) -> None:
        self._id = id
        self._model = model
        self._running = n
        self._show_thoughts = show_thoughts
        self._usages: list[Usage] = []
        self._encode = msgspec.json.Encoder().encode

    def chunk(self, index: int, event: Event) -> bytes | Pieces:
        """One chunk as JSON, empty where there is nothing to say."""
        if isinstance(event, Delta):
            parts = answers.delta_parts(event, show_thoughts=self._show_thoughts)
            return self._json(index, parts) if parts else b""
        if isinstance(event, Picture):
            return encoded(self._response(index, [answers.picture_part(event)]))
        if isinstance(event, ToolCall):
            return self._json(index, [answers.call_part(event)])
        self._usages.append(event.usage)
        self._running -= 1
        response = self._response(index, [wire.PartOut(text="")])
        response.candidates[0].finish_reason = answers.FINISH[event.reason]
        if not self._running:
            response.usage_metadata = answers.usage_of(self._usages)
        return self._encode(response)

    def silence(self) -> bytes:
        """A chunk that says nothing."""
        return self._json(0, [wire.PartOut(text="")])

    def _json(self, index: int, parts: list[wire.PartOut]) -> bytes:
        return self._encode(self._response(index, parts))

    def _response(self, index: int, parts: list[wire.PartOut]) -> wire.GenerateResponse:
        candidate = wire.Candidate(content=wire.ContentOut(parts), index=index)
        return wire.GenerateResponse(candidates=[candidate], model_version=self._model, response_id=self._id)


class EventFraming:
    """`?alt=sse`. Google's clients break on comments and on [DONE], so a sign of life is an empty chunk."""

    media_type = EVENT_STREAM

    def __init__(self, *, id: str, model: str, n: int, show_thoughts: bool) -> None:
        self._chunks = _Chunks(id=id, model=model, n=n, show_thoughts=show_thoughts)
        self.keepalive = frame(self._chunks.silence())

    def event(self, index: int, event: Event) -> bytes | Pieces:
        chunk = self._chunks.chunk(index, event)
        if isinstance(chunk, Pieces):
            return framed(chunk)
        return frame(chunk) if chunk else b""

    def end(self) -> bytes:
        return b""

    def error(self, data: bytes) -> bytes:
        return frame(data)


class ArrayFraming:
    """One JSON array. White space between its items is a sign of life."""

    media_type = b"application/json"
    keepalive = b"\n"

    def __init__(self, *, id: str, model: str, n: int, show_thoughts: bool) -> None:
        self._chunks = _Chunks(id=id, model=model, n=n, show_thoughts=show_thoughts)
        self._begun = False

    def event(self, index: int, event: Event) -> bytes | Pieces:
        chunk = self._chunks.chunk(index, event)
        if isinstance(chunk, Pieces):
            return chunk.rewritten(on_one_line).within(self._lead(), b"")
        return self._item(chunk) if chunk else b""

    def end(self) -> bytes:
        return b"]\n" if self._begun else b"[]\n"

    def error(self, data: bytes) -> bytes:
        return self._item(data) + b"]\n"

    def _item(self, data: bytes) -> bytes:
        return self._lead() + on_one_line(data)

    def _lead(self) -> bytes:
        lead = b",\n" if self._begun else b"["
        self._begun = True
        return lead
