"""Requests of the Responses API to what the engine is asked, and what of them is told back. Pure."""

from typing import Any

import msgspec

from core.chat import (
    Blob,
    Message,
    ModelInfo,
    PictureWish,
    Remote,
    Role,
    Shape,
    Text,
    Toolbox,
    ToolCall,
)
from core.chat import Part as CorePart
from core.errors import InvalidRequest
from routes import media, wishes
from routes.bounds import Tally
from routes.openai import history, tools
from routes.openai.responses.recall import Entry, Reference
from routes.openai.responses.wire import Item, Part, Response, ResponseRequest
from routes.openai.tools import Offered
from routes.openai.translate import picture_at, present

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
KINDS = "message, function_call, function_call_output, item_reference, reasoning or image_generation_call"
DRAWS = "image_generation"


def refuse_what_cannot_be_kept(request: ResponseRequest) -> None:
    """Raises `InvalidRequest` for what would promise something that nothing here keeps."""
    if request.background:
        raise InvalidRequest(
            "'background' is not supported: nothing runs on once the caller has left. Leave it out, or stream.",
            param="background",
        )
    if request.prompt is not None:
        raise InvalidRequest(
            "'prompt' names a stored template, and none are stored here. Write it out in 'input'.",
            param="prompt",
        )
    if request.response_format is not None:
        raise InvalidRequest(
            "'response_format' is a field of chat completions. Use 'text.format' here.",
            param="response_format",
        )
    if request.messages is not None and request.input is None:
        raise InvalidRequest("'messages' is a field of chat completions. Use 'input' here.", param="messages")


def entries_of(request: ResponseRequest, tally: Tally) -> list[Entry]:
    """What the input says, in order. Raises errors that name the field."""
    given = request.input
    if given is None or not given:
        raise InvalidRequest("'input' is missing or empty. Say something in it.", param="input")
    if isinstance(given, str):
        tally.text(given, "input")
        return [Message("user", (Text(given),))]
    tally.messages(len(given), "input")
    for item in given:
        _normalize(item)
    pictures = history.pictures_of(given, tally, "input")
    entries: list[Entry] = []
    for i, item in enumerate(given):
        entry = _entry(item, f"input[{i}]", pictures.get(i, ()), tally)
        if entry is not None:
            entries.append(entry)
    return entries


def _normalize(item: Item) -> None:
    if item.type is None:
        item.type = "message" if item.role is not None or item.id is None else "item_reference"
    if item.type == "image_generation_call":
        item.role, item.content = "assistant", None
        item.images = [f"data:image/png;base64,{item.result}"] if item.result else None
    elif item.type != "message":
        item.role = None


def _entry(item: Item, at: str, more: tuple[CorePart, ...], tally: Tally) -> Entry | None:
    """None for what is not read."""
    match item.type:
        case "message":
            return _message(item, at, more, tally)
        case "reasoning":
            return None
        case "image_generation_call":
            return Message("assistant", more) if more else None
        case "item_reference":
            id = present(item.id, f"{at}.id")
            return None if id.startswith("rs_") else Reference(id, f"{at}.id")
        case "function_call":
            name = present(item.name, f"{at}.name")
            id = item.call_id or item.id or ""
            arguments = item.arguments
            if not isinstance(arguments, str):
                arguments = msgspec.json.encode(arguments or {}).decode()
            tally.text(arguments, f"{at}.arguments")
            return Message("assistant", tool_calls=(ToolCall(id, name, arguments),))
        case "function_call_output":
            call = present(item.call_id, f"{at}.call_id")
            parts = _parts(item.output, f"{at}.output", tally)
            return Message("tool", parts, name=item.name, tool_call_id=call)
    raise InvalidRequest(
        f"'{at}.type' is '{(item.type or '')[:40]}', which is not supported here. Use {KINDS}.",
        param=f"{at}.type",
    )


def _message(item: Item, at: str, more: tuple[CorePart, ...], tally: Tally) -> Message:
    role = ROLES.get(present(item.role, f"{at}.role"))
    if role is None:
        remedy = "a function_call_output item" if item.role in ("tool", "function") else ", ".join(ROLES)
        raise InvalidRequest(f"'{at}.role' is '{(item.role or '')[:40]}'. Use {remedy}.", param=f"{at}.role")
    content = item.content if item.content is not None or not more else ""
    return Message(role, _parts(content, f"{at}.content", tally) + more)


def _parts(content: str | list[Part] | None, at: str, tally: Tally) -> tuple[CorePart, ...]:
    if content is None:
        raise InvalidRequest(f"'{at}' is missing. Add it, or another 'type'.", param=at)
    if isinstance(content, str):
        tally.text(content, at)
        return (Text(content),) if content else ()
    tally.parts(len(content), at)
    return tuple(_part(part, f"{at}[{j}]", tally) for j, part in enumerate(content))


def _part(part: Part, at: str, tally: Tally) -> CorePart:
    match part.type:
        case "input_text" | "output_text" | "text":
            tally.text(part.text, f"{at}.text")
            return Text(present(part.text, f"{at}.text"))
        case "refusal":
            tally.text(part.refusal, f"{at}.refusal")
            return Text(present(part.refusal, f"{at}.refusal"))
        case "input_image":
            tally.file(at)
            return _image(part, at)
        case "input_file":
            tally.file(at)
            return _file(part, at)
        case "input_audio":
            raise InvalidRequest(f"'{at}' is sound, which is not supported. Send its text.", param=at)
    raise InvalidRequest(
        f"'{at}.type' is '{part.type[:40]}'. Use input_text, input_image, input_file, or output_text.",
        param=f"{at}.type",
    )


def _image(part: Part, at: str) -> Blob | Remote:
    image = part.image_url
    if image is None and part.file_id is not None:
        raise _stored(f"{at}.file_id", "the picture as a data URL in image_url")
    if image is None or isinstance(image, str):
        return picture_at(present(image, f"{at}.image_url"), f"{at}.image_url")
    return picture_at(image.url, f"{at}.image_url.url")


def _file(part: Part, at: str) -> Blob:
    field = f"{at}.file_data"
    if part.file_data is None:
        if part.file_id is not None:
            raise _stored(f"{at}.file_id", "the file as a data URL in file_data")
        if part.file_url is not None:
            field = f"{at}.file_url"
            raise InvalidRequest(
                f"'{field}' is not supported: files are not fetched. Send the file as a data URL in file_data.",
                param=field,
            )
        raise InvalidRequest(f"'{field}' is missing. Send the file as a data URL.", param=field)
    if media.is_data_url(part.file_data):
        return media.from_data_url(part.file_data, field, part.filename)
    raise InvalidRequest(f"'{field}' must be a data URL (data:application/pdf;base64,...).", param=field)


def _stored(field: str, instead: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{field}' is not supported: stored files are not known here. Send {instead}.", param=field
    )


def toolbox_of(request: ResponseRequest, tally: Tally) -> Toolbox | None:
    """The functions on offer. Raises errors that name the field."""
    offered: list[Offered] = []
    for i, tool in enumerate(request.tools or ()):
        at = f"tools[{i}]"
        if tool.type == DRAWS:
            continue
        if tool.type != "function":
            raise tools.unsupported(tool.type, at)
        offered.append(Offered(present(tool.name, f"{at}.name"), tool.description, tool.parameters, at))
    choice = tools.Choice() if _must_draw(request) else tools.choice_of(request.tool_choice)
    parallel = request.parallel_tool_calls is not False
    return tools.toolbox_of(offered, choice, parallel=parallel, tally=tally)


def _must_draw(request: ResponseRequest) -> bool:
    choice = request.tool_choice
    return isinstance(choice, dict) and choice.get("type") == DRAWS


def may_draw(request: ResponseRequest) -> bool:
    """Whether the caller offered OpenAI's own tool for pictures, and so reads them as items."""
    return any(tool.type == DRAWS for tool in request.tools or ())


def shape_of(request: ResponseRequest, tally: Tally) -> Shape | None:
    """The JSON that the answer must be. Raises errors that name the field."""
    format = request.text.format if request.text else None
    if format is None:
        return None
    return tools.shape_of(format.type, format, field="text.format", at="text.format", tally=tally)


def picture_of(request: ResponseRequest, model: ModelInfo) -> PictureWish | None:
    """The picture that the answer must hold: of a model that makes pictures, or where the tool for them must be used.
    Raises `InvalidRequest` for a size that there is none of."""
    aspect, pixels, format = "", 0, ""
    for i, tool in enumerate(request.tools or ()):
        if tool.type == DRAWS:
            aspect, pixels = wishes.size_of(tool.size, f"tools[{i}].size")
            format = wishes.format_of(tool.output_format, f"tools[{i}].output_format")
    if model.category != "image" and not _must_draw(request):
        return None
    return PictureWish(aspect=aspect, pixels=pixels or model.pixels, format=format, link=True)


def response_of(
    value: dict[str, Any], request: ResponseRequest, *, id: str, created: int, model: str
) -> Response:
    """The response before anything was answered. value: the request's body, most of which is told back as it came."""
    return Response(
        id=id,
        created_at=created,
        instructions=request.instructions,
        max_output_tokens=_of(value, "max_output_tokens", int, None),
        max_tool_calls=_of(value, "max_tool_calls", int, None),
        metadata=request.metadata or {},
        model=model,
        parallel_tool_calls=request.parallel_tool_calls is not False,
        previous_response_id=request.previous_response_id,
        prompt_cache_key=_of(value, "prompt_cache_key", str, None),
        reasoning={"effort": None, "summary": None} | _of(value, "reasoning", dict, {}),
        safety_identifier=_of(value, "safety_identifier", str, None),
        store=request.store is not False,
        temperature=_number(value.get("temperature")),
        text={"format": {"type": "text"}, "verbosity": "medium"} | _given(_of(value, "text", dict, {})),
        tool_choice="auto" if request.tool_choice is None else request.tool_choice,
        tools=[_told(tool) for tool in _of(value, "tools", list, [])],
        top_p=_number(value.get("top_p")),
        truncation=_of(value, "truncation", str, "disabled"),
        user=_of(value, "user", str, None),
    )


def _told(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": True} | tool


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _of(value: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    """A field that is not read, where it is of the kind that clients expect to read back."""
    found = value.get(name)
    return found if type(found) is kind else default


def _number(value: Any) -> float:
    return float(value) if type(value) in (int, float) and abs(value) < 1e6 else 1.0
