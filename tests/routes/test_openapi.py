"""`/openapi.json`: complete, true, and open to everybody."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from core.clock import SystemClock
from routes.gemini.handlers import METHODS
from routes.openapi import Operation, operations
from routes.openapi.shown import PARTS
from routes.openapi.words import FIELDS, OF
from storage import Local
from tests.fakes.batches import FakeBatches
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import FakeOperator
from tests.support.files import PNG
from tests.support.openapi import contract

KEYS = {"authorization": "Bearer one", "x-admin-key": "root"}
EXAMPLES = [
    pytest.param(operation, title, value, id=f"{operation.path} {title}")
    for operation in operations()
    for title, value in operation.examples.items()
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge with every route that there is."""
    folder: Path = tmp_path_factory.mktemp("files")
    files = Local(folder, SystemClock())
    with edge(
        api_key="one",
        admin_key="root",
        cookies=FakeCookies(),
        files=files,
        batches=FakeBatches(),
        operator=FakeOperator(brief=True),
    ) as found:
        yield found


@pytest.fixture(scope="module")
def document(whole: Edge) -> dict[str, Any]:
    response = whole.http.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


def path_of(operation: Operation) -> str:
    """A request's path, its parameters filled in with their examples."""
    parameters = contract().document["components"]["parameters"]
    path = operation.path
    for name in operation.parameters:
        given = parameters[name]
        if given["in"] == "path":
            path = path.replace("{" + given["name"] + "}", given["example"])
    return path


def test_every_route_is_described_and_nothing_else(whole: Edge, document: dict[str, Any]) -> None:
    """Each path and method that the router knows, and each method of Gemini's models, and no other."""
    known = {
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), method)
        for route in whole.routes
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    described = {(operation.route, operation.method.upper()) for operation in operations()}
    assert {(re.sub(r"\{(\w+):\w+\}", r"{\1}", path), method) for path, method in described} == known
    listed = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert listed == {(operation.path, operation.method.upper()) for operation in operations()}
    for prefix in ("/v1", "/v1beta", "/gemini/v1", "/gemini/v1beta"):
        called = {path for path, _ in listed if path.startswith(f"{prefix}/models/{{model}}:")}
        assert called == {f"{prefix}/models/{{model}}:{method}" for method in METHODS}


def test_routes_that_a_gateway_is_without_are_not_described(gate: Edge) -> None:
    """Such as those of cookies, files and batches here."""
    paths = gate.http.get("/openapi.json").json()["paths"]
    assert "/v1/chat/completions" in paths
    assert not [path for path in paths if path.startswith(("/api/cookies", "/files", "/v1/batch"))]


def test_the_document_is_sound(document: dict[str, Any]) -> None:
    """Every reference leads to something, everything is used, ids are unique, and all schemas are ones."""
    referred: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(found := value.get("$ref"), str):
                referred.add(found)
            for item in value.values():
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    look(document)
    components = document["components"]
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses", "headers", "parameters")
        for name in components[kind]
    }
    assert referred <= there
    assert {name for name in there - referred if "/responses/" not in name} == set()
    items = [item for path in document["paths"].values() for item in path.values()]
    ids = [item["operationId"] for item in items]
    assert len(set(ids)) == len(ids)
    for name, schema in components["schemas"].items():
        assert re.fullmatch(r"[A-Za-z]+", name)
        jsonschema_rs.meta.validate({**schema, "components": components})
    for path, item in document["paths"].items():
        names = set(re.findall(r"\{(\w+)\}", path))
        for described in item.values():
            given = [
                components["parameters"][ref["$ref"].rpartition("/")[2]] for ref in described["parameters"]
            ]
            assert {parameter["name"] for parameter in given if parameter["in"] == "path"} == names
            assert described["summary"]
            assert set(described["responses"]) >= {"400", "405", "500"}


def test_it_needs_no_key_and_says_which_routes_do(whole: Edge, document: dict[str, Any]) -> None:
    """It tells nothing that the project's pages do not; what it says of keys is what the routes do."""
    for operation in operations():
        security = document["paths"][operation.path][operation.method]["security"]
        assert (security == []) is (operation.access == "open")
        assert {} not in security
        response = whole.http.request(operation.method, path_of(operation))
        if not operation.bodies or operation.access != "open":
            assert (response.status_code == 401) is (operation.access != "open"), operation.path
        if operation.access == "admin":
            key = {"authorization": "Bearer one"}
            weak = whole.http.request(operation.method, path_of(operation), headers=key)
            assert weak.status_code == 403


def test_without_configured_keys_none_has_to_be_sent(gate: Edge) -> None:
    """Then showing one is one way of several."""
    found = gate.http.get("/openapi.json").json()
    assert {} in found["paths"]["/v1/models"]["get"]["security"]


@pytest.mark.parametrize(("operation", "title", "value"), EXAMPLES)
def test_examples_are_true(whole: Edge, operation: Operation, title: str, value: Any) -> None:
    """Each is as its schema says and is answered; that answers are as their schemas say is held in all tests of the
    edge, by its client."""
    described = contract().document["paths"][operation.path][operation.method]
    content = described["requestBody"]["content"]["application/json"]
    assert content["examples"][title]["value"] == value
    assert contract().faults(content["schema"], value, closed=False) == []
    whole.chat.reset()
    response = whole.http.post(path_of(operation), json=value, headers=KEYS)
    whole.http.cookies.clear()
    assert response.is_success, response.text


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/edit"])
def test_forms_are_described_as_they_are_sent(whole: Edge, path: str) -> None:
    """Fields as text and pictures as files, under the names that clients use."""
    content = contract().document["paths"][path]["post"]["requestBody"]["content"]
    fields = content["multipart/form-data"]["schema"]["properties"]
    assert {"prompt", "image", "image[]", "mask", "n", "size"} <= set(fields)
    sent = {"prompt": "Make it green", "n": "1", "size": "1024x1024"}
    assert set(sent) <= set(fields)
    files = [("image", ("a.png", PNG, "image/png"))]
    whole.chat.reset()
    assert whole.http.post(path, data=sent, files=files, headers=KEYS).status_code == 200
    several = [("image[]", file) for _, file in files * 2]
    whole.chat.reset()
    assert whole.http.post(path, data=sent, files=several, headers=KEYS).status_code == 200
    whole.chat.reset()
    assert whole.http.post(path, data=sent, files=[("x", ("", b""))], headers=KEYS).status_code == 400
    schema = content["multipart/form-data"]["schema"]
    assert contract().faults(schema, {"prompt": "x", "image[]": ["one"]}) == []
    assert contract().faults(schema, {"prompt": "x", "image": "one"}) == []
    assert contract().faults(schema, {"prompt": "x"}) != []


@pytest.mark.parametrize("operation", [found for found in operations() if found.form is not None], ids=str)
def test_forms_examples_are_true(whole: Edge, operation: Operation) -> None:
    """Each is as its schema says and is answered; what is no file is text there."""
    content = contract().document["paths"][operation.path]["post"]["requestBody"]["content"]
    described = content["multipart/form-data"]
    shown = {title: example["value"] for title, example in described["examples"].items()}
    assert shown == operation.form_examples
    assert {name for value in shown.values() for name in value} == {"prompt", "image", "image[]"}
    for value in shown.values():
        assert contract().faults(described["schema"], value, closed=False) == []
        fields = [
            (name, (None, text))
            for name, texts in value.items()
            for text in (texts if isinstance(texts, list) else [texts])
        ]
        whole.chat.reset()
        response = whole.http.post(operation.path, files=fields, headers=KEYS)
        assert response.status_code == 200, response.text


def test_every_get_is_answered_as_described(whole: Edge) -> None:
    """And to HEAD with the same status."""
    whole.chat.reset()
    for operation in operations():
        if operation.method == "get" and operation.good and operation.route != "/files/{name:path}":
            path = path_of(operation)
            assert whole.http.get(path, headers=KEYS).status_code == 200, path
            assert whole.http.head(path, headers=KEYS).status_code == 200, path


def good_answers() -> Iterator[tuple[Operation, str, Any]]:
    """Each operation's forms of a good answer, as the document has them."""
    for operation in operations():
        answers = contract().document["paths"][operation.path][operation.method]["responses"]
        for status, answer in answers.items():
            if status.startswith("2"):
                for media, content in answer.get("content", {}).items():
                    yield operation, media, content


def test_every_good_answer_is_shown() -> None:
    """JSON, events and text have an example; only files are what they are."""
    for operation, media, content in good_answers():
        is_file = operation.path in ("/files/{name}", "/admin", "/admin/{path}", "/docs", "/docs/{path}")
        assert ("examples" in content) is not is_file, (operation.path, media)


def test_what_is_shown_is_as_its_schema_says() -> None:
    """And holds no field that is not listed."""
    for operation, media, content in good_answers():
        for title, example in content.get("examples", {}).items():
            where = f"{operation.method} {operation.path} {media} {title}"
            if media != "text/event-stream":
                assert contract().faults(content["schema"], example["value"]) == [], where
                continue
            data = content["schema"]["properties"]["data"]
            said = data["anyOf"][0] if "anyOf" in data else data
            lines = [line for line in example["value"].split("\n") if line.startswith("data: ")]
            assert lines, where
            for line in lines:
                if line != "data: [DONE]":
                    event = json.loads(line.removeprefix("data: "))
                    assert contract().faults(said["contentSchema"], event) == [], where


def test_errors_are_shown_in_their_dialects() -> None:
    """Each status of each dialect, or of both where a route speaks both, as its schema says and with its own status."""
    for name, answer in contract().document["components"]["responses"].items():
        content = answer["content"]["application/json"]
        dialects = {"OpenAI", "Gemini"} & set(re.findall(r"OpenAI|Gemini", name))
        assert set(content["examples"]) == dialects
        for dialect, example in content["examples"].items():
            assert contract().faults(content["schema"], example["value"]) == [], name
            assert len(example["value"]["error"]["message"]) > 10
            if dialect == "Gemini":
                assert name.endswith(f"Error{example['value']['error']['code']}")


def test_errors_of_another_shape_are_shown() -> None:
    """As their schemas say."""
    for operation in operations():
        answers = contract().document["paths"][operation.path][operation.method]["responses"]
        for status in operation.unlike:
            content = answers[str(status)]["content"]["application/json"]
            assert content["examples"]
            for example in content["examples"].values():
                assert contract().faults(content["schema"], example["value"]) == []


def test_info_lists_every_operation(whole: Edge, document: dict[str, Any], gate: Edge) -> None:
    """Those of the document, whatever the gateway has."""
    for served, described in ((whole, document), (gate, gate.http.get("/openapi.json").json())):
        listed = served.http.get("/api/info", headers=KEYS).json()["endpoints"]
        paths = described["paths"].items()
        assert sorted(listed) == sorted(f"{method.upper()} {path}" for path, item in paths for method in item)


def test_nothing_is_shown_that_is_no_operations() -> None:
    """An example of a route that is gone is noticed."""
    listed = {(operation.method, operation.path) for operation in operations()}
    assert {key for part in PARTS for key in part} <= listed


def test_every_field_is_described() -> None:
    """In a sentence or a few words; and nothing is said of fields that there are not."""
    schemas = contract().document["components"]["schemas"]
    said: set[str] = set()
    for name, schema in schemas.items():
        for field, found in schema.get("properties", {}).items():
            assert found.get("description"), f"{name}.{field}"
            said |= {field, f"{name}.{field}"}
    assert {*FIELDS, *OF} <= said


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    """As the specification's own schema says, with keys required and without."""
    specification = jsonschema_rs.Draft202012Validator(OPENAPI_31)
    for found in (document, contract().document):
        assert [error.message[:300] for error in specification.iter_errors(found)] == []


def test_families_are_told_apart(document: dict[str, Any]) -> None:
    """Each tag says what its operations are for."""
    for tag in document["tags"]:
        assert tag["description"].endswith("."), tag["name"]
