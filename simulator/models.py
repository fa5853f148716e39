"""The models of the web app and what an account's tier makes of them."""

from msgspec import Struct

from simulator.config import ControlError, Tier


class Model(Struct, frozen=True):
    """One row. number: the model number of the request. action: its number in the quota RPC."""

    id: str
    category: str
    display: str
    description: str
    number: int
    action: int

    @property
    def names(self) -> tuple[str, ...]:
        """What a fault may call it, lower case."""
        slug = self.category.lower().replace(" ", "-")
        return (self.id, self.category.lower(), self.display.lower(), slug, f"gemini-{slug}")

    def row(self) -> list[object]:
        row: list[object] = [None] * 18
        row[0], row[1], row[2] = self.id, self.category, self.description
        row[10], row[11], row[12], row[17] = self.category, self.display, self.description, self.number
        return row


def _models(flash: str, thinking: str, pro: str) -> tuple[Model, ...]:
    return (
        Model(flash, "Flash", "3 Flash", "Answers quickly", 1, 11),
        Model(thinking, "Flash Thinking", "3 Flash Thinking", "Solves complex problems", 2, 15),
        Model(pro, "Pro", "3 Pro", "Thinks longer about advanced maths and code", 3, 4),
    )


_BASIC = _models("fbb127bbb056c959", "5bf011840784117a", "9d8ca3786ebdfbea")
_PAID = _models("56fdd199312815e2", "e051ce1aa80aa576", "e6fa609c3fa255c0")


class Plan(Struct, frozen=True):
    """What a tier shows: the status RPC's flags, the header's capacity, the usage RPC's tier id."""

    tier_flags: list[int]
    capability_flags: list[int]
    capacity: int
    usage_tier: int
    models: tuple[Model, ...]


PLANS: dict[Tier, Plan] = {
    "free": Plan([], [], 1, 1, _BASIC),
    "pro": Plan([8], [19], 2, 2, _PAID),
    "ultra": Plan([16], [106], 3, 3, _PAID),
    "plus": Plan([], [115], 4, 4, _PAID),
}


def offered(tier: Tier, categories: tuple[str, ...]) -> tuple[Model, ...]:
    """The tier's models, the default first, narrowed to `categories` where any are given."""
    models = PLANS[tier].models
    if not categories:
        return models
    known = {m.category for m in models}
    if unknown := [c for c in categories if c not in known]:
        raise ControlError(f"models: {unknown[0]!r} is none of {', '.join(sorted(known))}")
    return tuple(m for m in models if m.category in categories)
