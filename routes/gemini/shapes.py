"""Answers that are JSON, or one word of several. Pure.

`text/x.enum` is asked for as a JSON string of a schema, and handed out without its quotes.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Answer, Delta, Event, Finish, Shape
from core.errors import InvalidRequest
from routes.gemini import wire
from routes.gemini.tools import checked_schema

PLAIN, JSON, WORD = "text/plain", "application/json", "text/x.enum"
ANY_JSON: dict[str, Any] = {"type": ["object", "array"]}
"""What `application/json` without a schema means to Google's models, which like to answer with a list."""

_AT = "generationConfig"


class Form(Struct, frozen=True):
    """What the answer's text is to be. shape: None for plain text. word: without the quotes of a JSON string."""

    shape: Shape | None = None
    word: bool = False


def form_of(config: wire.GenerationConfig | None, at: str = "") -> Form:
    """Raises `InvalidRequest` naming the field below `at`."""
    if config is None:
        return Form()
    field = f"{at}{_AT}.responseMimeType"
    mime = (config.response_mime_type or "").partition(";")[0].strip().lower()
    if mime not in ("", PLAIN, JSON, WORD):
        raise InvalidRequest(f"'{field}' is '{mime[:40]}'. Use {PLAIN}, {JSON} or {WORD}.", param=field)
    schema, place = _schema_of(config, at)
    if schema is None:
        if mime == WORD:
            raise InvalidRequest(
                f"'{field}' is {WORD}, which needs the words to choose from. Send them as"
                ' {"type": "STRING", "enum": [...]} in \'responseSchema\'.',
                param=field,
            )
        return Form(Shape(ANY_JSON)) if mime == JSON else Form()
    if mime == PLAIN:
        raise InvalidRequest(
            f"'{field}' is {PLAIN}, but '{place}' asks for JSON. Send {JSON}, or leave one of them out.",
            param=field,
        )
    if mime == WORD:
        _check_words(schema, place)
    return Form(Shape(schema), word=mime == WORD)


def _schema_of(config: wire.GenerationConfig, at: str) -> tuple[dict[str, Any] | None, str]:
    openapi, json = f"{at}{_AT}.responseSchema", f"{at}{_AT}.responseJsonSchema"
    if config.response_json_schema is None:
        given = config.response_schema
        return (None if given is None else checked_schema(given, openapi, openapi=True)), openapi
    if config.response_schema is not None:
        raise InvalidRequest(f"'{openapi}' and '{json}' exclude each other. Send one of them.", param=json)
    return checked_schema(config.response_json_schema, json, openapi=False), json


def _check_words(schema: dict[str, Any], field: str) -> None:
    words = schema.get("enum")
    # A schema that is nullable has a null among them.
    if not isinstance(words, list) or not any(isinstance(word, str) for word in words):
        raise InvalidRequest(
            f"'{field}' names no words to choose from, which {WORD} needs. Send"
            ' {"type": "STRING", "enum": ["...", "..."]}.',
            param=field,
        )


def word_of(text: str) -> str:
    """The string that the JSON text is; the text itself where it is none."""
    try:
        return msgspec.json.decode(text, type=str)
    except msgspec.DecodeError:
        return text


def answered(answer: Answer, form: Form) -> Answer:
    """The answer as the caller wants to read it."""
    return replace(answer, text=word_of(answer.text)) if form.word else answer


def events_of(events: AsyncGenerator[Event, None], form: Form) -> AsyncGenerator[Event, None]:
    """The same of a stream. A word comes whole."""
    return _word(events) if form.word else events


async def _word(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    text = ""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Delta):
                text += event.text
                if event.thoughts:
                    yield Delta(thoughts=event.thoughts)
                continue
            if isinstance(event, Finish) and text:
                yield Delta(word_of(text))
            yield event
