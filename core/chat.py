"""What is asked and what comes back, in no dialect. All values are frozen.

`routes/` translates a wire format into an `Ask` and `Event`s back into the wire format; `engine/` works
on these alone.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, TypeAlias

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


class Remote(Struct, frozen=True, gc=False):
    """A picture that a caller named by its web address. It is fetched before the engine sees the message.

    `field` is where the caller wrote it (`messages[0].content[1].image_url.url`).
    """

    url: str
    field: str


Part: TypeAlias = Text | Blob | Remote


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


class PictureWish(Struct, frozen=True, gc=False):
    """What kind of picture is wanted.

    aspect: width to height as in `16:9`, '' leaves it to the model. pixels: the wanted length of the long side
    (1024, 2048 or 4096); an original of twice that or more is reduced to it. format: the media type to return (`image/png`, `image/jpeg`, `image/webp`), '' leaves it as
    it came; quality: 1 to 100 for the lossy ones. upscale: enlarge what came smaller than `pixels`, and say so.
    keep_watermark: leave the visible logo on. link: a stored copy with a link is wanted.
    """

    aspect: str = ""
    pixels: int = 1024
    format: str = ""
    quality: int = 90
    upscale: bool = False
    keep_watermark: bool = False
    link: bool = False


class Tool(Struct, frozen=True):
    """A function that the model may call. `parameters` is the JSON Schema of its arguments, an object; None where it
    takes none. Other families' schema dialects are translated before they come here."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None


class Toolbox(Struct, frozen=True):
    """The functions on offer. A request that forbids calls has none of these.

    required: the answer must call at least one. allowed: the only ones that may be called, empty for all; one name in a
    required box is a named choice. parallel: several calls may stand in one answer.
    """

    tools: tuple[Tool, ...]
    required: bool = False
    allowed: frozenset[str] = frozenset()
    parallel: bool = True


class Shape(Struct, frozen=True):
    """The answer's text must be one JSON value and nothing else. schema: the JSON Schema that it keeps; None for any
    object. name, description: the caller's own words for it."""

    schema: Mapping[str, Any] | None = None
    name: str = ""
    description: str = ""


ConversationMode: TypeAlias = Literal["temporary", "sticky"]
"""`temporary` sends the whole history each time and leaves nothing in the account's; `sticky` goes on in one chat."""


class Place(Struct, frozen=True):
    """Where a conversation stands upstream: a chat of one account, and the turn of it that was the last.

    context: what the web app itself wants to see again, '' where it gave nothing.
    """

    account: str
    cid: str
    rid: str
    rcid: str
    context: str = ""


class Tried(Struct, frozen=True, gc=False):
    """One account asked once: how it ended (`ok`, `cancelled`, or the failure's reason), and seconds from the lease to the end."""

    account: str
    outcome: str
    seconds: float


class Trace(Struct):
    """What became of one ask so far. The engine writes it as it goes, so that it also outlives a failure.

    attempts: accounts tried. failed: those of them that failed and were well otherwise, so that it may be the ask's own
    fault. waited: seconds spent waiting for an account or for the upstream; queued: those of them for an account. pictures:
    seconds of work on pictures. tried: the accounts, as they ended.
    """

    attempts: int = 0
    failed: int = 0
    waited: float = 0.0
    queued: float = 0.0
    pictures: float = 0.0
    tried: list[Tried] = field(default_factory=list)


class Ask(Struct, frozen=True):
    """One request for one answer. `model` is the public name as the caller wrote it, without `models/`.

    `stream` says that the caller reads the answer as it grows; the engine and the adapter then hand out
    deltas, and otherwise may skip the work of finding them. `picture`: the answer must hold a generated
    picture; None where text was asked for (a picture that the model makes all the same is handed out too).
    toolbox, shape: what the answer is made to look like; with both it is calls, or JSON. conversation: '' leaves it to
    the operator. shape_field: where the caller asked for the shape. background: nobody waits for the answer; it takes only
    what live requests leave, and is refused as busy where that is nothing.
    """

    model: str
    messages: tuple[Message, ...]
    thinking: bool = False
    stream: bool = False
    picture: PictureWish | None = None
    toolbox: Toolbox | None = None
    shape: Shape | None = None
    shape_field: str = ""
    conversation: ConversationMode | Literal[""] = ""
    background: bool = False
    request_id: str = ""
    caller: str = ""
    trace: Trace = field(default_factory=Trace)


class Delta(Struct, frozen=True, gc=False):
    """What was added since the last delta. Concatenated deltas are exactly the whole answer."""

    text: str = ""
    thoughts: str = ""


class Picture(Struct, frozen=True, gc=False):
    """A generated picture in the answer, downloaded. Pictures that the model found on the web are none.

    width, height: pixels as measured, never as promised. upscaled_from: its size before it was enlarged on the
    caller's wish. watermark: `removed`, `kept` (on the caller's or operator's wish), or why the file was left as it
    is (a reason of `watermark.Verdict`, such as `no_logo`). link: where a stored copy is read, '' where none was
    wanted; a path of the gateway's own where it begins with a slash. preview: it is the web app's scaled copy, since what
    the model made could not be had.
    """

    data: bytes
    mime: str
    alt: str = ""
    width: int = 0
    height: int = 0
    upscaled_from: tuple[int, int] | None = None
    watermark: str = ""
    link: str = ""
    preview: bool = False


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
    REFUSAL = "refusal"
    """The model gave words where JSON of a schema was asked for, also when it was asked again; they are the text."""


class Finish(Struct, frozen=True, gc=False):
    """The last event of every answer that ended well.

    `model` is the upstream's name of the model that answered, `attempts` counts accounts tried. place: where the
    conversation can go on, None for a temporary chat.
    """

    usage: Usage
    model: str
    attempts: int = 1
    reason: FinishReason = FinishReason.STOP
    place: Place | None = None


Event: TypeAlias = Delta | ToolCall | Picture | Finish
"""A `ToolCall` comes whole, its name one of the toolbox's and its arguments a JSON object that keeps its schema."""


class Answer(Struct, frozen=True):
    """A whole answer: what the deltas of the same answer add up to."""

    text: str
    thoughts: str
    pictures: tuple[Picture, ...]
    finish: Finish
    calls: tuple[ToolCall, ...] = ()


class ModelInfo(Struct, frozen=True, gc=False):
    """A model that callers may name. `upstream` is True for an account's own name of a model."""

    id: str
    name: str
    description: str
    category: Literal["text", "image"]
    upstream: bool = False
    pixels: int = 1024
    """The long side of its pictures where a request names no size: 1024, 2048 or 4096."""
