"""Bodies of the short forms."""

from msgspec import Struct


class GenerateRequest(Struct):
    prompt: str
    model: str | None = None


class GenerateResponse(Struct):
    text: str
    model: str


class ModelOut(Struct):
    id: str
    name: str
    description: str


class Categories(Struct):
    text: list[str]
    image: list[str]


class ModelList(Struct):
    models: list[ModelOut]
    categories: Categories
    default: str
