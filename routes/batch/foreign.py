"""Fields of other routes that batches cannot grant. To pass over them would make something else than was asked for. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidRequest

_PROMPTS = "Write all that the model should be told into each of 'prompts'."
_EDITS = "Batches make new pictures. Change pictures with POST /v1/images/edits."
_ONCE = "There is one result for each prompt. For more repeat the prompt in 'prompts'."
_EVENTS = "Leave it out, and watch the batch at GET /v1/batch/{id}/events."
_CHAT = "Ask POST /v1/chat/completions, prompt by prompt."
_ALONE = "Leave it out: each prompt is a conversation of its own."
_DRAWN = "It belongs to pictures, which POST /v1/batch/images makes."

_OF_BOTH: Final = {
    **dict.fromkeys(("prompt", "messages", "contents", "input", "system", "instructions"), _PROMPTS),
    "n": _ONCE,
    "stream": _EVENTS,
    **dict.fromkeys(("conversation", "previous_response_id", "previous_interaction_id"), _ALONE),
}
OF_IMAGES: Final[Mapping[str, str]] = {
    **_OF_BOTH,
    **dict.fromkeys(("image", "images", "mask"), _EDITS),
    "count": _ONCE,
}
"""The remedy by the name of the field."""
OF_CHAT: Final[Mapping[str, str]] = {
    **_OF_BOTH,
    **dict.fromkeys(
        ("tools", "functions", "response_format", "reasoning_effort", "modalities", "image", "images"), _CHAT
    ),
    **dict.fromkeys(
        (
            "response_type",
            "size",
            "aspect_ratio",
            "output_format",
            "output_compression",
            "upscale",
            "watermark",
        ),
        _DRAWN,
    ),
}


def refuse(value: Mapping[str, Any], remedies: Mapping[str, str]) -> None:
    """Raises `InvalidRequest` for a field that says something. Empty ones, and one result for each prompt, say nothing."""
    for field, remedy in remedies.items():
        given = value.get(field)
        if given is None or (given == 1 if remedy is _ONCE else not given):
            continue
        raise InvalidRequest(f"'{field}' is not granted to a batch. {remedy}", param=field)
