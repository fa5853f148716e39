"""The document, put together from operations and the wire structs that they name. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from routes.inline import Inline
from routes.openapi import parts
from routes.openapi.fields import with_facts
from routes.openapi.operations import EVENTS, Family, Media, Operation
from routes.openapi.shown import refused, shown
from routes.openapi.words import with_words

VERSION = "3.1.0"
_TITLE = "gempool"
_ABOUT = (
    "One dependable API in front of several Google accounts' Gemini web apps, in OpenAI's and Gemini's dialects. Every"
    " GET is answered to HEAD as well, and a slash at the end of a path is ignored. Fields that are not listed are"
    " ignored. A key is sent as `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` or `?key=`; where the gateway has"
    " none, callers on its own machine need none. A 429 or 503 says in `Retry-After` when to come back. Every answer has"
    " an `x-request-id`, which the gateway's log knows."
)
_QUALIFIED = re.compile(r"(?:\w+\.)+\w+")
_USUAL = ("routes", "openai", "gemini", "plain", "ops", "wire")
"""Folders that the prefix stands for, and modules whose name says nothing."""
_SCHEMAS = "#/components/schemas/"


def document(
    operations: Iterable[Operation], *, version: str, server: str, keys_required: bool
) -> dict[str, Any]:
    """OpenAPI as JSON. server: where callers reach the gateway, '' for where the document was read."""
    listed = list(operations)
    schemas = _Schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method] = _described(
            operation, schemas, keys_required=keys_required
        )
    responses: dict[str, Any] = {}
    for dialects in dict.fromkeys(_dialects(operation) for operation in listed):
        found = [schemas.of(dialect.errors, dialect) for dialect in dialects]
        responses |= parts.error_responses(dialects, found[0] if len(found) == 1 else {"anyOf": found})
    schemas.keep_what_is_used_in([paths, responses])
    return {
        "openapi": VERSION,
        "info": {
            "title": _TITLE,
            "version": version,
            "description": _ABOUT,
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "servers": [{"url": server or "/"}],
        "tags": [
            {"name": name, "description": parts.TAGS[name]}
            for name in dict.fromkeys(operation.tag for operation in listed)
        ],
        "paths": paths,
        "components": {
            "securitySchemes": parts.SECURITY_SCHEMES,
            "parameters": parts.PARAMETERS,
            "headers": parts.HEADERS,
            "responses": responses,
            "schemas": schemas.components,
        },
    }


class _Schemas:
    """The schemas of all structs. Families have structs of the same names, so each family's have its prefix."""

    def __init__(self, operations: list[Operation]) -> None:
        wanted: dict[Family, dict[Any, None]] = {}
        for operation in operations:
            for type_, family in _types(operation):
                wanted.setdefault(family, {})[type_] = None
        self.components: dict[str, Any] = {}
        self._of: dict[tuple[Family, Any], dict[str, Any]] = {}
        for family, types in wanted.items():
            schemas, components = msgspec.json.schema_components(
                types, schema_hook=_hook, ref_template=_SCHEMAS + "{name}"
            )
            for type_, schema in zip(types, schemas, strict=True):
                self._of[family, type_] = _renamed(schema, family)
            for name, schema in components.items():
                full = _name(name, family)
                self.components[full] = with_words(full, with_facts(full, _renamed(schema, family)))

    def keep_what_is_used_in(self, value: Any) -> None:
        """Leave out the others: a form's struct is written out where it is used."""
        used: set[str] = set()
        todo = _referred(value)
        while todo:
            name = todo.pop()
            if name not in used:
                used.add(name)
                todo |= _referred(self.components[name])
        self.components = {name: schema for name, schema in self.components.items() if name in used}

    def of(self, type_: Any, family: Family) -> dict[str, Any]:
        return self._of[family, type_]


def _referred(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in _referred(item)}
    if not isinstance(value, dict):
        return set()
    own = value.get("$ref")
    found = {own.removeprefix(_SCHEMAS)} if isinstance(own, str) and own.startswith(_SCHEMAS) else set()
    return found | {name for item in value.values() for name in _referred(item)}


def _dialects(operation: Operation) -> tuple[Family, ...]:
    families = (operation.family, operation.other)
    return tuple(family.speaks for family in families if family is not None)


def _types(operation: Operation) -> Iterable[tuple[Any, Family]]:
    own = operation.family
    yield own.errors, own.speaks
    for type_ in (*operation.bodies, operation.form, operation.says, *operation.unlike.values()):
        if type_ is not None:
            yield type_, own
    for media in operation.media:
        for type_ in (media.type, media.event, *media.events, media.fault):
            if type_ is not None:
                yield type_, media.family or own


def _hook(type_: type) -> dict[str, Any]:
    if type_ is Inline:
        return {"type": "string", "description": "Base64, or a data URL."}
    raise NotImplementedError(type_.__name__)


def _name(name: str, family: Family) -> str:
    """msgspec writes out where a struct is from where two have the same name."""
    if _QUALIFIED.fullmatch(name):
        *folders, name = name.split(".")
        name = "".join(folder.capitalize() for folder in folders if folder not in _USUAL) + name
    return family.prefix + name


def _renamed(schema: Any, family: Family) -> Any:
    if isinstance(schema, list):
        return [_renamed(item, family) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _SCHEMAS + _name(value.removeprefix(_SCHEMAS), family)
        if key == "$ref" and isinstance(value, str)
        else _renamed(value, family)
        for key, value in schema.items()
    }


def _described(operation: Operation, schemas: _Schemas, *, keys_required: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": _id(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.description:
        found["description"] = operation.description
    found["security"] = parts.security(operation.access, required=keys_required)
    names = (*operation.parameters, "requestId")
    found["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    if operation.bodies:
        found["requestBody"] = {"required": True, "content": _taken(operation, schemas)}
    found["responses"] = _answers(operation, schemas)
    return found


def _id(operation: Operation) -> str:
    words = re.findall(r"[A-Za-z0-9]+", operation.path) or ["root"]
    return operation.method + "".join(word[:1].upper() + word[1:] for word in words)


def _taken(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    given = [schemas.of(body, operation.family) for body in operation.bodies]
    content: dict[str, Any] = {
        "application/json": {
            "schema": given[0] if len(given) == 1 else {"anyOf": given},
            "examples": {title: {"value": value} for title, value in operation.examples.items()},
        }
    }
    if operation.form is not None:
        name = schemas.of(operation.form, operation.family)["$ref"].removeprefix(_SCHEMAS)
        content["multipart/form-data"] = {
            "schema": _form(schemas.components[name]),
            "examples": {title: {"value": value} for title, value in operation.form_examples.items()},
        }
    return content


def _form(struct: Mapping[str, Any]) -> dict[str, Any]:
    """The struct's fields as text, and pictures as files."""
    file = {"type": "string", "format": "binary"}
    texts = {
        name: _plain(field)
        for name, field in struct["properties"].items()
        if name not in ("image", "images", "mask")
    }
    files = {"image": file, "image[]": {"type": "array", "items": file}, "mask": file}
    return {
        "type": "object",
        "properties": {**texts, **files},
        "required": struct["required"],
        "anyOf": [{"required": ["image"]}, {"required": ["image[]"]}],
    }


def _plain(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """The kind of field without null, which a form cannot say."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {key: value for key, value in field.items() if key != "default"}


def _answers(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    own = operation.family
    answers = _good(operation, schemas) if operation.good else {}
    for status, description in operation.empty.items():
        answers[str(status)] = {"description": description, "headers": parts.headers_of()}
    for status in operation.errors:
        answers[str(status)] = {
            "$ref": f"#/components/responses/{parts.error_name(_dialects(operation), status)}"
        }
    for status, type_ in operation.unlike.items():
        answers[str(status)] = {
            "description": "Not now; `why` tells the reason.",
            "headers": parts.headers_of("retry-after"),
            "content": {
                "application/json": {
                    "schema": schemas.of(type_, own),
                    "examples": {
                        title: {"value": value} for title, value in refused(operation, status).items()
                    },
                }
            },
        }
    return answers


def _good(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    own = operation.family
    media = operation.media or (Media("application/json", operation.says),)
    content: dict[str, Any] = {}
    for form in media:
        schema = _schema_of(form, own, schemas)
        if form.name in content:
            schema = {"anyOf": [content[form.name]["schema"], schema]}
        content[form.name] = {"schema": schema}
    for name, examples in shown(operation).items():
        content[name]["examples"] = {title: {"value": value} for title, value in examples.items()}
    headers = parts.headers_of(*operation.headers, *(parts.WORK_HEADERS if operation.generates else ()))
    answers: dict[str, Any] = {
        str(status): {"description": description, "headers": headers, "content": content}
        for status, description in {200: operation.summary, **operation.same}.items()
    }
    return answers


def _schema_of(media: Media, family: Family, schemas: _Schemas) -> Any:
    family = media.family or family
    kinds = media.events or (media.event,)
    if kinds == (None,):
        return media.schema if media.type is None else schemas.of(media.type, family)
    fault = schemas.of(media.fault or family.errors, family if media.fault else family.speaks)
    event = {"anyOf": [*(schemas.of(kind, family) for kind in kinds), fault]}
    if media.name != EVENTS:
        return {"type": "array", "items": event}
    data: dict[str, Any] = {"type": "string", "contentMediaType": "application/json", "contentSchema": event}
    return {
        "description": "One server-sent event.",
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "data": {"anyOf": [data, {"const": media.last}]} if media.last else data,
        },
        "required": ["data"],
    }
