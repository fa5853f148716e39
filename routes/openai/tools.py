"""The functions that a request offers and the JSON that it wants, in either of OpenAI's spellings. Pure.

Chat completions nest a function's fields (`tools[0].function.name`), the Responses API writes them flat
(`tools[0].name`); choices of tools and wanted formats differ in the same way.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from core import schemas
from core.chat import ConversationMode, Shape, Tool, Toolbox
from core.errors import InvalidRequest
from routes.bounds import Tally

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
"""OpenAI's own pattern with the dots and colons that Google's allows."""
_SHOWN = 40
Mode: TypeAlias = Literal["auto", "none", "required"]
MODES: dict[str, Mode] = {"auto": "auto", "none": "none", "required": "required"}
_CONVERSATIONS: dict[str, ConversationMode] = {"sticky": "sticky", "temporary": "temporary"}


class Offered(Struct, frozen=True):
    """A function as it was written. at: the field that holds its `name`, `description` and `parameters`."""

    name: str
    description: str | None
    parameters: Any
    at: str


class Choice(Struct, frozen=True):
    """Whether functions may, must or must not be called. names: the only ones, each with the field that says so."""

    mode: Mode = "auto"
    names: tuple[tuple[str, str], ...] = ()


def choice_of(value: str | dict[str, Any] | None, field: str = "tool_choice") -> Choice:
    """Raises `InvalidRequest`."""
    if value is None:
        return Choice()
    kind = value if isinstance(value, str) else value.get("type", "function")
    if isinstance(kind, str) and (mode := MODES.get(kind)):
        return Choice(mode)
    if isinstance(value, dict):
        if kind == "function":
            return Choice("required", (_named(value, field),))
        if kind == "allowed_tools":
            return _allowed(value, field)
    raise InvalidRequest(
        f"'{field}' is '{str(kind)[:_SHOWN]}'. Use auto, none, required, a function or allowed_tools.",
        param=field,
    )


def legacy_choice_of(value: str | dict[str, Any] | None) -> Choice:
    """Of `function_call`, as it was before there were tools. Raises `InvalidRequest`."""
    if value is None or value == "auto":
        return Choice()
    if value == "none":
        return Choice("none")
    if isinstance(value, dict):
        return Choice("required", (_named(value, "function_call"),))
    raise InvalidRequest(
        f"'function_call' is '{value[:_SHOWN]}'. Use auto, none or {{\"name\": ...}}.", param="function_call"
    )


def _named(value: dict[str, Any], at: str) -> tuple[str, str]:
    """The function that `{"function": {"name": ...}}` or `{"name": ...}` names, and where."""
    inner = value.get("function")
    if isinstance(inner, dict):
        value, at = inner, f"{at}.function"
    name = value.get("name")
    if not isinstance(name, str):
        raise InvalidRequest(f"'{at}.name' is missing. Name the function that is meant.", param=f"{at}.name")
    return name, f"{at}.name"


def _allowed(value: dict[str, Any], field: str) -> Choice:
    if isinstance(inner := value.get("allowed_tools"), dict):
        value, field = inner, f"{field}.allowed_tools"
    mode = value.get("mode", "auto")
    if mode not in ("auto", "required"):
        raise InvalidRequest(
            f"'{field}.mode' is '{str(mode)[:_SHOWN]}'. Use auto or required.", param=f"{field}.mode"
        )
    tools = value.get("tools")
    if not isinstance(tools, list) or not tools:
        raise InvalidRequest(
            f"'{field}.tools' must be a list of the functions that may be called.", param=f"{field}.tools"
        )
    names = []
    for i, tool in enumerate(tools):
        at = f"{field}.tools[{i}]"
        if not isinstance(tool, dict) or tool.get("type", "function") != "function":
            raise InvalidRequest(f"'{at}' is no function. Name functions alone.", param=at)
        names.append(_named(tool, at))
    return Choice(mode, tuple(names))


def toolbox_of(
    offered: Sequence[Offered], choice: Choice, *, parallel: bool, tally: Tally, field: str = "tools"
) -> Toolbox | None:
    """What may be called, None for nothing. Raises `InvalidRequest` and `RequestTooLarge` naming the field."""
    for function in offered:
        size = len(function.name) + len(function.description or "") + _size(function.parameters)
        tally.function(size, function.at)
    tools: dict[str, Tool] = {}
    for function in offered:
        at = f"{function.at}.name"
        if not NAME.fullmatch(function.name):
            raise InvalidRequest(
                f"'{at}' is '{function.name[:_SHOWN]}'. A name has 1 to 64 letters, digits, '_', '-', '.' and ':'.",
                param=at,
            )
        if function.name in tools:
            raise InvalidRequest(
                f"'{at}': there is a function '{function.name}' already. Give each its own name.", param=at
            )
        tools[function.name] = _tool(function)
    for name, at in choice.names:
        if name not in tools:
            known = ", ".join(list(tools)[:20]) or "none"
            raise InvalidRequest(
                f"'{at}' names '{name[:_SHOWN]}', which is not offered. Offered are: {known}.", param=at
            )
    if not tools and choice.mode == "required":
        raise InvalidRequest(
            f"A call is required, but '{field}' is empty. Offer at least one function, or leave the choice out.",
            param=field,
        )
    if not tools or choice.mode == "none":
        return None
    return Toolbox(
        tools=tuple(tools.values()),
        required=choice.mode == "required",
        allowed=frozenset(name for name, _ in choice.names),
        parallel=parallel,
    )


def _size(schema: Any) -> int:
    return 0 if schema is None else len(msgspec.json.encode(schema))


def _tool(function: Offered) -> Tool:
    at = f"{function.at}.parameters"
    parameters = function.parameters
    if parameters is not None:
        _check_object(parameters, at)
        schemas.check(parameters, at, an_object=True)
    return Tool(function.name, function.description or "", parameters)


def _check_object(schema: Any, field: str) -> None:
    """Raises `InvalidRequest` where a schema is not written as an object, or is one of something else than objects."""
    if not isinstance(schema, Mapping):
        raise InvalidRequest(
            f"'{field}' must be a JSON Schema, an object. Leave it out for a function without arguments.",
            param=field,
        )
    if isinstance(kind := schema.get("type"), str) and kind != "object":
        raise InvalidRequest(
            f"'{field}.type' is '{kind[:_SHOWN]}'. A function's arguments are an object: use \"type\": \"object\".",
            param=f"{field}.type",
        )


def unsupported(kind: str, field: str) -> InvalidRequest:
    """The refusal of a tool that is no function."""
    return InvalidRequest(
        f"'{field}.type' is '{kind[:_SHOWN]}', which is not supported here. Offer tools of type function.",
        param=f"{field}.type",
    )


def refuse_beside_pictures(
    toolbox: Toolbox | None, shape: Shape | None, *, choice: str = "tool_choice", format: str
) -> None:
    """Raises `InvalidRequest` for what an answer that is a picture cannot be as well. Functions that need not be called are
    not. choice, format: the fields that ask for calls and for JSON."""
    if shape is not None:
        raise InvalidRequest(
            f"'{format}' asks for JSON, and the answer is to be a picture. Leave it out, or ask a text model.",
            param=format,
        )
    if toolbox is not None and toolbox.required:
        raise InvalidRequest(
            f"'{choice}' requires a call, and the answer is to be a picture. Leave it out, or ask a text model.",
            param=choice,
        )


class Format(Struct):
    """`response_format.json_schema` of a chat, and `text.format` of a response."""

    type: str = "json_schema"
    name: str | None = None
    description: str | None = None
    schema: Any = None


def shape_of(kind: str, format: Format | None, *, field: str, at: str, tally: Tally) -> Shape | None:
    """The JSON that the answer must be, None for text. field: where the kind stands; at: where name and schema stand.
    Raises `InvalidRequest` naming the field."""
    if kind == "text":
        return None
    if kind == "json_object":
        return Shape()
    if kind != "json_schema":
        raise InvalidRequest(
            f"'{field}.type' is '{kind[:_SHOWN]}'. Use text, json_object or json_schema.",
            param=f"{field}.type",
        )
    if format is None or format.schema is None:
        raise InvalidRequest(
            f"'{at}.schema' is missing. Add the JSON Schema of the answer, or use json_object.",
            param=f"{at}.schema",
        )
    if not isinstance(format.schema, Mapping):
        raise InvalidRequest(f"'{at}.schema' must be a JSON Schema, an object.", param=f"{at}.schema")
    tally.function(len(format.description or "") + _size(format.schema), f"{at}.schema")
    schemas.check(format.schema, f"{at}.schema")
    return Shape(format.schema, format.name or "", format.description or "")


def conversation_of(value: Any) -> ConversationMode | Literal[""]:
    """Whether the request goes on in one chat. Raises `InvalidRequest` for anything but the two words."""
    if value is None:
        return ""
    mode = _CONVERSATIONS.get(value) if isinstance(value, str) else None
    if mode is None:
        raise InvalidRequest(
            '\'conversation\' must be "sticky" or "temporary". OpenAI\'s own conversation objects and ids are not kept'
            " here: send the history, or use previous_response_id on /v1/responses.",
            param="conversation",
        )
    return mode
