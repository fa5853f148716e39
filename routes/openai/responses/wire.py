"""The Responses API's wire format, as far as it is read or written. Fields that are not listed are ignored."""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from routes.inline import Inline
from routes.openai.tools import Format
from routes.openai.wire import ImageUrl


class Part(Struct):
    """A piece of a message's content or of a function's output."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | ImageUrl | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


class Item(Struct):
    """One item of the input. Without a type it is a message, or a reference where it has nothing but an id."""

    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    output: str | list[Part] | None = None
    result: str | None = None
    images: Any = None
    """Not OpenAI's; where pictures of an earlier answer stand."""


class ToolIn(Struct):
    """`strict` is not read: arguments keep their schema in any case. size, output_format: of `image_generation`."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Any = None
    size: str | None = None
    output_format: str | None = None


class TextFormat(Format):
    type: str = "text"


class TextConfig(Struct):
    format: TextFormat | None = None


class ReasoningIn(Struct):
    effort: str | None = None


class ResponseRequest(Struct):
    """The body of POST /v1/responses. Sampling fields are accepted in any type and not read."""

    input: str | list[Item] | None = None
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    tools: list[ToolIn] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningIn | None = None
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    previous_response_id: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    response_format: Any = None
    messages: Any = None


class OutputText(Struct, tag_field="type", tag="output_text"):
    text: str
    annotations: list[Any] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)


class OutputRefusal(Struct, tag_field="type", tag="refusal"):
    refusal: str


class MessageItem(Struct, tag_field="type", tag="message"):
    id: str
    content: list[OutputText | OutputRefusal]
    status: str = "in_progress"
    role: Literal["assistant"] = "assistant"


class SummaryText(Struct, tag_field="type", tag="summary_text"):
    text: str


class ReasoningItem(Struct, tag_field="type", tag="reasoning"):
    id: str
    summary: list[SummaryText]


class CallItem(Struct, tag_field="type", tag="function_call"):
    id: str
    call_id: str
    name: str
    arguments: str
    status: str = "in_progress"


class ImageCallItem(Struct, tag_field="type", tag="image_generation_call"):
    id: str
    status: str = "in_progress"
    result: Inline | None = None
    output_format: str | UnsetType = UNSET
    size: str | UnsetType = UNSET


OutputItem: TypeAlias = MessageItem | ReasoningItem | CallItem | ImageCallItem


class InputDetails(Struct):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct):
    reasoning_tokens: int


class ResponseUsage(Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    output_tokens_details: OutputDetails
    input_tokens_details: InputDetails = field(default_factory=InputDetails)


class Response(Struct, kw_only=True):
    """What was asked is told back as it was written."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: str = "in_progress"
    background: bool = False
    completed_at: int | None = None
    error: None = None
    incomplete_details: dict[str, str] | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, Any]
    model: str
    output: list[OutputItem] = field(default_factory=list)
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    service_tier: str = "default"
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: Any
    tools: list[Any]
    top_logprobs: int = 0
    top_p: float
    truncation: str
    usage: ResponseUsage | None = None
    user: str | None


class StreamEvent(Struct):
    """Any event of a stream: `type` decides which fields it has."""

    type: str
    sequence_number: int = 0
    response: Response | UnsetType = UNSET
    output_index: int | UnsetType = UNSET
    item: OutputItem | UnsetType = UNSET
    item_id: str | UnsetType = UNSET
    content_index: int | UnsetType = UNSET
    summary_index: int | UnsetType = UNSET
    part: OutputText | OutputRefusal | SummaryText | UnsetType = UNSET
    delta: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    logprobs: list[Any] | UnsetType = UNSET


class ErrorFields(Struct):
    type: str
    code: str
    message: str
    param: str | None


class ErrorEvent(Struct):
    """OpenAI documents the fields at the top and sends them in `error`, which is what makes its SDKs raise."""

    code: str
    message: str
    param: str | None
    sequence_number: int
    error: ErrorFields
    type: Literal["error"] = "error"
