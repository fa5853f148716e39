"""Functions that a request declares, and which of them an answer may or must call. Pure.

Of Google's own tools those that only help the model (`googleSearch`, `urlContext`, `codeExecution`, `googleMaps`, ...) are
ignored: the web app searches, reads pages and runs code by itself, and no answer is promised to show it. Refused are
those on which the caller counts: their own servers and stores, and actions that their program waits for.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from core import schemas, tokens
from core.chat import Tool, Toolbox
from core.errors import InvalidRequest
from routes.bounds import Tally
from routes.gemini import wire

T = TypeVar("T")

MODES = ("AUTO", "ANY", "NONE", "VALIDATED")

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}", re.ASCII)
_REFUSED = (
    ("computer_use", "computerUse", "no model here operates a computer"),
    ("file_search", "fileSearch", "nothing is stored here that could be searched"),
    ("mcp_servers", "mcpServers", "no other server is called from here"),
    ("retrieval", "retrieval", "nothing is stored here that could be searched"),
)


def toolbox_of(
    tools: list[wire.Tool] | wire.Tool | None, config: wire.ToolConfig | None, tally: Tally, at: str = ""
) -> Toolbox | None:
    """The functions that may be called, None where there are none or calls are forbidden. Raises `InvalidRequest` or
    `RequestTooLarge` naming the field below `at`."""
    declared: dict[str, Tool] = {}
    for tool, field in listed(tools, f"{at}tools"):
        _refuse(tool, field)
        for declaration, inner in listed(tool.function_declarations, f"{field}.functionDeclarations"):
            found = _declared(declaration, inner, tally)
            if found.name in declared:
                raise InvalidRequest(
                    f"'{inner}.name' is '{found.name}', which another function is called as well. Give each its"
                    " own name.",
                    param=f"{inner}.name",
                )
            declared[found.name] = found
    calling = (config.function_calling_config if config else None) or wire.FunctionCallingConfig()
    field = f"{at}toolConfig.functionCallingConfig"
    mode = (calling.mode or "AUTO").strip().upper()
    if mode == "MODE_UNSPECIFIED":
        mode = "AUTO"
    if mode not in MODES:
        raise InvalidRequest(
            f"'{field}.mode' is '{mode[:40]}'. Use one of {', '.join(MODES)}.", param=f"{field}.mode"
        )
    if mode == "NONE":
        return None
    if mode == "ANY" and not declared:
        raise InvalidRequest(
            f"'{field}.mode' is ANY, but no function is declared. Add 'functionDeclarations' to 'tools', or leave"
            " the mode out.",
            param=f"{field}.mode",
        )
    allowed = frozenset(
        _known(name, declared, inner)
        for name, inner in listed(calling.allowed_function_names, f"{field}.allowedFunctionNames")
    )
    if not declared:
        return None
    return Toolbox(tuple(declared.values()), required=mode == "ANY", allowed=allowed)


def listed(given: list[T] | T | None, field: str) -> list[tuple[T, str]]:
    """Each item with its place. As everywhere in Google's JSON, one item may stand for a list of one."""
    if isinstance(given, list):
        return [(item, f"{field}[{i}]") for i, item in enumerate(given)]
    return [] if given is None else [(given, field)]


def _refuse(tool: wire.Tool, at: str) -> None:
    for name, field, why in _REFUSED:
        if getattr(tool, name) is not None:
            raise InvalidRequest(
                f"'{at}.{field}' is not supported: {why}. Declare a function of your own in 'functionDeclarations'.",
                param=f"{at}.{field}",
            )


def _known(name: str, declared: Mapping[str, Tool], field: str) -> str:
    if name not in declared:
        known = ", ".join([*declared][:20]) or "none"
        raise InvalidRequest(
            f"'{field}' is '{name[:80]}', and no function of that name is declared. Declared: {known}.",
            param=field,
        )
    return name


def _declared(given: wire.FunctionDeclaration, at: str, tally: Tally) -> Tool:
    if not NAME.fullmatch(given.name):
        raise InvalidRequest(
            f"'{at}.name' is '{given.name[:40]}'. Begin it with a letter or underscore, and use letters, digits, '_',"
            " '.', ':' and '-' only, 128 characters at most.",
            param=f"{at}.name",
        )
    if given.parameters is not None and given.parameters_json_schema is not None:
        raise InvalidRequest(
            f"'{at}.parameters' and '{at}.parametersJsonSchema' exclude each other. Send one of them.",
            param=f"{at}.parametersJsonSchema",
        )
    description = given.description or ""
    schema, field = given.parameters_json_schema, f"{at}.parametersJsonSchema"
    if schema is None:
        schema, field = given.parameters, f"{at}.parameters"
    size = len(given.name) + len(description)
    if schema is not None:
        size += len(msgspec.json.encode(schema))
    tally.function(size, at)
    return Tool(given.name, description, _parameters(schema, field, openapi=given.parameters is not None))


def _parameters(schema: Any, field: str, *, openapi: bool) -> Mapping[str, Any] | None:
    if schema is None or schema == {}:
        return None
    translated = checked_schema(schema, field, openapi=openapi)
    kind = translated.get("type", "object")
    if kind != "object" and kind != ["object"]:
        raise InvalidRequest(
            f"'{field}' must describe an object whose properties are the function's parameters: set its type to"
            " object.",
            param=field,
        )
    return checked_schema(schema, field, openapi=openapi, an_object=True)


def checked_schema(schema: Any, field: str, *, openapi: bool, an_object: bool = False) -> dict[str, Any]:
    """The schema as JSON Schema. openapi: it is written in Google's subset of OpenAPI. Raises `InvalidRequest`."""
    if not isinstance(schema, dict):
        raise InvalidRequest(
            f"'{field}' is no schema. Send an object such as {{\"type\": ...}}.", param=field
        )
    translated: dict[str, Any] = schemas.from_openapi(schema) if openapi else schema
    try:
        schemas.check(translated, field, an_object=an_object)
    except InvalidRequest as error:
        # Quoted, as all fields are, so that it is found where it has to be spelled as the caller does.
        place = error.param or field
        error.message = error.message.replace(place, f"'{place}'", 1)
        raise
    return translated


def count(toolbox: Toolbox | None) -> int:
    """Estimated tokens of the declarations."""
    if toolbox is None:
        return 0
    return sum(
        tokens.estimate(tool.name)
        + tokens.estimate(tool.description)
        + (tokens.estimate(msgspec.json.encode(tool.parameters).decode()) if tool.parameters else 0)
        for tool in toolbox.tools
    )
