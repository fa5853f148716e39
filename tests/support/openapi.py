"""Holds answers to what `/openapi.json` says of them."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from routes.dialect import dialect_of
from routes.openapi import operations
from routes.openapi.document import document

OPEN_ENDED = {"OpsHealthReport"}
"""Structs that may say more than is listed."""
EVENT_STREAM = "text/event-stream"


class Contract:
    """A document with every path, and answers closed: a field that is not listed is a fault."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.document = found
        components = found["components"]
        closed = {
            name: {**schema, "additionalProperties": False}
            if "properties" in schema and name not in OPEN_ENDED
            else schema
            for name, schema in components["schemas"].items()
        }
        self._open = {"components": components}
        self._closed = {"components": {**components, "schemas": closed}}
        self._validators: dict[str, Any] = {}
        self._paths = [
            (re.compile("".join(_pattern(piece) for piece in re.split(r"(\{\w+\})", path))), item)
            for path, item in sorted(found["paths"].items(), key=lambda entry: -len(entry[0]))
        ]

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """What the document says of the request's operation."""
        for pattern, item in self._paths:
            if pattern.fullmatch(path) and method in item:
                found: Mapping[str, Any] = item[method]
                return found
        return None

    def faults(self, schema: Mapping[str, Any], value: Any, *, closed: bool = True) -> list[str]:
        """What about the value is not as the schema says."""
        errors = self._validator(schema, closed=closed).iter_errors(value)
        return [f"{list(error.instance_path)}: {error.message[:300]}" for error in errors]

    def accepts(self, schema: Mapping[str, Any], value: Any) -> bool:
        """Whether the value is as the schema says; fields that are not listed are none of its business."""
        return bool(self._validator(schema, closed=False).is_valid(value))

    def _validator(self, schema: Mapping[str, Any], *, closed: bool) -> Any:
        key = json.dumps([schema, closed], sort_keys=True)
        if key not in self._validators:
            whole = {**schema, **(self._closed if closed else self._open)}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        return self._validators[key]

    def hold(self, response: httpx.Response) -> None:
        """Fail where a whole answer is not what the document says."""
        request = response.request
        if request.method == "OPTIONS":
            return
        method = "get" if request.method == "HEAD" else request.method.lower()
        path = re.sub("/+", "/", request.url.path).rstrip("/") or "/"
        operation = self.operation(method, path)
        where = f"{request.method} {path} {response.status_code}"
        assert response.headers["x-request-id"], where
        if operation is None:
            assert response.status_code >= 400, f"{where} is not in the document"
            google = "x-goog-api-key" in request.headers or "key" in request.url.params
            name = "Gemini" if dialect_of(request.method, path, google) == "google" else "OpenAI"
            self._hold_body(response, {"$ref": f"#/components/schemas/{name}ErrorEnvelope"}, where)
            return
        answers = operation["responses"]
        assert str(response.status_code) in answers, f"{where} is not in the document"
        answer = answers[str(response.status_code)]
        if "$ref" in answer:
            answer = self.document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        content = answer.get("content")
        if content is None:
            assert not response.content, where
            return
        media = response.headers["content-type"].partition(";")[0]
        assert media in content or "image/*" in content, f"{where}: {media} is not in the document"
        if media not in content:
            return
        schema = content[media]["schema"]
        self._hold_body(response, schema, where)

    def _hold_body(self, response: httpx.Response, schema: Mapping[str, Any], where: str) -> None:
        if response.request.method == "HEAD":
            return
        if response.headers["content-type"].startswith(EVENT_STREAM):
            data = schema["properties"]["data"]
            said = data["anyOf"][0] if "anyOf" in data else data
            for line in response.text.split("\n"):
                if line.startswith("data: ") and line != "data: [DONE]":
                    event = json.loads(line.removeprefix("data: "))
                    assert self.faults(said["contentSchema"], event) == [], where
        elif response.headers["content-type"].startswith("application/json"):
            assert self.faults(schema, response.json()) == [], where


def _pattern(piece: str) -> str:
    return ".+" if piece.startswith("{") else re.escape(piece)


@cache
def contract() -> Contract:
    """Of all routes that there are."""
    return Contract(document(operations(), version="1.2.3", server="", keys_required=True))


class ConformingClient(httpx.Client):
    """Holds each whole answer to the document, so that every test over a socket is a test of it too."""

    def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
        response = super().request(*args, **kwargs)
        contract().hold(response)
        return response
