"""Gemini's answers."""

from collections.abc import Mapping
from typing import Any, Final

from routes.openapi.gemini import PIXEL
from routes.openapi.operations import EVENTS
from routes.openapi.shown.parts import JSON, SAID, Shown, as_events, as_json

_TOKENS = {"promptTokenCount": 5, "candidatesTokenCount": 14, "totalTokenCount": 19}


def _generated(*parts: Mapping[str, Any], **last: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [*parts]}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    return {
        "candidates": [candidate],
        "modelVersion": "gemini-2.5-pro",
        "responseId": "bAt93IMVEf9ZahH-V0sT9g",
        **last,
    }


GOOGLE_MODEL = {
    "name": "models/gemini-2.5-pro",
    "baseModelId": "gemini-2.5-pro",
    "version": "gemini-2.5-pro",
    "displayName": "Gemini 2.5 Pro",
    "description": "Thorough",
    "inputTokenLimit": 1048576,
    "outputTokenLimit": 65536,
    "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
}
_DRAWN_PART = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
_GREW = (
    _generated({"text": "Sunlight is scattered by the air, "}),
    _generated({"text": "blue light the most."}, usageMetadata=_TOKENS),
)
SHOWN: Final[Mapping[str, Shown]] = {
    "list": as_json(models={"models": [GOOGLE_MODEL]}),
    "": as_json(model=GOOGLE_MODEL),
    ":generateContent": as_json(
        text=_generated({"text": SAID}, usageMetadata=_TOKENS),
        function=_generated(
            {"functionCall": {"id": "call_0", "name": "weather", "args": {"city": "Oslo"}}},
            usageMetadata=_TOKENS,
        ),
        picture=_generated(_DRAWN_PART, usageMetadata=_TOKENS),
    ),
    ":streamGenerateContent": {
        EVENTS: {"text": as_events(*(("", chunk) for chunk in _GREW))},
        JSON: {"text": [*_GREW]},
    },
    ":countTokens": as_json(tokens={"totalTokens": 5}),
    ":editImage": as_json(picture=_generated(_DRAWN_PART, usageMetadata=_TOKENS)),
    ":predict": as_json(
        picture={"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": PIXEL}]},
    ),
}

"""By the method, `list` for all models and '' for one: the same under each prefix."""
