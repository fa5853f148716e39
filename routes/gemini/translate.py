"""Gemini's wire format to what the engine is asked. Pure."""

import itertools
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from core import tokens
from core.chat import (
    Blob,
    ConversationMode,
    Message,
    Part,
    Remote,
    Role,
    Text,
    ToolCall,
)
from core.errors import InvalidRequest
from routes import media
from routes.bounds import Tally
from routes.gemini import wire
from routes.remote import is_remote

MAX_CANDIDATES = 4
TOKENS_PER_FILE = 258
"""What Google counts for one picture or one page."""

ROLES: dict[str, Role] = {
    "user": "user",
    "model": "assistant",
    "assistant": "assistant",
    "function": "tool",
    "tool": "tool",
    "system": "system",
}
_LONG_THOUGHT = frozenset({"medium", "high"})


def candidates_of(request: wire.GenerateRequest) -> int:
    """How many answers are wanted, 1 to 4."""
    config = request.generation_config
    return candidates(config.candidate_count if config else None, "generationConfig.candidateCount")


def candidates(n: int | None, field: str) -> int:
    """`n`, or 1 where nothing is said. Raises `InvalidRequest`."""
    n = 1 if n is None else n
    if not 1 <= n <= MAX_CANDIDATES:
        raise InvalidRequest(f"'{field}' must be from 1 to {MAX_CANDIDATES}, not {n}.", param=field)
    return n


def thinking_of(request: wire.GenerateRequest) -> tuple[bool, bool]:
    """Whether extended thinking is asked for, and whether thoughts are to be shown."""
    config = request.generation_config.thinking_config if request.generation_config else None
    if config is None:
        return False, False
    shown = bool(config.include_thoughts)
    if config.thinking_budget is not None:
        return config.thinking_budget != 0, shown
    if config.thinking_level is not None:
        return config.thinking_level.lower() in _LONG_THOUGHT, shown
    return shown, shown


def conversation_of(request: wire.GenerateRequest) -> ConversationMode | Literal[""]:
    """Whether the request goes on in one chat, '' where nothing is said. Raises `InvalidRequest`."""
    match request.conversation:
        case None:
            return ""
        case "sticky" | "temporary" as mode:
            return mode
    raise InvalidRequest(
        f"'conversation' is '{request.conversation[:40]}'. Use sticky or temporary, or leave it out.",
        param="conversation",
    )


def refuse_what_cannot_be_kept(request: wire.GenerateRequest) -> None:
    """Refuse what stands for a part of the prompt that is not here."""
    for field, given in (
        ("cachedContent", request.cached_content),
        ("previousInteractionId", request.previous_interaction_id),
    ):
        if given:
            raise InvalidRequest(
                f"'{field}' is not supported: nothing is stored here. Send the whole prompt in 'contents'.",
                param=field,
            )


def messages_of(
    contents: list[wire.Content] | wire.Content | None, system: wire.Content | str | None, at: str = ""
) -> tuple[Message, ...]:
    """The conversation. Raises `InvalidRequest` or `UnsupportedMedia` naming the field below `at`."""
    if not contents:
        raise InvalidRequest(f"'{at}contents' is empty. Send at least one content.", param=f"{at}contents")
    if isinstance(contents, wire.Content):
        contents = [contents]
    messages: list[Message] = []
    if isinstance(system, str):
        messages.append(Message("system", (Text(system),)))
    elif system is not None:
        messages += _messages(system, f"{at}systemInstruction", "system")
    for i, content in enumerate(contents):
        field = f"{at}contents[{i}]"
        role = ROLES.get(content.role or "user")
        if role is None:
            raise InvalidRequest(
                f"'{field}.role' is '{(content.role or '')[:40]}'. Use user or model.", param=f"{field}.role"
            )
        messages += _messages(content, field, role)
    if not any(_says_something(message) for message in messages):
        raise InvalidRequest(
            f"'{at}contents' has no content. Write something in at least one part.", param=f"{at}contents"
        )
    return tuple(_turns(messages))


def _turns(messages: list[Message]) -> Iterator[Message]:
    """The messages with each turn of the model as one: Google's SDKs keep a streamed answer as a content for each of its
    chunks, the last of which says nothing."""
    for role, group in itertools.groupby(messages, lambda message: message.role):
        if role != "assistant":
            yield from group
            continue
        parts: list[Part] = []
        calls: list[ToolCall] = []
        for message in group:
            calls += message.tool_calls
            for part in message.parts:
                if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
                    parts[-1] = Text(parts[-1].text + part.text)
                elif not isinstance(part, Text) or part.text:
                    parts.append(part)
        if parts or calls:
            yield Message("assistant", tuple(parts), tool_calls=tuple(calls))


def check_bounds(
    contents: list[wire.Content] | wire.Content | None,
    system: wire.Content | str | None,
    tally: Tally,
    at: str = "",
) -> None:
    """Raise `RequestTooLarge` for a conversation beyond the bounds, before any of it is worked on."""
    listed = [contents] if isinstance(contents, wire.Content) else contents or []
    tally.messages(len(listed), f"{at}contents")
    if isinstance(system, str):
        tally.text(system, f"{at}systemInstruction")
    elif system is not None:
        _check_content(system, f"{at}systemInstruction", tally)
    for i, content in enumerate(listed):
        _check_content(content, f"{at}contents[{i}]", tally)


def _check_content(content: wire.Content, at: str, tally: Tally) -> None:
    parts = [content.parts] if isinstance(content.parts, wire.Part) else content.parts or []
    tally.parts(len(parts), f"{at}.parts")
    for j, part in enumerate(parts):
        tally.text(part.text, f"{at}.parts[{j}].text")
        if part.inline_data is not None:
            tally.file(f"{at}.parts[{j}].inlineData")
        elif part.file_data is not None:
            tally.file(f"{at}.parts[{j}].fileData")
        elif part.function_response is not None:
            for i in range(len(part.function_response.parts or ())):
                tally.file(f"{at}.parts[{j}].functionResponse.parts[{i}]")


def _says_something(message: Message) -> bool:
    return bool(message.tool_calls) or any(
        not isinstance(part, Text) or part.text.strip() for part in message.parts
    )


def _messages(content: wire.Content, at: str, role: Role) -> list[Message]:
    """One content; results of function calls become messages of their own, in place."""
    out: list[Message] = []
    parts: list[Part] = []
    calls: list[ToolCall] = []

    def flush() -> None:
        if parts or calls:
            out.append(Message("user" if role == "tool" else role, tuple(parts), tool_calls=tuple(calls)))
            parts.clear()
            calls.clear()

    given = [content.parts] if isinstance(content.parts, wire.Part) else content.parts
    for j, part in enumerate(given or ()):
        field = f"{at}.parts[{j}]"
        if part.thought:
            continue
        if part.text is not None:
            parts.append(Text(part.text))
        elif part.inline_data is not None:
            parts.append(_blob(part.inline_data, field))
        elif part.file_data is not None:
            parts.append(remote_picture(part.file_data, f"{field}.fileData"))
        elif part.function_call is not None:
            call = part.function_call
            calls.append(ToolCall(call.id or "", call.name, _json(call.args)))
        elif part.function_response is not None:
            flush()
            out.append(_result(part.function_response, f"{field}.functionResponse"))
        else:
            raise _unsupported(part, field)
    flush()
    return out


def _result(result: wire.FunctionResponsePart, at: str) -> Message:
    parts: list[Part] = [Text(_said(result.response))]
    for i, part in enumerate(result.parts or ()):
        field = f"{at}.parts[{i}]"
        if part.inline_data is not None:
            parts.append(_blob(part.inline_data, field))
        elif part.file_data is not None:
            parts.append(remote_picture(part.file_data, f"{field}.fileData"))
        else:
            raise InvalidRequest(
                f"'{field}' has no content that is known. Send inlineData or fileData.", param=field
            )
    return Message("tool", tuple(parts), name=result.name, tool_call_id=result.id)


def _said(response: dict[str, Any] | None) -> str:
    """What a function gave back, without the wrapping that says nothing: Google's own `output`, the `result` of its SDKs,
    and the AI SDK's `name` and `content`."""
    given: object = response or {}
    if response and set(response) in ({"output"}, {"result"}):
        [given] = response.values()
    elif response and set(response) == {"name", "content"}:
        given = response["content"]
    return given if isinstance(given, str) else msgspec.json.encode(given).decode()


def _json(value: object) -> str:
    return msgspec.json.encode(value or {}).decode()


def _blob(data: wire.InlineData, at: str) -> Blob:
    if not media.is_type(data.mime_type):
        field = f"{at}.inlineData.mimeType"
        raise InvalidRequest(
            f"'{field}' is missing or no media type. Send one such as image/png.", param=field
        )
    return media.blob(data.data, data.mime_type, f"{at}.inlineData.data", data.display_name)


def remote_picture(data: wire.FileData, at: str) -> Remote:
    """A picture that is named by its web address. Raises `InvalidRequest` for files that Google would store."""
    field = f"{at}.fileUri"
    uri = data.file_uri.strip()
    if not is_remote(uri) or uri.split("/")[2].lower().endswith("googleapis.com"):
        raise InvalidRequest(
            f"'{field}' is not supported: stored files are not known here. Send the file in inlineData, or a"
            " picture's own web address (https://...).",
            param=field,
        )
    return Remote(uri, field)


def _unsupported(part: wire.Part, at: str) -> InvalidRequest:
    for name, value in (
        ("executableCode", part.executable_code),
        ("codeExecutionResult", part.code_execution_result),
    ):
        if value is not None:
            return InvalidRequest(f"'{at}.{name}' is not supported. Send it as text.", param=f"{at}.{name}")
    return InvalidRequest(
        f"'{at}' has no content that is known. Send text, inlineData, fileData, functionCall or functionResponse.",
        param=at,
    )


def count(messages: tuple[Message, ...]) -> int:
    """Estimated tokens of a conversation."""
    total = 0
    for message in messages:
        total += sum(
            tokens.estimate(part.text) if isinstance(part, Text) else TOKENS_PER_FILE
            for part in message.parts
        )
        total += sum(
            tokens.estimate(call.name) + tokens.estimate(call.arguments) for call in message.tool_calls
        )
    return total
