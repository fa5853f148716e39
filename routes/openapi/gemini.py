"""Gemini's routes."""

from typing import Any

from routes.gemini import PREFIXES, wire
from routes.gemini.errors import ErrorEnvelope
from routes.gemini.pictures import SIZES_HEADER
from routes.openapi.operations import EVENTS, WORK_ERRORS, Family, Media, Operation

GEMINI = Family("Gemini", "Gemini", ErrorEnvelope)

_HELLO: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Why is the sky blue?"}]}]}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
_SCHEMA = {
    "type": "OBJECT",
    "properties": {"city": {"type": "STRING"}, "degrees": {"type": "NUMBER", "nullable": True}},
    "required": ["city"],
}
_GENERATE = {
    "text": _HELLO,
    "functions": {
        **_HELLO,
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "The weather of a city", "parameters": _SCHEMA}
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
    },
    "json": {
        **_HELLO,
        "generationConfig": {"responseMimeType": "application/json", "responseSchema": _SCHEMA},
    },
    "picture in": {
        "contents": [
            {
                "parts": [
                    {"text": "What is this?"},
                    {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                ]
            }
        ]
    },
}
_SPELLING = " Fields are taken in camelCase and in snake_case."


def operations() -> list[Operation]:
    found = [operation for prefix in PREFIXES for operation in _read(prefix)]
    return found + [operation for prefix in (*PREFIXES, "/v1") for operation in _work(prefix)]


def _read(prefix: str) -> list[Operation]:
    return [
        Operation(
            method="get",
            path=f"{prefix}/models",
            route=f"{prefix}/models",
            family=GEMINI,
            tag=GEMINI.name,
            summary="Models",
            says=wire.ModelList,
        ),
        Operation(
            method="get",
            path=f"{prefix}/models/{{model}}",
            route=f"{prefix}/models/{{model:path}}",
            family=GEMINI,
            tag=GEMINI.name,
            summary="One model",
            says=wire.ModelOut,
            parameters=("model",),
        ),
    ]


def _work(prefix: str) -> list[Operation]:
    def method(name: str, summary: str, model: str = "model", **more: Any) -> Operation:
        return Operation(
            method="post",
            path=f"{prefix}/models/{{model}}:{name}",
            route=f"{prefix}/models/{{model:path}}",
            family=GEMINI,
            tag=GEMINI.name,
            summary=summary,
            parameters=(model, *more.pop("parameters", ())),
            headers=(SIZES_HEADER.decode(),) if more.get("generates") else (),
            errors=WORK_ERRORS,
            **more,
        )

    marks = ("watermark", "watermarkHeader")
    return [
        method(
            "generateContent",
            "An answer",
            description="Text, function calls, JSON of a schema, or pictures." + _SPELLING,
            bodies=(wire.GenerateRequest,),
            examples=_GENERATE,
            says=wire.GenerateResponse,
            parameters=marks,
            generates=True,
        ),
        method(
            "streamGenerateContent",
            "An answer as it grows",
            description="A stream that breaks off ends with an error in place of a chunk." + _SPELLING,
            bodies=(wire.GenerateRequest,),
            examples=_GENERATE,
            media=(
                Media(EVENTS, event=wire.GenerateResponse),
                Media("application/json", event=wire.GenerateResponse),
            ),
            parameters=("alt", *marks),
            generates=True,
        ),
        method(
            "countTokens",
            "An estimate of a request's tokens",
            bodies=(wire.CountRequest,),
            examples={"contents": _HELLO, "request": {"generateContentRequest": _HELLO}},
            says=wire.CountResponse,
        ),
        method(
            "editImage",
            "A picture, changed",
            "imageModel",
            description="Takes the short form here, and a whole `generateContent` request with a picture in it."
            + _SPELLING,
            bodies=(wire.EditRequest, wire.GenerateRequest),
            examples={
                "short": {"prompt": "Make it green", "image": PIXEL},
                "objects": {
                    "prompt": "Make it green",
                    "images": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
                    "aspectRatio": "16:9",
                },
            },
            says=wire.GenerateResponse,
            parameters=marks,
            generates=True,
        ),
        method(
            "predict",
            "Pictures, as Google's SDKs ask Imagen for them",
            "imageModel",
            bodies=(wire.PredictRequest,),
            examples={
                "pictures": {"instances": [{"prompt": "A red kite"}], "parameters": {"sampleCount": 2}},
            },
            says=wire.PredictResponse,
            parameters=marks,
            generates=True,
        ),
    ]
