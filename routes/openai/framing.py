"""OpenAI's stream of chat completion chunks."""

from collections.abc import Callable

import msgspec

from core.chat import Delta, Event, Finish, FinishReason, Picture, ToolCall, Usage
from routes.inline import Pieces, encoded
from routes.markdown import picture_text
from routes.openai.answers import finish_of, image_of, pieces_of, usage_of
from routes.openai.wire import Chunk, ChunkChoice, ChunkDelta, FunctionOut, ToolCallChunk
from routes.sse import EVENT_STREAM, frame, framed


class ChunkFraming:
    """Frames of one streamed completion of `n` choices. One id for all; the role comes with a choice's
    first chunk; usage, where it was asked for, in a last chunk without choices.

    absolute: makes links of pictures such that callers can follow them. shaped: text is held until the end, which
    alone tells whether it is what was asked for or a refusal. legacy: the caller offered `functions`.
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
        shaped: bool = False,
        legacy: bool = False,
    ) -> None:
        self._id = id
        self._created = created
        self._model = model
        self._include_usage = include_usage
        self._absolute = absolute
        self._shaped = shaped
        self._legacy = legacy
        self._begun = [False] * n
        self._said = [False] * n
        self._held = [""] * n
        self._calls = [0] * n
        self._usages: list[Usage] = []
        self._encode = msgspec.json.Encoder().encode

    def event(self, index: int, event: Event) -> bytes | Pieces:
        if isinstance(event, Delta):
            return self._added(index, event)
        if isinstance(event, Picture):
            return self._picture(index, event)
        if isinstance(event, ToolCall):
            return self._call(index, event)
        return self._finish(index, event)

    def _added(self, index: int, event: Delta) -> bytes:
        delta = ChunkDelta()
        if event.thoughts:
            delta.reasoning_content = event.thoughts
        if event.text and self._shaped:
            self._held[index] += event.text
        elif event.text:
            delta.content = event.text
            self._said[index] = True
        if delta.content is msgspec.UNSET and delta.reasoning_content is msgspec.UNSET:
            return b""
        return frame(self._encode(self._chunk(index, delta)))

    def _picture(self, index: int, event: Picture) -> Pieces:
        delta = ChunkDelta(images=[image_of(event)])
        if text := picture_text(event, self._absolute, after=self._said[index]):
            delta.content = text
            self._said[index] = True
        return framed(encoded(self._chunk(index, delta)))

    def _call(self, index: int, event: ToolCall) -> bytes:
        """The name first, then the arguments in pieces."""
        at = self._calls[index]
        self._calls[index] += 1
        if self._legacy and at:
            return b""
        head = FunctionOut("", event.name)
        rest = [FunctionOut(piece) for piece in pieces_of(event.arguments)]
        if self._legacy:
            deltas = [ChunkDelta(function_call=function) for function in (head, *rest)]
        else:
            first = ToolCallChunk(at, head, id=event.id, type="function")
            deltas = [ChunkDelta(tool_calls=[first])]
            deltas += [ChunkDelta(tool_calls=[ToolCallChunk(at, function)]) for function in rest]
        if not self._begun[index]:
            deltas[0].content = None
        return b"".join(frame(self._encode(self._chunk(index, delta))) for delta in deltas)

    def _finish(self, index: int, event: Finish) -> bytes:
        self._usages.append(event.usage)
        out = b""
        if text := self._held[index]:
            delta = ChunkDelta(content=text)
            if event.reason is FinishReason.REFUSAL:
                delta = ChunkDelta(content=None, refusal=text)
            out = frame(self._encode(self._chunk(index, delta)))
        reason = finish_of(event.reason, legacy=self._legacy)
        return out + frame(self._encode(self._chunk(index, ChunkDelta(), reason)))

    def _chunk(self, index: int, delta: ChunkDelta, finish_reason: str | None = None) -> Chunk:
        if not self._begun[index]:
            self._begun[index] = True
            delta.role = "assistant"
            if delta.content is msgspec.UNSET:
                delta.content = ""
        choices = [ChunkChoice(index=index, delta=delta, finish_reason=finish_reason)]
        return Chunk(id=self._id, created=self._created, model=self._model, choices=choices)

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
