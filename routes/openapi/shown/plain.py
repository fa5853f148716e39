"""Answers of the short forms."""

from collections.abc import Mapping
from typing import Final

from routes.openapi.shown.parts import DATA, LINK, SAID, Shown, as_json

SHOWN: Final[Mapping[tuple[str, str], Shown]] = {
    ("post", "/v1/generate"): as_json(text={"text": SAID, "model": "gemini-3-flash-preview"}),
    ("post", "/v1/generate-images"): as_json(
        links={"images": [LINK], "model": "gemini-3-pro-image-preview", "sizes": ["2048x2048"]}
    ),
    ("post", "/v1/images/edit"): as_json(
        base64={"images": [DATA], "model": "gemini-3-pro-image-preview", "sizes": ["2048x2048"]}
    ),
    ("get", "/api/models"): as_json(
        models={
            "models": [{"id": "gemini-2.5-pro", "name": "Gemini 2.5 Pro", "description": "Thorough"}],
            "categories": {"text": ["gemini-2.5-pro"], "image": ["gemini-3-pro-image-preview"]},
            "default": "gemini-3-flash-preview",
            "default_image": "gemini-3-pro-image-preview",
        }
    ),
}
