"""OpenAI's routes."""

from typing import Any

from routes.gemini import wire as gemini_wire
from routes.openai import wire
from routes.openai.errors import ErrorEnvelope
from routes.openai.imageframing import CompletedEvent
from routes.openai.imagewire import EditRequest, ImageRequest, ImagesResponse
from routes.openai.responses import wire as responses
from routes.openapi.gemini import GEMINI, PIXEL
from routes.openapi.operations import EVENTS, WORK_ERRORS, Family, Media, Method, Operation

OPENAI = Family("OpenAI", "OpenAI", ErrorEnvelope)

_HELLO = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_CHAT: dict[str, Any] = {
    "text": _HELLO,
    "stream": {**_HELLO, "stream": True, "stream_options": {"include_usage": True}},
    "functions": {
        **_HELLO,
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": _CITY}}],
        "tool_choice": "required",
    },
    "json": {
        **_HELLO,
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": _CITY}},
    },
    "picture in": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            }
        ]
    },
}
_RESPONSES: dict[str, Any] = {
    "text": {"input": "Why is the sky blue?"},
    "stream": {"input": "Why is the sky blue?", "stream": True},
    "functions": {
        "input": [{"role": "user", "content": "Is it raining in Oslo?"}],
        "tools": [{"type": "function", "name": "weather", "parameters": _CITY}],
    },
    "json": {
        "input": "A city",
        "text": {"format": {"type": "json_schema", "name": "city", "schema": _CITY}},
    },
}
_SHARED = " Google's SDKs call this URL as well: a request with `x-goog-api-key` or `?key=` is answered in Gemini's dialect."


def operations() -> list[Operation]:
    return [*_chat(), *_responses(), *_models(), *_images()]


def _chat() -> list[Operation]:
    return [
        Operation(
            method="post",
            path="/v1/chat/completions",
            route="/v1/chat/completions",
            family=OPENAI,
            tag=OPENAI.name,
            summary="A chat's next message",
            description="Sampling fields are taken in any type and not read.",
            bodies=(wire.ChatRequest,),
            examples=_CHAT,
            media=(
                Media("application/json", wire.Completion),
                Media(EVENTS, event=wire.Chunk, last="[DONE]"),
            ),
            parameters=("watermark",),
            errors=WORK_ERRORS,
            generates=True,
        )
    ]


def _responses() -> list[Operation]:
    def stored(method: Method) -> Operation:
        return Operation(
            method=method,
            path="/v1/responses/{response}",
            route="/v1/responses/{response:path}",
            family=OPENAI,
            tag=OPENAI.name,
            summary="Not supported",
            description="Responses are kept to go on with by `previous_response_id`, not to be read again.",
            parameters=("response",),
            good=False,
        )

    return [
        Operation(
            method="post",
            path="/v1/responses",
            route="/v1/responses",
            family=OPENAI,
            tag=OPENAI.name,
            summary="A response",
            description="Sampling fields are taken in any type and not read.",
            bodies=(responses.ResponseRequest,),
            examples=_RESPONSES,
            media=(
                Media("application/json", responses.Response),
                Media(EVENTS, event=responses.StreamEvent, fault=responses.ErrorEvent),
            ),
            parameters=("watermark",),
            errors=WORK_ERRORS,
            generates=True,
        ),
        stored("get"),
        stored("post"),
        stored("delete"),
    ]


def _models() -> list[Operation]:
    def both(own: type, gemini: type) -> tuple[Media, ...]:
        return (Media("application/json", own), Media("application/json", gemini, family=GEMINI))

    return [
        Operation(
            method="get",
            path="/v1/models",
            route="/v1/models",
            family=OPENAI,
            other=GEMINI,
            tag=OPENAI.name,
            summary="Models",
            description="Those that can be asked now." + _SHARED,
            media=both(wire.ModelList, gemini_wire.ModelList),
        ),
        Operation(
            method="get",
            path="/v1/models/{model}",
            route="/v1/models/{model:path}",
            family=OPENAI,
            other=GEMINI,
            tag=OPENAI.name,
            summary="One model",
            description=_SHARED.strip(),
            media=both(wire.ModelOut, gemini_wire.ModelOut),
            parameters=("model",),
        ),
    ]


def _images() -> list[Operation]:
    def drawing(path: str, summary: str, **more: Any) -> Operation:
        return Operation(
            method="post",
            path=path,
            route=path,
            family=OPENAI,
            tag=OPENAI.name,
            summary=summary,
            bodies=(EditRequest,),
            media=(Media("application/json", ImagesResponse), Media(EVENTS, event=CompletedEvent)),
            parameters=("watermark",),
            errors=WORK_ERRORS,
            generates=True,
            **more,
        )

    url = f"data:image/png;base64,{PIXEL}"
    return [
        drawing(
            "/v1/images/generations",
            "Pictures of a prompt",
            description="With `image` or `images` these are changed.",
            examples={
                "picture": {"prompt": "A red kite", "size": "1024x1024"},
                "links": {"prompt": "A red kite", "n": 2, "response_format": "url"},
            },
        ),
        drawing(
            "/v1/images/edits",
            "Pictures, changed",
            form=ImageRequest,
            form_examples={
                "one": {"prompt": "Make it green", "image": url},
                "several": {"prompt": "Put both into one picture", "image[]": [url, url]},
            },
            examples={"data url": {"prompt": "Make it green", "image": url}},
        ),
    ]
