"""The short forms, and stored pictures."""

from typing import Any

from routes.openapi.gemini import PIXEL
from routes.openapi.openai import OPENAI
from routes.openapi.operations import WORK_ERRORS, Family, Media, Operation
from routes.plain import wire

PLAIN = Family("Short forms", "Plain", OPENAI.errors, OPENAI)
FILES = Family("Files", "Files", OPENAI.errors, OPENAI)

_BYTES = {"type": "string", "format": "binary"}


def operations() -> list[Operation]:
    return [*_short(), _file()]


def _short() -> list[Operation]:
    def work(path: str, summary: str, body: type, says: type, **more: Any) -> Operation:
        return Operation(
            method="post",
            path=path,
            route=path,
            family=PLAIN,
            tag=PLAIN.name,
            summary=summary,
            bodies=(body,),
            says=says,
            parameters=("watermark",),
            errors=WORK_ERRORS,
            generates=True,
            **more,
        )

    return [
        work(
            "/v1/generate",
            "Text of a prompt",
            wire.GenerateRequest,
            wire.GenerateResponse,
            examples={"text": {"prompt": "Why is the sky blue?"}},
        ),
        work(
            "/v1/generate-images",
            "Pictures of a prompt",
            wire.PicturesRequest,
            wire.PicturesResponse,
            description="With `image` it is changed.",
            examples={"links": {"prompt": "A red kite", "count": 2, "response_type": "url"}},
        ),
        work(
            "/v1/images/edit",
            "A picture, changed",
            wire.PicturesRequest,
            wire.PicturesResponse,
            form=wire.PicturesRequest,
            form_examples={
                "one": {"prompt": "Make it green", "image": PIXEL},
                "several": {"prompt": "Put both into one picture", "image[]": [PIXEL, PIXEL]},
            },
            examples={"base64": {"prompt": "Make it green", "image": PIXEL}},
        ),
        Operation(
            method="get",
            path="/api/models",
            route="/api/models",
            family=PLAIN,
            tag=PLAIN.name,
            summary="Models by what they make",
            description="Those that the key may ask. `default` and `default_image` are what is asked where no model is"
            " named; for a key that is not for these, the first of the category that it may ask, which it then has to"
            " name, or null.",
            says=wire.ModelList,
        ),
    ]


def _file() -> Operation:
    return Operation(
        method="get",
        path="/files/{name}",
        route="/files/{name:path}",
        family=FILES,
        tag=FILES.name,
        summary="A stored picture",
        description="Whoever has its link may read it: the name cannot be guessed, and an `<img>` sends no key.",
        access="open",
        media=(Media("image/*", schema=_BYTES),),
        same={206: "The range that was asked for."},
        empty={
            304: "The caller's copy is the same.",
            416: "The range lies beyond the file.",
        },
        parameters=("file", "range"),
        errors=(400, 404, 405, 431, 500),
    )
