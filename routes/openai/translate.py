"""OpenAI's chat completions to what the engine is asked. Pure."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from core.chat import (
    Blob,
    Message,
    ModelInfo,
    Part,
    PictureWish,
    Remote,
    Role,
    Shape,
    Text,
    Toolbox,
    ToolCall,
)
from core.errors import InvalidRequest
from routes import media, wishes
from routes.bounds import Tally
from routes.openai import tools
from routes.openai.tools import Offered
from routes.openai.wire import ChatMessage, ChatRequest, ContentPart, FunctionCall, ImageConfig
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


def thinks_long(effort: str | None) -> bool:
    """Whether an effort asks for extended thinking; words that are not known do not."""
    return effort in _LONG_THOUGHT


def refuse_what_cannot_be_kept(request: ChatRequest) -> None:
    """Refuse what would promise an answer that nothing here makes sure of."""
    if other := [kind for kind in request.modalities or () if kind.lower() not in ("text", "image")]:
        raise InvalidRequest(
            f"'modalities' asks for {other[0][:20]}, which is not supported. Ask for text, image or both.",
            param="modalities",
        )
    for field in ("previous_response_id", "previous_interaction_id"):
        if getattr(request, field):
            raise InvalidRequest(
                f"'{field}' is not supported here. Send the whole history in 'messages', or use /v1/responses.",
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


def toolbox_of(request: ChatRequest, tally: Tally) -> Toolbox | None:
    """The functions on offer, of `tools` and of the older `functions`. Raises errors that name the field."""
    offered: list[Offered] = []
    for i, tool in enumerate(request.tools or ()):
        at = f"tools[{i}]"
        if tool.type != "function":
            raise tools.unsupported(tool.type, at)
        function = present(tool.function, f"{at}.function")
        offered.append(Offered(function.name, function.description, function.parameters, f"{at}.function"))
    for i, function in enumerate(request.functions or ()):
        offered.append(Offered(function.name, function.description, function.parameters, f"functions[{i}]"))
    choice = tools.choice_of(request.tool_choice)
    if request.tool_choice is None:
        choice = tools.legacy_choice_of(request.function_call)
    legacy = is_legacy(request)
    return tools.toolbox_of(
        offered,
        choice,
        parallel=request.parallel_tool_calls is not False and not legacy,
        tally=tally,
        field="functions" if legacy else "tools",
    )


def is_legacy(request: ChatRequest) -> bool:
    """Whether the caller knows calls only as they were before there were tools: one, in `function_call`."""
    return bool(request.functions) and not request.tools


def shape_of(request: ChatRequest, tally: Tally) -> Shape | None:
    """The JSON that the answer must be. Raises errors that name the field."""
    wanted = request.response_format
    if wanted is None:
        return None
    at = "response_format"
    return tools.shape_of(wanted.type, wanted.json_schema, field=at, at=f"{at}.json_schema", tally=tally)


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
    return named(messages)


def named(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages, with each result of a call under the name of the function, where the history has the call."""
    names: dict[str | None, str] = {}
    out: list[Message] = []
    for message in messages:
        names |= {call.id: call.name for call in message.tool_calls if call.id}
        unnamed = message.role == "tool" and message.name is None
        name = names.get(message.tool_call_id) if unnamed else None
        out.append(replace(message, name=name) if name else message)
    return tuple(out)


def check_bounds(request: ChatRequest, tally: Tally) -> None:
    """Raise `RequestTooLarge` for a conversation beyond the bounds, before any of it is worked on."""
    tally.messages(len(request.messages), "messages")
    for i, message in enumerate(request.messages):
        at = f"messages[{i}]"
        tally.parts(len(message.tool_calls or ()), f"{at}.tool_calls")
        tally.text(message.refusal, f"{at}.refusal")
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
    # A refusal of ours comes back beside no content.
    content = message.content if message.content is not None else message.refusal
    return Message(
        role=role,
        parts=_parts(content, f"{at}.content") + more,
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
            return Text(present(part.text, f"{at}.text"))
        case "refusal":
            return Text(present(part.refusal, f"{at}.refusal"))
        case "image_url":
            image = part.image_url
            if isinstance(image, str):
                return picture_at(image, f"{at}.image_url")
            return picture_at(present(image, f"{at}.image_url").url, f"{at}.image_url.url")
        case "file":
            return _file(part, at)
        case "input_audio":
            raise InvalidRequest(f"'{at}' is sound, which is not supported. Send its text.", param=at)
    raise InvalidRequest(
        f"'{at}.type' is '{part.type[:40]}'. Use text, image_url or file.", param=f"{at}.type"
    )


def present(value: T | None, at: str) -> T:
    """The value. Raises `InvalidRequest` where there is none."""
    if value is None:
        raise InvalidRequest(f"'{at}' is missing. Add it, or another 'type'.", param=at)
    return value


def picture_at(url: str, at: str) -> Blob | Remote:
    """A picture by its data URL or web address. Raises `InvalidRequest`."""
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
    file = present(part.file, f"{at}.file")
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
