"""What a request about batches asks for: orders, pages, places. Pure; all errors name the field and the remedy."""

import hashlib
import re
from typing import Final, get_args

from msgspec import Struct

from core.errors import InvalidRequest, RequestTooLarge, UnknownBatch
from engine.service import BatchForm, BatchOrder, BatchState
from routes import wishes
from routes.batch import wire
from routes.drawing import checked_prompt, wish_of
from routes.exchange import Exchange
from routes.models import name_of

RESPONSE_TYPES: Final = {"url": True, "base64": False}
RESPONSE_FORMATS: Final = {"url": True, "b64_json": False}
STATES: Final[tuple[BatchState, ...]] = get_args(BatchState)
INLINE = 20
"""Pictures that a status holds as data where no other number is asked for."""
LISTED = 20
MOST_LISTED = 100
FAR_OFF = 1_000_000_000
"""More than there can be of anything."""
CONCURRENCY = 2
KEY_LENGTH = 255

_KEY = re.compile(rb"[ -~]{1,%d}" % KEY_LENGTH)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


class Part(Struct, frozen=True):
    """Which of a batch's results and errors are wanted. limit: of either, None for all."""

    offset: int
    limit: int | None


class Page(Struct, frozen=True):
    """Which batches are wanted: those after the one of that id, '' for the newest."""

    limit: int
    after: str
    state: BatchState | None


def of_images(request: wire.ImagesRequest, exchange: Exchange) -> BatchOrder:
    """The wish's `pixels` are 0 where the model decides."""
    prompts = _prompts(request.prompts, exchange)
    for index, prompt in enumerate(prompts):
        checked_prompt(prompt, f"prompts[{index}]")
    return BatchOrder(
        kind="images",
        model=name_of(request.model, exchange.settings.default_image_model),
        prompts=prompts,
        form=_form(request),
        concurrency=_concurrency(request.concurrency, exchange),
        owner=_digest(exchange),
        caller=exchange.caller_name,
        wish=wish_of(request, exchange, link=True),
        key=_key(exchange),
    )


def of_chat(request: wire.ChatRequest, exchange: Exchange) -> BatchOrder:
    prompts = _prompts(request.prompts, exchange)
    for index, prompt in enumerate(prompts):
        if not prompt.strip():
            field = f"prompts[{index}]"
            raise InvalidRequest(f"'{field}' is empty. Write what the model should answer.", param=field)
    return BatchOrder(
        kind="chat",
        model=name_of(request.model, exchange.settings.default_model),
        prompts=prompts,
        form="text",
        concurrency=_concurrency(request.concurrency, exchange),
        owner=_digest(exchange),
        caller=exchange.caller_name,
        key=_key(exchange),
    )


def owner_of(exchange: Exchange) -> str | None:
    """Whose batches the caller sees: their own, and with the admin key everybody's."""
    caller = exchange.caller
    return None if caller is not None and caller.role == "admin" else _digest(exchange)


def id_of(exchange: Exchange) -> str:
    """The batch that the path names. Raises `UnknownBatch` where no batch can be called so."""
    id = exchange.path.partition("/batch/")[2].strip("/").partition("/")[0]
    if not _ID.fullmatch(id):
        raise UnknownBatch(id)
    return id


def part_of(exchange: Exchange, form: BatchForm) -> Part:
    limit = INLINE if form == "base64" else None
    return Part(
        offset=_number(exchange, "offset", 0, FAR_OFF) or 0,
        limit=limit if (given := _number(exchange, "limit", 0, FAR_OFF)) is None else given,
    )


def page_of(exchange: Exchange) -> Page:
    after = exchange.query.get("after", "").strip()
    if after and not _ID.fullmatch(after):
        raise UnknownBatch(after, param="after")
    state = exchange.query.get("status", "").strip().lower()
    known = next((each for each in STATES if each == state), None)
    if state and known is None:
        raise InvalidRequest(f"'status' is '{state[:40]}'. Use one of {', '.join(STATES)}.", param="status")
    limit = _number(exchange, "limit", 1, MOST_LISTED)
    return Page(limit=LISTED if limit is None else limit, after=after, state=known)


def after_of(exchange: Exchange) -> int:
    """The number of the last event that the caller has seen. What a reconnecting client says as a header goes before the
    address, which is still that of its first request."""
    said = exchange.headers.get(b"last-event-id", b"").decode("latin-1").strip()
    if not said:
        return _number(exchange, "after", 0, FAR_OFF) or 0
    return _whole(said, "Last-Event-ID", 0, FAR_OFF)


def _prompts(prompts: list[str], exchange: Exchange) -> tuple[str, ...]:
    if not prompts:
        raise InvalidRequest("'prompts' is empty. Add at least one prompt.", param="prompts")
    limit = exchange.settings.batch_tasks
    if len(prompts) > limit:
        raise RequestTooLarge(
            f"'prompts' has {len(prompts)} items, and at most {limit} are taken. Send several batches.",
            param="prompts",
        )
    most = exchange.settings.prompt_limit
    for index, prompt in enumerate(prompts):
        if len(prompt) > most:
            field = f"prompts[{index}]"
            raise RequestTooLarge(
                f"'{field}' has {len(prompt)} characters, and a prompt may have {most}. Shorten it.",
                param=field,
            )
    return tuple(prompts)


def _form(request: wire.ImagesRequest) -> BatchForm:
    """Links where nothing is said; our own word goes before OpenAI's."""
    said = [
        wishes.wants_link(word, field, words)
        for word, field, words in (
            (request.response_type, "response_type", RESPONSE_TYPES),
            (request.response_format, "response_format", RESPONSE_FORMATS),
        )
        if word is not None and word.strip()
    ]
    return "url" if not said or said[0] else "base64"


def _concurrency(given: int | None, exchange: Exchange) -> int:
    most = exchange.settings.batch_concurrency
    if given is None:
        return min(CONCURRENCY, most)
    if not 1 <= given <= most:
        raise InvalidRequest(f"'concurrency' must be from 1 to {most}, not {given}.", param="concurrency")
    return given


def _key(exchange: Exchange) -> str:
    """The caller's name for the request, '' for none."""
    given = exchange.headers.get(b"idempotency-key")
    if given is None:
        return ""
    if not _KEY.fullmatch(given):
        raise InvalidRequest(
            f"'Idempotency-Key' must be 1 to {KEY_LENGTH} printable ASCII characters, such as a UUID.",
            param="Idempotency-Key",
        )
    return given.decode()


def _digest(exchange: Exchange) -> str:
    """Whose the request is, the same for each of the caller's and telling nobody who they are. Callers that only share their
    limits, as those of one IPv6 network do, are several."""
    return hashlib.sha256(exchange.caller_name.encode()).hexdigest()[:32]


def _number(exchange: Exchange, name: str, least: int, most: int) -> int | None:
    given = exchange.query.get(name, "").strip()
    return _whole(given, name, least, most) if given else None


def _whole(text: str, field: str, least: int, most: int) -> int:
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise InvalidRequest(
            f"'{field}' must be a whole number from {least} to {most}, not '{text[:40]}'.", param=field
        )
    return int(text)
