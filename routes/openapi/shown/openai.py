"""OpenAI's answers."""

from collections.abc import Mapping
from typing import Any, Final

from routes.openapi.gemini import PIXEL
from routes.openapi.operations import EVENTS
from routes.openapi.shown.gemini import GOOGLE_MODEL
from routes.openapi.shown.parts import AT, JSON, LINK, SAID, Shown, as_events, as_json

_USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 14,
    "total_tokens": 19,
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def _completion(message: Mapping[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    said = {"role": "assistant", "refusal": None, **message}
    return {
        "id": "chatcmpl-9f62b5618d1452de11a66a5b",
        "object": "chat.completion",
        "created": AT,
        "model": "gemini-3-flash-preview",
        "choices": [{"index": 0, "message": said, "finish_reason": finish_reason, "logprobs": None}],
        "usage": _USAGE,
    }


def _chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-9f62b5618d1452de11a66a5b",
        "object": "chat.completion.chunk",
        "created": AT,
        "model": "gemini-3-flash-preview",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


_CALL = {
    "id": "call_0",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
}
_RESPONSE: dict[str, Any] = {
    "id": "resp_a12b8501079b874bbb3897eedec7f824",
    "object": "response",
    "created_at": AT,
    "status": "completed",
    "background": False,
    "completed_at": AT + 2,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "model": "gemini-3-flash-preview",
    "output": [
        {
            "type": "message",
            "id": "msg_a12b8501079b874bbb3897eedec7f824_0",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": SAID, "annotations": [], "logprobs": []}],
        }
    ],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 14,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 19,
    },
    "user": None,
}
_BEGUN = {**_RESPONSE, "status": "in_progress", "completed_at": None, "output": [], "usage": None}
_PART = {"item_id": "msg_a12b8501079b874bbb3897eedec7f824_0", "output_index": 0, "content_index": 0}
_PICTURES: dict[str, Any] = {
    "created": AT,
    "data": [
        {
            "b64_json": PIXEL,
            "size": "1024x1024",
            "width": 1024,
            "height": 1024,
            "resolution": "1K",
            "mime_type": "image/png",
            "watermark": "removed",
        }
    ],
    "usage": {
        "input_tokens": 3,
        "output_tokens": 258,
        "total_tokens": 261,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 3},
        "output_tokens_details": {"image_tokens": 258, "text_tokens": 0},
    },
    "output_format": "png",
    "size": "1024x1024",
}
_LINKED = {
    **_PICTURES,
    "data": [
        {name: value for name, value in _PICTURES["data"][0].items() if name != "b64_json"} | {"url": LINK}
    ],
}
_DRAWN = {
    "b64_json": PIXEL,
    "created_at": AT,
    "size": "1024x1024",
    "output_format": "png",
    "background": "auto",
    "quality": "auto",
    "usage": _PICTURES["usage"],
    "resolution": "1K",
    "watermark": "removed",
}
_MODEL = {"id": "gemini-2.5-pro", "object": "model", "created": AT, "owned_by": "google"}


SHOWN: Final[Mapping[tuple[str, str], Shown]] = {
    ("post", "/v1/chat/completions"): {
        JSON: {
            "text": _completion({"content": SAID}),
            "functions": _completion({"content": None, "tool_calls": [_CALL]}, "tool_calls"),
        },
        EVENTS: {
            "stream": as_events(
                ("", _chunk({"role": "assistant", "content": "Sunlight is scattered"})),
                ("", _chunk({"content": " by the air, blue light the most."})),
                ("", _chunk({}, "stop")),
                ("", {**_chunk({}), "choices": [], "usage": _USAGE}),
                ("", "[DONE]"),
            )
        },
    },
    ("post", "/v1/responses"): {
        JSON: {"text": _RESPONSE},
        EVENTS: {
            "stream": as_events(
                ("response.created", {"type": "response.created", "sequence_number": 0, "response": _BEGUN}),
                (
                    "response.output_text.delta",
                    {
                        "type": "response.output_text.delta",
                        "sequence_number": 4,
                        "delta": SAID,
                        "logprobs": [],
                        **_PART,
                    },
                ),
                (
                    "response.completed",
                    {"type": "response.completed", "sequence_number": 8, "response": _RESPONSE},
                ),
            )
        },
    },
    ("get", "/v1/models"): as_json(
        OpenAI={"object": "list", "data": [_MODEL]}, Gemini={"models": [GOOGLE_MODEL]}
    ),
    ("get", "/v1/models/{model}"): as_json(OpenAI=_MODEL, Gemini=GOOGLE_MODEL),
    ("post", "/v1/images/generations"): {
        JSON: {"picture": _PICTURES, "links": _LINKED},
        EVENTS: {
            "stream": as_events(
                ("image_generation.completed", {"type": "image_generation.completed", **_DRAWN})
            )
        },
    },
    ("post", "/v1/images/edits"): {
        JSON: {"picture": _PICTURES},
        EVENTS: {"stream": as_events(("image_edit.completed", {"type": "image_edit.completed", **_DRAWN}))},
    },
}
