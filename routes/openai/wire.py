"""OpenAI's wire format, as far as it is read or written. Fields that are not listed are ignored."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from routes.inline import Inline
from routes.openai.tools import Format


class ImageUrl(Struct):
    url: str


class FileRef(Struct):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class ContentPart(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: FileRef | None = None


class FunctionCall(Struct):
    name: str
    arguments: str | dict[str, Any] | None = None


class ToolCallIn(Struct):
    function: FunctionCall | None = None
    id: str | None = None


class FunctionIn(Struct):
    """A function on offer. `strict` is not read: arguments keep their schema in any case."""

    name: str
    description: str | None = None
    parameters: Any = None


class ToolIn(Struct):
    type: str = "function"
    function: FunctionIn | None = None


class ChatMessage(Struct):
    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None
    refusal: str | None = None
    images: Any = None
    """Of an answer of ours that comes back; read leniently, since others put something else here."""


class StreamOptions(Struct):
    include_usage: bool | None = None


class ResponseFormat(Struct):
    type: str = "text"
    json_schema: Format | None = None


class ImageConfig(Struct):
    """As OpenRouter's callers write it."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class ChatRequest(Struct):
    """The body of POST /v1/chat/completions. Sampling fields are accepted in any type and not read."""

    messages: list[ChatMessage]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    reasoning_effort: str | None = None
    tools: list[ToolIn] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionIn] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    image_config: ImageConfig | None = None
    previous_response_id: str | None = None
    previous_interaction_id: str | None = None
    conversation: Any = None


class ImageUrlOut(Struct):
    url: Inline


class ImageOut(Struct):
    image_url: ImageUrlOut
    type: Literal["image_url"] = "image_url"


class FunctionOut(Struct):
    arguments: str
    name: str | UnsetType = UNSET


class ToolCallOut(Struct):
    id: str
    function: FunctionOut
    type: Literal["function"] = "function"


class ToolCallChunk(Struct):
    """id, type and name come with a call's first chunk."""

    index: int
    function: FunctionOut
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class AssistantMessage(Struct):
    content: str | None
    tool_calls: list[ToolCallOut] | UnsetType = UNSET
    function_call: FunctionOut | UnsetType = UNSET
    """Of a caller who offered `functions`, as it was before there were tools."""
    reasoning_content: str | UnsetType = UNSET
    images: list[ImageOut] | UnsetType = UNSET
    role: Literal["assistant"] = "assistant"
    refusal: str | None = None


class Choice(Struct):
    index: int
    message: AssistantMessage
    finish_reason: str
    logprobs: None = None


class CompletionDetails(Struct):
    reasoning_tokens: int


class UsageOut(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: CompletionDetails


class Completion(Struct):
    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: UsageOut
    object: Literal["chat.completion"] = "chat.completion"


class ChunkDelta(Struct):
    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    images: list[ImageOut] | UnsetType = UNSET
    tool_calls: list[ToolCallChunk] | UnsetType = UNSET
    function_call: FunctionOut | UnsetType = UNSET
    refusal: str | UnsetType = UNSET


class ChunkChoice(Struct):
    index: int
    delta: ChunkDelta
    finish_reason: str | None = None


class Chunk(Struct):
    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageOut | UnsetType = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


class ModelOut(Struct):
    id: str
    created: int
    owned_by: str = "google"
    object: Literal["model"] = "model"


class ModelList(Struct):
    data: list[ModelOut]
    object: Literal["list"] = "list"
