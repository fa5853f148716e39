"""OpenAI's stream of chat completion chunks."""

from collections.abc import Callable

import msgspec

from core.chat import Delta, Event, Picture, ToolCall, Usage
from routes.inline import Pieces, encoded
from routes.markdown import picture_text
from routes.openai.translate import call_chunk, finish_of, image_of, usage_of
from routes.openai.wire import Chunk, ChunkChoice, ChunkDelta
from routes.sse import EVENT_STREAM, frame, framed


class ChunkFraming:
    """Frames of one streamed completion of `n` choices. One id for all; the role comes with a choice's
    first chunk; usage, where it was asked for, in a last chunk without choices.

    absolute: makes links of pictures such that callers can follow them.
    """

    media_type = EVENT_STREAM
    keepalive = b": keep-alive\n\n"

    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        n: int,
        include_usage: bool,
        absolute: Callable[[str], str] = str,
    ) -> None:
        self._id = id
        self._created = created
        self._model = model
        self._include_usage = include_usage
        self._absolute = absolute
        self._begun = [False] * n
        self._said = [False] * n
        self._calls = [0] * n
        self._usages: list[Usage] = []
        self._encode = msgspec.json.Encoder().encode

    def event(self, index: int, event: Event) -> bytes | Pieces:
        delta = ChunkDelta()
        finish_reason: str | None = None
        if isinstance(event, Delta):
            if event.text:
                delta.content = event.text
                self._said[index] = True
            if event.thoughts:
                delta.reasoning_content = event.thoughts
            if not event.text and not event.thoughts:
                return b""
        elif isinstance(event, Picture):
            delta.images = [image_of(event)]
            if text := picture_text(event, self._absolute, after=self._said[index]):
                delta.content = text
                self._said[index] = True
        elif isinstance(event, ToolCall):
            delta.tool_calls = [call_chunk(self._calls[index], event)]
            self._calls[index] += 1
        else:
            self._usages.append(event.usage)
            finish_reason = finish_of(event.reason)
        if not self._begun[index]:
            self._begun[index] = True
            delta.role = "assistant"
            if delta.content is msgspec.UNSET:
                delta.content = ""
        choices = [ChunkChoice(index=index, delta=delta, finish_reason=finish_reason)]
        chunk = Chunk(id=self._id, created=self._created, model=self._model, choices=choices)
        return framed(encoded(chunk)) if isinstance(event, Picture) else frame(self._encode(chunk))

    def end(self) -> bytes:
        done = b"data: [DONE]\n\n"
        if not self._include_usage:
            return done
        usage = usage_of(self._usages)
        chunk = Chunk(id=self._id, created=self._created, model=self._model, choices=[], usage=usage)
        return frame(self._encode(chunk)) + done

    def error(self, data: bytes) -> bytes:
        # No [DONE]: some clients take it for a good end.
        return frame(data)
