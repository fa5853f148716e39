"""What examples of answers share. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from routes.openapi.gemini import PIXEL

Shown: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Examples by title, by media type."""

JSON: Final = "application/json"
AT: Final = 1795305600
SAID: Final = "Sunlight is scattered by the air, blue light the most."
LINK: Final = "https://gateway.example/files/20261122T000000Z_red-kite_5f0c.png"
DATA: Final = f"data:image/png;base64,{PIXEL}"


def as_json(**examples: Any) -> Shown:
    return {JSON: examples}


def as_events(*events: tuple[str, Any]) -> str:
    """A stream's beginning as it is sent: pairs of an event's name, '' for none, and its data."""
    return "".join(
        (f"event: {name}\n" if name else "")
        + f"data: {data if isinstance(data, str) else json.dumps(data, separators=(',', ':'))}\n\n"
        for name, data in events
    )
