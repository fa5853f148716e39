"""What is asked and what comes back, in no dialect. All values are frozen.

`routes/` translates a wire format into an `Ask` and `Event`s back into the wire format; `engine/` works
on these alone.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct, field

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


class Text(Struct, frozen=True, gc=False):
    """A piece of text in a message."""

    text: str


class Blob(Struct, frozen=True, gc=False):
    """A picture or file in a message, decoded. `mime` is the true type, not the caller's word for it."""

    data: bytes
    mime: str
    name: str | None = None


Part: TypeAlias = Text | Blob


class ToolCall(Struct, frozen=True, gc=False):
    """A function call that the assistant made; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True):
    """One turn. OpenAI's `developer` role arrives as `system`, Gemini's `model` as `assistant`."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Trace(Struct, gc=False):
    """What became of one ask so far. The engine writes it as it goes, so that it also outlives a failure.

    attempts: accounts tried. waited: seconds spent waiting for an account or for the upstream.
    """

    attempts: int = 0
    waited: float = 0.0


class Ask(Struct, frozen=True):
    """One request for one answer. `model` is the public name as the caller wrote it, without `models/`.

    `stream` says that the caller reads the answer as it grows; the engine and the adapter then hand out
    deltas, and otherwise may skip the work of finding them.
    """

    model: str
    messages: tuple[Message, ...]
    thinking: bool = False
    stream: bool = False
    request_id: str = ""
    caller: str = ""
    trace: Trace = field(default_factory=Trace)


class Delta(Struct, frozen=True, gc=False):
    """What was added since the last delta. Concatenated deltas are exactly the whole answer."""

    text: str = ""
    thoughts: str = ""


class Picture(Struct, frozen=True, gc=False):
    """A picture in the answer, downloaded. `generated` is False for one that was found on the web."""

    data: bytes
    mime: str
    alt: str = ""
    generated: bool = True


class Usage(Struct, frozen=True, gc=False):
    """Estimated token counts (see `core.tokens`)."""

    prompt: int
    completion: int
    thoughts: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion + self.thoughts


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Finish(Struct, frozen=True, gc=False):
    """The last event of every answer that ended well.

    `model` is the upstream's name of the model that answered, `attempts` counts accounts tried.
    """

    usage: Usage
    model: str
    attempts: int = 1
    reason: FinishReason = FinishReason.STOP


Event: TypeAlias = Delta | Picture | Finish


class Answer(Struct, frozen=True):
    """A whole answer: what the deltas of the same answer add up to."""

    text: str
    thoughts: str
    pictures: tuple[Picture, ...]
    finish: Finish


class ModelInfo(Struct, frozen=True, gc=False):
    """A model that callers may name. `upstream` is True for an account's own name of a model."""

    id: str
    name: str
    description: str
    category: Literal["text", "image"]
    upstream: bool = False
