"""What the document says of single fields, beside what the wire structs say: their bounds, as the server holds them, and
what they are for. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from routes import drawing, wishes
from routes.gemini import tools as gemini_tools
from routes.gemini import translate as gemini
from routes.openai import tools, translate
from routes.openai.imagewire import RESPONSE_FORMATS
from routes.openai.responses import translate as responses
from routes.plain.pictures import RESPONSE_TYPES


class Fact(Struct, frozen=True):
    """text: a description. bounds: keywords by the JSON type that they bound, '' where the struct says no type. needed: it
    must be there, and must not be null."""

    text: str = ""
    bounds: Mapping[str, Mapping[str, Any]] = {}
    needed: bool = False


def with_facts(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a struct with what is known of its fields. Raises `LookupError` for a field or type that it lacks."""
    facts = FACTS.get(name)
    if facts is None:
        return schema
    properties, required = dict(schema["properties"]), list(schema.get("required", ()))
    for field, fact in facts.items():
        properties[field] = _bounded(properties[field], fact)
        if fact.needed and field not in required:
            required.append(field)
    return {**schema, "properties": properties, "required": required}


def _bounded(schema: Mapping[str, Any], fact: Fact) -> dict[str, Any]:
    found = dict(schema)
    ways = [dict(way) for way in found.get("anyOf", ())]
    for kind, keywords in fact.bounds.items():
        target = found if not kind else next((way for way in (found, *ways) if way.get("type") == kind), None)
        if target is None:
            raise LookupError(f"there is no {kind} in {schema}")
        target.update(keywords)
    if fact.needed:
        ways = [way for way in ways if way != {"type": "null"}]
        found.pop("default", None)
    if ways:
        found["anyOf"] = ways
    return {**found, "description": fact.text} if fact.text else found


def _words(*words: str) -> Mapping[str, Any]:
    return {"string": {"enum": list(words)}}


def _any_case(words: Iterable[str], *, blank: bool = True) -> Mapping[str, Any]:
    """Words that are taken in small and capital letters, with space around them; blank: or nothing at all."""
    spelled = ("".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word) for word in words)
    return {"string": {"pattern": rf"^\s*({'|'.join(spelled)}){'?' if blank else ''}\s*$"}}


def _from(least: int, most: int) -> Mapping[str, Any]:
    return {"integer": {"minimum": least, "maximum": most}}


_NEVER = {"string": {"maxLength": 0}}
_NULL: Mapping[str, Any] = {"": {"type": "null"}}
_OBJECT: Mapping[str, Any] = {"": {"type": ["object", "null"]}}
_MODEL = Fact("One of `GET /v1/models`; without it the gateway's default.")
_CONVERSATION = "`sticky` goes on in one chat of one account, `temporary` leaves nothing there; without it the key's or the gateway's way."
_CHAT_MODE = Fact(_CONVERSATION, {"": {"enum": ["sticky", "temporary", None]}})
_CHOICE = Fact("`auto`, `none`, `required`, one function, or `allowed_tools`.", _words(*tools.MODES))
_STREAM = Fact("Answer with server-sent events as the answer grows.")
_TEXT = {"string": {"pattern": r"\S"}}
_PROMPT = Fact(
    "What is to be seen.", {"string": {"pattern": r"\S", "maxLength": drawing.MAX_PROMPT}}, needed=True
)
_NAME = Fact("Of the function.", {"string": {"pattern": f"^{tools.NAME.pattern}$"}})
_SCHEMA = Fact("JSON Schema of the arguments, an object.", _OBJECT)
_SHAPE = {
    "type": Fact(
        "`json_schema` with the schema that the answer keeps.", _words("text", "json_object", "json_schema")
    ),
}
_ASPECT = Fact(f"One of {', '.join(wishes.ASPECTS)}, or `auto`.")
_SIZE = Fact("`auto`, pixels such as `1536x1024`, `1K`, `2K`, `4K`, or a ratio such as `16:9`.")
_LABEL = Fact("`1K`, `2K` or `4K`.", _any_case(("auto", "1K", "2K", "4K")))
_COUNT = Fact("How many pictures.", _from(1, wishes.MAX_PICTURES))
_CANDIDATES = Fact("How many answers.", _from(1, gemini.MAX_CANDIDATES))
_PICTURE = {
    "prompt": _PROMPT,
    "model": _MODEL,
    "size": _SIZE,
    "aspect_ratio": _ASPECT,
    "output_format": Fact(
        "`png`, `jpeg` or `webp`; without it as the picture was made.", _any_case(wishes.FORMATS)
    ),
    "output_compression": Fact("The quality of JPEG and WebP; 100 is the best.", _from(0, 100)),
    "upscale": Fact("Enlarge to the size that was asked for where the picture is smaller."),
    "watermark": Fact("`remove` (the default) or `keep`.", _any_case(("keep", "remove"))),
    "n": _COUNT,
}
_OPENAI_PICTURE = {
    **_PICTURE,
    "response_format": Fact("`b64_json` (the default) or `url`.", _any_case(RESPONSE_FORMATS)),
    "stream": _STREAM,
}

_CONCURRENCY = Fact(
    "How many of its tasks may run at once, up to the gateway's bound.", {"integer": {"minimum": 1}}
)

FACTS: Mapping[str, Mapping[str, Fact]] = {
    "OpenAIChatRequest": {
        "messages": Fact("The whole conversation, oldest first.", {"array": {"minItems": 1}}),
        "model": _MODEL,
        "stream": _STREAM,
        "n": Fact("How many answers.", _from(1, translate.MAX_CHOICES)),
        "reasoning_effort": Fact("`medium` and above think for longer; any word is taken."),
        "tools": Fact("Functions that may be called."),
        "tool_choice": _CHOICE,
        "functions": Fact("As `tools` were written before there were any."),
        "function_call": Fact(
            "`auto`, `none` or one function; read where there is no `tool_choice`.", _words("auto", "none")
        ),
        "response_format": Fact("JSON instead of words."),
        "modalities": Fact("`text`, `image` or both; with `image` the answer holds a picture."),
        "previous_response_id": Fact("Not supported here; see `/v1/responses`.", _NEVER),
        "previous_interaction_id": Fact("Not supported here.", _NEVER),
        "conversation": _CHAT_MODE,
    },
    "OpenAIChatMessage": {
        "role": Fact("Who says it.", _words(*translate.ROLES)),
        "content": Fact("Text, or parts: text, pictures, files."),
    },
    "OpenAIContentPart": {"type": Fact("", _words("text", "refusal", "image_url", "file"))},
    "OpenAIToolIn": {"type": Fact("", _words("function"))},
    "OpenAIFunctionIn": {"name": _NAME, "parameters": _SCHEMA},
    "OpenAIResponseFormat": _SHAPE,
    "OpenAIImageConfig": {"aspect_ratio": _ASPECT, "image_size": _LABEL},
    "OpenAIResponseRequest": {
        "input": Fact(
            "Text, or items: messages, calls and their results.",
            {"string": {"minLength": 1}, "array": {"minItems": 1}},
            needed=True,
        ),
        "model": _MODEL,
        "instructions": Fact("A system message for this answer alone."),
        "stream": _STREAM,
        "tools": Fact("Functions, and `image_generation`."),
        "tool_choice": _CHOICE,
        "text": Fact("`format` asks for JSON instead of words."),
        "previous_response_id": Fact("The response that this one goes on from."),
        "background": Fact("Not supported.", {"boolean": {"const": False}}),
        "conversation": _CHAT_MODE,
        "prompt": Fact("Not supported: no templates are stored.", _NULL),
        "response_format": Fact("A field of chat completions; use `text.format`.", _NULL),
        "store": Fact("`false`: it cannot be gone on from."),
    },
    "OpenAIItem": {
        "type": Fact(
            "`message` where nothing is said.",
            _words(
                "message",
                "function_call",
                "function_call_output",
                "item_reference",
                "reasoning",
                "image_generation_call",
            ),
        ),
        "role": Fact("Of a message.", _words(*responses.ROLES)),
    },
    "OpenAIPart": {
        "type": Fact("", _words("input_text", "output_text", "text", "refusal", "input_image", "input_file"))
    },
    "OpenAIResponsesToolIn": {"type": Fact("", _words("function", responses.DRAWS))},
    "OpenAITextFormat": _SHAPE,
    "OpenAIReasoningIn": {"effort": Fact("`medium` and above think for longer; any word is taken.")},
    "OpenAIEditRequest": _OPENAI_PICTURE,
    "OpenAIImageRequest": _OPENAI_PICTURE,
    "PlainGenerateRequest": {"prompt": Fact("What is asked.", _TEXT), "model": _MODEL},
    "PlainPicturesRequest": {
        **_PICTURE,
        "count": _COUNT,
        "n": Fact("As `count`, which goes before it.", _COUNT.bounds),
        "response_type": Fact("How the pictures are given back.", _any_case(RESPONSE_TYPES)),
    },
    "BatchImagesRequest": {
        **{name: fact for name, fact in _PICTURE.items() if name not in ("prompt", "n")},
        "prompts": Fact(
            "What is to be seen on each picture.",
            {"array": {"minItems": 1, "items": {"type": "string", **_PROMPT.bounds["string"]}}},
        ),
        "concurrency": _CONCURRENCY,
        "response_type": Fact(
            "How the pictures are given back: `url` (the default) or `base64`.", _any_case(RESPONSE_TYPES)
        ),
        "response_format": Fact(
            "`url` or `b64_json`, as OpenAI says it; read where there is no `response_type`.",
            _any_case(RESPONSE_FORMATS),
        ),
    },
    "BatchChatRequest": {
        "prompts": Fact(
            "What is asked.", {"array": {"minItems": 1, "items": {"type": "string", **_TEXT["string"]}}}
        ),
        "concurrency": _CONCURRENCY,
        "model": _MODEL,
    },
    "GeminiGenerateRequest": {
        "contents": Fact("The whole conversation, oldest first.", {"array": {"minItems": 1}}, needed=True),
        "conversation": Fact(_CONVERSATION, _words("sticky", "temporary")),
        "cachedContent": Fact("Not supported: nothing is stored here.", _NEVER),
        "previousInteractionId": Fact("Not supported: nothing is stored here.", _NEVER),
    },
    "GeminiContent": {"role": Fact("`user` where nothing is said.", _words("", *gemini.ROLES))},
    "GeminiGenerationConfig": {
        "candidateCount": _CANDIDATES,
        "responseMimeType": Fact("`text/plain`, `application/json` or `text/x.enum`."),
        "responseSchema": Fact("Google's subset of OpenAPI."),
        "responseJsonSchema": Fact("JSON Schema; not beside `responseSchema`."),
    },
    "GeminiImageConfig": {"aspectRatio": _ASPECT, "imageSize": _LABEL},
    "GeminiFunctionDeclaration": {
        "name": Fact("Of the function.", {"string": {"pattern": f"^{gemini_tools.NAME.pattern}$"}})
    },
    "GeminiFunctionCallingConfig": {
        "mode": Fact(
            "`AUTO` where nothing is said.",
            {
                "string": {
                    "pattern": "^$|"
                    + _any_case((*gemini_tools.MODES, "MODE_UNSPECIFIED"), blank=False)["string"]["pattern"]
                }
            },
        )
    },
    "GeminiEditRequest": {
        "prompt": _PROMPT,
        "aspectRatio": _ASPECT,
        "imageSize": _LABEL,
        "candidateCount": _CANDIDATES,
    },
    "GeminiPredictRequest": {
        "instances": Fact("Exactly one.", {"array": {"minItems": 1, "maxItems": 1}}),
    },
    "GeminiInstance": {"prompt": _PROMPT},
    "GeminiPredictParameters": {
        "sampleCount": _COUNT,
        "aspectRatio": _ASPECT,
        "imageSize": _LABEL,
        "sampleImageSize": Fact("`1K`, `2K` or `4K`; read where there is no `imageSize`.", _LABEL.bounds),
    },
}
"""By the name of a struct in the document and the name of its field."""
