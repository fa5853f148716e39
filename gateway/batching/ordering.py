"""From prompts and options to a batch that the gateway has taken in."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.batching.prompts import Line
from gateway.batching.refusals import BatchError, asked, decoded, may_retry, retry_after, told
from gateway.client import Api, Reply

PATIENCE = 120.0
"""Seconds for which creating a batch is tried again where the gateway asks for it or breaks off."""
_PAUSE = 2.0


class Wanted(Struct, frozen=True):
    """What a batch is to be. kind: `images`, `chat`, or '' for what the model is. fields: of the request's body.
    for_pictures: fields that only pictures have. saved: whether the pictures are to be saved here."""

    kind: str
    model: str
    fields: Mapping[str, Any]
    for_pictures: Mapping[str, Any]
    saved: bool = False


class Order(Struct, frozen=True):
    """The request. name: what messages call the file."""

    path: str
    body: Mapping[str, Any]
    lines: Sequence[Line]
    name: str


class _Categories(Struct):
    text: list[str]
    image: list[str]


class _Models(Struct):
    categories: _Categories


def order_of(api: Api, wanted: Wanted, lines: Sequence[Line], name: str) -> Order:
    """Asks the gateway for its models where nobody has said what kind of batch it is. Raises BatchError."""
    model, kind = _model(wanted.model, lines), wanted.kind
    if not kind:
        if not model:
            raise BatchError(
                "Say --images or --chat: neither the lines nor --model name a model to tell it by."
            )
        models = decoded(api, asked(api, api.ask("/api/models")), _Models).categories
        if model not in models.text and model not in models.image:
            raise BatchError(
                f"Say --images or --chat: the gateway's list of models has no {model!r} to tell it by."
            )
        kind = "images" if model in models.image else "chat"
    check(kind, wanted)
    fields = {**wanted.fields, **wanted.for_pictures, **({"model": model} if model else {})}
    body = {"prompts": [line.prompt for line in lines], **fields}
    return Order(f"/v1/batch/{kind}", body, lines, name)


def check(kind: str, wanted: Wanted) -> None:
    """Whether such a batch can be wanted so. Raises BatchError."""
    options = (*wanted.for_pictures, *(["save"] if wanted.saved else []))
    if kind == "chat" and options:
        raise BatchError(
            f"--{options[0].replace('_', '-')} is for pictures, and this is a batch of chats. Leave it out, or say --images."
        )


def created(
    api: Api, order: Order, key: str, say: Callable[[str], None], pause: Callable[[float], None] = time.sleep
) -> Reply:
    """The gateway's answer, once it has taken the batch in. Raises BatchError.

    key: the idempotency key; asking again with it makes no second batch, so an answer that got lost costs nothing.
    """
    deadline = time.monotonic() + PATIENCE
    said = False
    while True:
        reply = api.ask(order.path, order.body, headers={"idempotency-key": key}, timeout=300)
        if reply.status in (200, 202):
            if reply.headers.get("idempotent-replayed") == "true":
                say("This idempotency key stands for a batch that is there already: going on with it.")
            return reply
        wait = _wait(reply)
        why = _refusal(api, reply, order)
        if wait is None or time.monotonic() + wait > deadline:
            raise BatchError(why)
        if not said:
            say(f"{why} Trying again.")
            said = True
        pause(wait)


def _model(wanted: str, lines: Sequence[Line]) -> str:
    """A batch has one model."""
    named = {line.model: line.number for line in reversed(lines)}
    if wanted:
        for model, number in named.items():
            if model not in ("", wanted):
                raise BatchError(
                    f"Line {number} names the model {model}, and --model {wanted}. A batch has one model."
                )
        return wanted
    if len(named) > 1:
        (one, at), (other, there) = sorted(named.items(), key=lambda item: item[1])[:2]
        raise BatchError(
            f"Line {at} names {f'the model {one}' if one else 'no model'}, line {there}"
            f" {f'the model {other}' if other else 'none'}. A batch has one model: split the file, or give --model."
        )
    return next(iter(named))


def _wait(reply: Reply) -> float | None:
    """Seconds until the creation may be tried again; None where that cannot help."""
    passing = reply.status in (0, 408, 429) or reply.status >= 500
    if reply.nobody or not passing or not may_retry(reply) or b'"too_many_batches"' in reply.body:
        return None
    return retry_after(reply) or _PAUSE


def _refusal(api: Api, reply: Reply, order: Order) -> str:
    """With the line of the file where the gateway names a prompt."""
    text = told(api, reply)
    try:
        param = str(msgspec.json.decode(reply.body)["error"]["param"])
        line = order.lines[int(param.removeprefix("prompts[").removesuffix("]"))]
    except (LookupError, TypeError, ValueError, RecursionError):
        return text
    return f"{order.name}:{line.number}: {text}"
