"""Gemini's wire format to what the engine is asked, and the engine's answers back. Pure."""

import msgspec

from core import tokens
from core.chat import (
    Answer,
    Blob,
    Delta,
    FinishReason,
    Message,
    ModelInfo,
    Part,
    Picture,
    Role,
    Text,
    ToolCall,
    Usage,
)
from core.errors import InvalidRequest
from routes import media
from routes.bounds import Tally
from routes.gemini import wire

MAX_CANDIDATES = 4
TOKENS_PER_FILE = 258
"""What Google counts for one picture or one page."""

INPUT_TOKEN_LIMIT = 1_048_576
OUTPUT_TOKEN_LIMIT = 65_536
METHODS = ["generateContent", "streamGenerateContent", "countTokens"]

ROLES: dict[str, Role] = {
    "user": "user",
    "model": "assistant",
    "assistant": "assistant",
    "function": "tool",
    "tool": "tool",
    "system": "system",
}
FINISH = {
    FinishReason.STOP: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
}
_LONG_THOUGHT = frozenset({"medium", "high"})


def candidates_of(request: wire.GenerateRequest) -> int:
    """How many answers are wanted, 1 to 4."""
    config = request.generation_config
    n = 1 if config is None or config.candidate_count is None else config.candidate_count
    if not 1 <= n <= MAX_CANDIDATES:
        field = "generationConfig.candidateCount"
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


def refuse_what_cannot_be_kept(request: wire.GenerateRequest) -> None:
    """Refuse what would promise a shape of answer that nothing here makes sure of."""
    calling = request.tool_config.function_calling_config if request.tool_config else None
    if calling is not None and (calling.mode or "AUTO").upper() not in ("AUTO", "NONE", "MODE_UNSPECIFIED"):
        field = "toolConfig.functionCallingConfig.mode"
        raise InvalidRequest(
            f"'{field}' cannot force a call here. Leave it out, or send AUTO or NONE.", param=field
        )
    for field, given in (
        ("cachedContent", request.cached_content),
        ("previousInteractionId", request.previous_interaction_id),
    ):
        if given:
            raise InvalidRequest(
                f"'{field}' is not supported: nothing is stored here. Send the whole prompt in 'contents'.",
                param=field,
            )
    config = request.generation_config
    if config is None:
        return
    modalities = config.response_modalities
    listed = [modalities] if isinstance(modalities, str) else modalities or []
    if other := [kind for kind in listed if kind.upper() not in ("TEXT", "MODALITY_UNSPECIFIED")]:
        field = "generationConfig.responseModalities"
        raise InvalidRequest(
            f"'{field}' asks for {other[0][:20]}, which is not built yet. Leave it out and ask a text model.",
            param=field,
        )
    shaped = {
        "generationConfig.responseMimeType": config.response_mime_type not in (None, "", "text/plain"),
        "generationConfig.responseSchema": config.response_schema is not None,
        "generationConfig.responseJsonSchema": config.response_json_schema is not None,
    }
    for field, asked in shaped.items():
        if asked:
            raise InvalidRequest(
                f"'{field}' is not supported. Leave it out and ask for JSON in the prompt.", param=field
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
    return tuple(messages)


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
        elif part.function_call is not None:
            call = part.function_call
            calls.append(ToolCall(call.id or "", call.name, _json(call.args)))
        elif part.function_response is not None:
            flush()
            result = part.function_response
            out.append(
                Message("tool", (Text(_json(result.response)),), name=result.name, tool_call_id=result.id)
            )
        else:
            raise _unsupported(part, field)
    flush()
    return out


def _json(value: object) -> str:
    return msgspec.json.encode(value or {}).decode()


def _blob(data: wire.InlineData, at: str) -> Blob:
    if not media.is_type(data.mime_type):
        field = f"{at}.inlineData.mimeType"
        raise InvalidRequest(
            f"'{field}' is missing or no media type. Send one such as image/png.", param=field
        )
    return media.blob(data.data, data.mime_type, f"{at}.inlineData.data", data.display_name)


def _unsupported(part: wire.Part, at: str) -> InvalidRequest:
    if part.file_data is not None:
        field = f"{at}.fileData"
        return InvalidRequest(
            f"'{field}' is not supported: stored files are not known here. Send the file in inlineData.",
            param=field,
        )
    for name, value in (
        ("executableCode", part.executable_code),
        ("codeExecutionResult", part.code_execution_result),
    ):
        if value is not None:
            return InvalidRequest(f"'{at}.{name}' is not supported. Send it as text.", param=f"{at}.{name}")
    return InvalidRequest(
        f"'{at}' has no content that is known. Send text, inlineData, functionCall or functionResponse.",
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


def usage_of(usages: list[Usage]) -> wire.UsageMetadata:
    """The sum over all candidates."""
    thoughts = sum(usage.thoughts for usage in usages)
    out = wire.UsageMetadata(
        prompt_token_count=sum(usage.prompt for usage in usages),
        candidates_token_count=sum(usage.completion for usage in usages),
        total_token_count=sum(usage.total for usage in usages),
    )
    if thoughts:
        out.thoughts_token_count = thoughts
    return out


def candidate_of(index: int, answer: Answer, *, show_thoughts: bool) -> wire.Candidate:
    parts: list[wire.PartOut] = []
    if show_thoughts and answer.thoughts:
        parts.append(wire.PartOut(text=answer.thoughts, thought=True))
    pictures = [picture_part(picture) for picture in answer.pictures]
    if answer.text or not pictures:
        parts.append(wire.PartOut(text=answer.text))
    return wire.Candidate(
        content=wire.ContentOut(parts=parts + pictures),
        index=index,
        finish_reason=FINISH[answer.finish.reason],
    )


def delta_parts(delta: Delta, *, show_thoughts: bool) -> list[wire.PartOut]:
    parts: list[wire.PartOut] = []
    if show_thoughts and delta.thoughts:
        parts.append(wire.PartOut(text=delta.thoughts, thought=True))
    if delta.text:
        parts.append(wire.PartOut(text=delta.text))
    return parts


def picture_part(picture: Picture) -> wire.PartOut:
    return wire.PartOut(
        inline_data=wire.InlineDataOut(mime_type=picture.mime, data=media.to_base64(picture.data))
    )


def model_of(info: ModelInfo) -> wire.ModelOut:
    return wire.ModelOut(
        name=f"models/{info.id}",
        base_model_id=info.id,
        version=info.id,
        display_name=info.name,
        description=info.description,
        input_token_limit=INPUT_TOKEN_LIMIT,
        output_token_limit=OUTPUT_TOKEN_LIMIT,
        supported_generation_methods=METHODS,
    )
