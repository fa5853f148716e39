"""A StreamGenerate request, read as strictly as the format is known."""

from typing import Any

import msgspec
from msgspec import Struct

from simulator.accounts import Account
from simulator.http import Request
from simulator.models import PLANS, Model

MODEL_HEADER = "x-goog-ext-525001261-jspb"
SLOTS = 81


class BadAsk(ValueError):
    """The request is not what the library sends; the message says where."""


class BadModel(ValueError):
    """The model header names nothing that the account offers in that way."""


class Ask(Struct, frozen=True, kw_only=True):
    """files: (reference, name) pairs. chat: cid, rid, rcid; empty strings for a new one."""

    prompt: str
    files: tuple[tuple[str, str], ...]
    chat: tuple[str, str, str]
    context: str
    temporary: bool
    thinking: bool
    number: int
    header: list[Any] | None


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise BadAsk(what)


def parse_ask(request: Request, form: dict[str, str]) -> Ask:
    """Raises `BadAsk`."""
    try:
        outer = msgspec.json.decode(form.get("f.req", ""))
        _need(isinstance(outer, list) and len(outer) == 2 and outer[0] is None, "f.req is not [null, text]")
        inner = msgspec.json.decode(outer[1])
        _need(isinstance(inner, list) and len(inner) == SLOTS, f"the inner list has not {SLOTS} slots")
        content, (language, *_), metadata = inner[0], inner[1], inner[2]
        prompt = content[0]
        _need(isinstance(prompt, str) and prompt != "", "[0][0] is not a prompt")
        _need(content[1:3] == [0, None] and content[4:] == [None, None, 0], "[0] has not the expected form")
        files = tuple((ref, name) for (ref,), name in content[3] or ())
        _need(
            all(isinstance(x, str) and x for pair in files for x in pair), "[0][3] has a file without a name"
        )
        _need(isinstance(language, str), "[1] is not a language")
        _need(isinstance(metadata, list) and len(metadata) == 10, "[2] is not chat metadata of 10 slots")
        _need(inner[7] == 1, "[7] does not ask for a stream")
        _need(inner[45] in (None, 1), "[45] is neither null nor 1")
        _need(isinstance(inner[59], str) and inner[59] != "", "[59] is not a request id")
        _need(isinstance(inner[79], int), "[79] is not a model number")
        _need(inner[80] in (1, 2), "[80] is neither 1 nor 2")
        request_id = msgspec.json.decode(request.headers.get("x-goog-ext-525005358-jspb", "null"))
        _need(request_id == [inner[59], 1], "x-goog-ext-525005358-jspb is not the request id of [59]")
        raw_header = request.headers.get(MODEL_HEADER)
        header = msgspec.json.decode(raw_header) if raw_header else None
    except BadAsk:
        raise
    except (msgspec.DecodeError, ValueError, TypeError, IndexError, KeyError) as error:
        raise BadAsk(f"f.req does not parse: {error}") from error
    cid, rid, rcid = (value or "" for value in metadata[:3])
    return Ask(
        prompt=prompt,
        files=files,
        chat=(cid, rid, rcid),
        context=metadata[9] or "",
        temporary=inner[45] == 1,
        thinking=inner[80] == 2,
        number=inner[79],
        header=header,
    )


def choose_model(ask: Ask, account: Account, *, guest: bool) -> Model:
    """The model that the header names, or the default. Raises `BadModel`."""
    models = PLANS["free"].models[:1] if guest else account.models
    capacity = 1 if guest else account.plan.capacity
    header = ask.header
    if header is None:
        return models[0]
    if not isinstance(header, list) or len(header) != 17 or header[0] != 1:
        raise BadModel("the model header has not 17 slots")
    model = next((m for m in models if m.id == header[4]), None)
    if model is None:
        raise BadModel(f"model id {header[4]!r} is not offered")
    if header[11] != capacity:
        raise BadModel(f"capacity {header[11]!r} is not this tier's {capacity}")
    if header[14] != model.number or ask.number != model.number:
        raise BadModel(f"model number {header[14]!r}, {ask.number!r} in the body, is not {model.number}")
    if header[15] != (2 if ask.thinking else 1) or not isinstance(header[16], str):
        raise BadModel("the header's thinking level or session id is wrong")
    return model
