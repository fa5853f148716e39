"""The public names of models, and the web app's names that stand behind each."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from gateway.values import Kind, parse_list

Category: TypeAlias = Literal["text", "image"]


class Model(Struct, frozen=True):
    """A public model. `upstream`: the web app's names for it in order of preference, `default` being
    whatever an account uses by default. `pixels`: the long side of its pictures where a request names no size."""

    upstream: tuple[str, ...]
    name: str
    description: str
    category: Category = "text"
    pixels: int = 1024


SHIPPED_MODELS: Mapping[str, Model] = {
    "gemini-3-flash-preview": Model(
        ("gemini-3-flash", "gemini-flash", "default"), "Gemini 3 Flash", "Fast all-rounder"
    ),
    "gemini-2.5-flash": Model(
        ("gemini-2.5-flash", "gemini-flash", "default"),
        "Gemini 2.5 Flash",
        "The older name of the fast model; newer ones answer where it is gone",
    ),
    "gemini-2.5-pro": Model(
        ("gemini-2.5-pro", "gemini-pro"),
        "Gemini 2.5 Pro",
        "The older name of the strong model; newer ones answer where it is gone",
    ),
    "gemini-3.0-pro": Model(
        ("gemini-3-pro", "gemini-pro"), "Gemini 3 Pro", "Strong reasoning, slower and scarcer"
    ),
    "gemini-2.5-flash-image": Model(
        ("gemini-flash", "default"), "Gemini 2.5 Flash Image", "Pictures of up to 1K", "image", 1024
    ),
    "gemini-3-pro-image-preview": Model(
        ("gemini-3-pro", "gemini-pro", "default"), "Gemini 3 Pro Image", "Pictures of up to 2K", "image", 2048
    ),
    "gemini-3-pro-image-preview-2k": Model(
        ("gemini-3-pro", "gemini-pro", "default"),
        "Gemini 3 Pro Image 2K",
        "Pictures of up to 2K",
        "image",
        2048,
    ),
    "gemini-3-pro-image-preview-4k": Model(
        ("gemini-3-pro", "gemini-pro", "default"),
        "Gemini 3 Pro Image 4K",
        "Pictures of up to 4K",
        "image",
        4096,
    ),
}

_PIXELS = {"1024": 1024, "1k": 1024, "2048": 2048, "2k": 2048, "4096": 4096, "4k": 4096}
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def _upstream(model: str, raw: object) -> tuple[str, ...]:
    try:
        names = parse_list(raw)
    except ValueError:
        names = ()
    if not names:
        raise ValueError(f"{model} needs a list of upstream names")
    return names


def _model(name: str, raw: object) -> Model:
    if not isinstance(raw, Mapping):
        return Model(_upstream(name, raw), name, "")
    unknown = [str(key) for key in raw if key not in Model.__struct_fields__]
    if unknown:
        raise ValueError(f"{name}.{unknown[0]} is unknown; a model has {', '.join(Model.__struct_fields__)}")
    category = raw.get("category", "text")
    if category not in ("text", "image"):
        raise ValueError(f"{name}.category must be text or image")
    pixels = _PIXELS.get(str(raw.get("pixels", 1024)).lower())
    if pixels is None:
        raise ValueError(f"{name}.pixels must be 1024, 2048 or 4096")
    return Model(
        _upstream(name, raw.get("upstream")),
        str(raw.get("name", name)),
        str(raw.get("description", "")),
        category,
        pixels,
    )


def parse_models(raw: object) -> Mapping[str, Model]:
    """The shipped table with the given names added, replaced, or (where null) taken out."""
    if isinstance(raw, str):
        raw = _json(raw)
    if not isinstance(raw, Mapping):
        raise ValueError
    table = dict(SHIPPED_MODELS)
    for key, value in raw.items():
        name = str(key)
        if not _MODEL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no model name")
        if value is None:
            table.pop(name, None)
        else:
            table[name] = _model(name, value)
    return table


def _json(raw: str) -> object:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None


MODELS: Kind[Mapping[str, Model]] = Kind(
    "a table of models",
    "Map each public name to upstream names, as in my-model: [gemini-pro], or to"
    " {upstream, name, description, category, pixels}.",
    parse_models,
    lambda table: ", ".join(f"{name} -> {' / '.join(model.upstream)}" for name, model in table.items()),
)
