"""Names of models. The gateway's public names stand for upstream names in an order of preference; the
names that the accounts themselves offer may be asked for as they are. All pure.

A lane is what an account is asked for: an upstream model's canonical name (`gemini-flash`), or `default`
for whatever the account uses when no model is named.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct

from core.chat import ModelInfo
from pool.upstream import Offered

DEFAULT_LANE = "default"


class PublicModel(Struct, frozen=True):
    """A public name. `upstream` holds canonical names or aliases in order of preference, or `default`.

    pixels: the long side of its pictures where a request names no size (1024, 2048 or 4096)."""

    id: str
    upstream: tuple[str, ...]
    name: str = ""
    description: str = ""
    category: Literal["text", "image"] = "text"
    pixels: int = 1024


def resolve(table: Sequence[PublicModel], offered: Sequence[Offered], name: str) -> tuple[str, ...] | None:
    """The lanes that `name` stands for, in order of preference; None where nobody knows the name.

    Matches are exact but for case: no guessing. A public name that no account offers keeps the names of
    its table, which no account serves (yet).
    """
    wanted = name.lower()
    for model in table:
        if model.id.lower() == wanted:
            lanes = _lanes(model, offered)
            return lanes or tuple(dict.fromkeys(alias.lower() for alias in model.upstream))
    named = _named(offered, wanted)
    return tuple(dict.fromkeys(named)) or None


def lanes_of(
    table: Sequence[PublicModel], offered: Sequence[Offered], allowed: Iterable[str]
) -> tuple[str, ...]:
    """The lanes that an account serves: its own models and `default`, as far as its allow-list goes.

    A pattern of the list (`*` stands for anything) is held against the upstream name, its aliases, and
    every public name that the lane serves. `default` is also allowed where the model behind it (the
    first that the account offers) is.
    """
    patterns = [re.compile(".*".join(map(re.escape, p.lower().split("*")))) for p in allowed]

    def fits(names: Iterable[str]) -> bool:
        return any(pattern.fullmatch(name.lower()) for name in names for pattern in patterns)

    public: dict[str, set[str]] = {}
    for model in table:
        for lane in _lanes(model, offered):
            public.setdefault(lane, set()).add(model.id)
    lanes = [
        model.name for model in offered if fits({model.name, *model.aliases, *public.get(model.name, ())})
    ]
    behind_default = offered[0].name in lanes if offered else False
    if behind_default or fits({DEFAULT_LANE, *public.get(DEFAULT_LANE, ())}):
        lanes.append(DEFAULT_LANE)
    return tuple(lane for lane in dict.fromkeys(lanes) if lane and "\n" not in lane)


def public_names(table: Sequence[PublicModel], offered_json: str, lanes: Sequence[str]) -> tuple[str, ...]:
    """The public models that an account with these lanes serves. offered_json: what it offers, as the store keeps it."""
    return _public_names(tuple(table), offered_json, tuple(lanes))


def offered_of(offered_json: str) -> tuple[Offered, ...]:
    """What an account offers, as the store keeps it; nothing where another version wrote it in another way."""
    try:
        return msgspec.json.decode(offered_json or "[]", type=tuple[Offered, ...])
    except msgspec.DecodeError:
        return ()


@lru_cache(maxsize=256)  # most accounts offer the same, and all are looked at again and again
def _public_names(
    table: tuple[PublicModel, ...], offered_json: str, lanes: tuple[str, ...]
) -> tuple[str, ...]:
    offered = offered_of(offered_json)
    return tuple(model.id for model in table if any(lane in lanes for lane in _lanes(model, offered)))


def catalogue(table: Sequence[PublicModel], offered: Sequence[Offered]) -> tuple[ModelInfo, ...]:
    """The public models, then the accounts' own under their canonical names."""
    infos = [ModelInfo(m.id, m.name or m.id, m.description, m.category, pixels=m.pixels) for m in table]
    seen = {info.id.lower() for info in infos}
    for model in offered:
        if model.name.lower() not in seen:
            seen.add(model.name.lower())
            infos.append(
                ModelInfo(model.name, model.display_name or model.name, model.description, "text", True)
            )
    return tuple(infos)


def _lanes(model: PublicModel, offered: Sequence[Offered]) -> tuple[str, ...]:
    lanes: list[str] = []
    for alias in model.upstream:
        if alias.lower() == DEFAULT_LANE:
            lanes.append(DEFAULT_LANE)
        else:
            lanes += _named(offered, alias.lower())
    return tuple(dict.fromkeys(lanes))


def _named(offered: Sequence[Offered], wanted: str) -> list[str]:
    return [m.name for m in offered if m.name.lower() == wanted or wanted in m.aliases]
