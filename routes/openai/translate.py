"""OpenAI's wire format to what the engine is asked, and the engine's answers back. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from core.chat import (
    Answer,
    Blob,
    FinishReason,
    Message,
    ModelInfo,
    Part,
    Picture,
    PictureWish,
    Remote,
    Role,
    Text,
    ToolCall,
    Usage,
)
from core.errors import InvalidRequest
from routes import markdown, media, wishes
from routes.bounds import Tally
from routes.inline import Inline
from routes.openai.wire import (
    AssistantMessage,
    ChatMessage,
    ChatRequest,
    Choice,
    CompletionDetails,
    ContentPart,
    FunctionCall,
    FunctionOut,
    ImageConfig,
    ImageOut,
    ImageUrlOut,
    ToolCallChunk,
    ToolCallOut,
    UsageOut,
)
from routes.remote import is_remote

T = TypeVar("T")

MAX_CHOICES = 4

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_LONG_THOUGHT = frozenset({"medium", "high", "xhigh", "max"})


def choices_of(request: ChatRequest) -> int:
    """How many answers are wanted, 1 to 4."""
    n = 1 if request.n is None else request.n
    if not 1 <= n <= MAX_CHOICES:
        raise InvalidRequest(f"'n' must be from 1 to {MAX_CHOICES}, not {n}.", param="n")
    return n


def thinking_of(request: ChatRequest) -> bool:
    """Whether `reasoning_effort` asks for extended thinking; words that are not known do not."""
    return request.reasoning_effort in _LONG_THOUGHT


def refuse_what_cannot_be_kept(request: ChatRequest) -> None:
    """Refuse what would promise a shape of answer that nothing here makes sure of."""
    if _forces(request.tool_choice):
        raise InvalidRequest(
            "'tool_choice' cannot force a call here. Leave it out, or send 'auto' or 'none'.",
            param="tool_choice",
        )
    if _forces(request.function_call):
        raise InvalidRequest(
            "'function_call' cannot force a call here. Leave it out, or send 'auto' or 'none'.",
            param="function_call",
        )
    if request.response_format is not None and request.response_format.type != "text":
        raise InvalidRequest(
            f"'response_format' of type '{request.response_format.type}' is not supported. Leave it out and ask"
            " for JSON in the prompt.",
            param="response_format",
        )

    if other := [kind for kind in request.modalities or () if kind.lower() not in ("text", "image")]:
        raise InvalidRequest(
            f"'modalities' asks for {other[0][:20]}, which is not supported. Ask for text, image or both.",
            param="modalities",
        )
    for field in ("previous_response_id", "previous_interaction_id", "conversation"):
        if getattr(request, field):
            raise InvalidRequest(
                f"'{field}' is not supported: nothing is stored here. Send the whole history in 'messages'.",
                param=field,
            )


def picture_of(request: ChatRequest, model: ModelInfo) -> PictureWish | None:
    """The picture that the answer must hold: of a model that makes pictures, unless only text is asked for, or of
    any model that is asked for one. Raises `InvalidRequest` for a size that there is none of."""
    config = request.image_config or ImageConfig()
    aspect = wishes.aspect_of(config.aspect_ratio, "image_config.aspect_ratio")
    pixels = wishes.pixels_of(config.image_size, "image_config.image_size")
    kinds = [kind.lower() for kind in request.modalities or ()]
    if "image" not in kinds and (kinds or model.category != "image"):
        return None
    return PictureWish(aspect=aspect, pixels=pixels or model.pixels, link=True)


def _forces(choice: str | dict[str, Any] | None) -> bool:
    if isinstance(choice, dict):
        allowed = choice.get("allowed_tools")
        choice = allowed.get("mode") if isinstance(allowed, dict) else choice.get("type", "function")
    return choice not in (None, "auto", "none")


def messages_of(request: ChatRequest, pictures: Mapping[int, tuple[Part, ...]] = {}) -> tuple[Message, ...]:
    """The conversation. pictures: parts that come behind those of the message at that place. Raises `InvalidRequest` or
    `UnsupportedMedia` naming the field."""
    if not request.messages:
        raise InvalidRequest("'messages' is empty. Send at least one message.", param="messages")
    messages = tuple(
        _message(message, f"messages[{i}]", pictures.get(i, ())) for i, message in enumerate(request.messages)
    )
    if not any(has_content(message) for message in messages):
        raise InvalidRequest(
            "'messages' has no content. Write something in at least one message.", param="messages"
        )
    return messages


def check_bounds(request: ChatRequest, tally: Tally) -> None:
    """Raise `RequestTooLarge` for a conversation beyond the bounds, before any of it is worked on."""
    tally.messages(len(request.messages), "messages")
    for i, message in enumerate(request.messages):
        at = f"messages[{i}]"
        tally.parts(len(message.tool_calls or ()), f"{at}.tool_calls")
        if isinstance(message.content, list):
            tally.parts(len(message.content), f"{at}.content")
            for j, part in enumerate(message.content):
                tally.text(part.text, f"{at}.content[{j}].text")
                tally.text(part.refusal, f"{at}.content[{j}].refusal")
                if part.type in ("image_url", "file"):
                    tally.file(f"{at}.content[{j}]")
        else:
            tally.text(message.content, f"{at}.content")
        for call in (message.function_call, *(call.function for call in message.tool_calls or ())):
            if call is not None and isinstance(call.arguments, str):
                tally.text(call.arguments, at)


def has_content(message: Message) -> bool:
    """Whether a message says anything at all."""
    return bool(message.tool_calls) or any(
        not isinstance(part, Text) or part.text.strip() for part in message.parts
    )


def _message(message: ChatMessage, at: str, more: tuple[Part, ...]) -> Message:
    role = ROLES.get(message.role)
    if role is None:
        known = ", ".join(ROLES)
        raise InvalidRequest(f"'{at}.role' is '{message.role[:40]}'. Use one of {known}.", param=f"{at}.role")
    calls = [
        _tool_call(call.function, call.id or "", f"{at}.tool_calls[{i}].function")
        for i, call in enumerate(message.tool_calls or ())
    ]
    if message.function_call is not None:
        calls.append(_tool_call(message.function_call, "", f"{at}.function_call"))
    return Message(
        role=role,
        parts=_parts(message.content, f"{at}.content") + more,
        name=message.name,
        tool_calls=tuple(calls),
        tool_call_id=message.tool_call_id,
    )


def _tool_call(call: FunctionCall | None, id: str, at: str) -> ToolCall:
    if call is None:
        raise InvalidRequest(f"'{at}' is missing. Only calls of type 'function' are known.", param=at)
    arguments = call.arguments
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments or {}).decode()
    return ToolCall(id=id, name=call.name, arguments=arguments)


def _parts(content: str | list[ContentPart] | None, at: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_part(part, f"{at}[{j}]") for j, part in enumerate(content))


def _part(part: ContentPart, at: str) -> Part:
    match part.type:
        case "text":
            return Text(_present(part.text, f"{at}.text"))
        case "refusal":
            return Text(_present(part.refusal, f"{at}.refusal"))
        case "image_url":
            image = part.image_url
            if isinstance(image, str):
                return _picture(image, f"{at}.image_url")
            return _picture(_present(image, f"{at}.image_url").url, f"{at}.image_url.url")
        case "file":
            return _file(part, at)
        case "input_audio":
            raise InvalidRequest(f"'{at}' is sound, which is not supported. Send its text.", param=at)
    raise InvalidRequest(
        f"'{at}.type' is '{part.type[:40]}'. Use text, image_url or file.", param=f"{at}.type"
    )


def _present(value: T | None, at: str) -> T:
    if value is None:
        raise InvalidRequest(f"'{at}' is missing. Add it, or another 'type'.", param=at)
    return value


def _picture(url: str, at: str) -> Blob | Remote:
    if media.is_data_url(url):
        blob = media.from_data_url(url, at)
        if not blob.mime.startswith("image/"):
            raise InvalidRequest(f"'{at}' is {blob.mime}, not a picture. Send it as a file part.", param=at)
        return blob
    if is_remote(url):
        return Remote(url, at)
    raise InvalidRequest(
        f"'{at}' must be a data URL (data:image/png;base64,...) or a web address (https://...).", param=at
    )


def _file(part: ContentPart, at: str) -> Blob:
    file = _present(part.file, f"{at}.file")
    if file.file_data is None:
        if file.file_id is not None:
            field = f"{at}.file.file_id"
            raise InvalidRequest(
                f"'{field}' is not supported: stored files are not known here. Send the file as a data URL in"
                " file_data.",
                param=field,
            )
        field = f"{at}.file.file_data"
        raise InvalidRequest(f"'{field}' is missing. Send the file as a data URL.", param=field)
    field = f"{at}.file.file_data"
    if media.is_data_url(file.file_data):
        return media.from_data_url(file.file_data, field, file.filename)
    raise InvalidRequest(f"'{field}' must be a data URL (data:application/pdf;base64,...).", param=field)


def usage_of(usages: list[Usage]) -> UsageOut:
    """The sum over all choices. OpenAI counts thoughts as part of the completion."""
    prompt = sum(usage.prompt for usage in usages)
    thoughts = sum(usage.thoughts for usage in usages)
    completion = sum(usage.completion for usage in usages) + thoughts
    return UsageOut(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        completion_tokens_details=CompletionDetails(reasoning_tokens=thoughts),
    )


def choice_of(index: int, answer: Answer, absolute: Callable[[str], str]) -> Choice:
    content = markdown.with_pictures(answer.text, answer.pictures, absolute)
    message = AssistantMessage(content=content)
    if answer.thoughts:
        message.reasoning_content = answer.thoughts
    if images := [image_of(picture) for picture in answer.pictures]:
        message.images = images
    if answer.calls:
        message.tool_calls = [
            ToolCallOut(call.id, FunctionOut(call.arguments, call.name)) for call in answer.calls
        ]
    return Choice(index=index, message=message, finish_reason=finish_of(answer.finish.reason))


def call_chunk(index: int, call: ToolCall) -> ToolCallChunk:
    """A whole call in one chunk of a stream; `index` is its place among the answer's calls."""
    return ToolCallChunk(index, FunctionOut(call.arguments, call.name), id=call.id, type="function")


def finish_of(reason: FinishReason) -> str:
    """A refusal stands in a field of its own, and ends as any answer."""
    return FinishReason.STOP.value if reason is FinishReason.REFUSAL else reason.value


def image_of(picture: Picture) -> ImageOut:
    return ImageOut(image_url=ImageUrlOut(url=Inline.data_url(picture.data, picture.mime)))
