"""The engine's answers in Gemini's wire format. Pure."""

import msgspec

from core.chat import Answer, Delta, FinishReason, ModelInfo, Picture, ToolCall, Usage
from routes.gemini import wire
from routes.inline import Inline

INPUT_TOKEN_LIMIT = 1_048_576
OUTPUT_TOKEN_LIMIT = 65_536
METHODS = ["generateContent", "streamGenerateContent", "countTokens"]
PICTURE_METHODS = ["editImage", "predict"]

FINISH = {
    FinishReason.STOP: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.REFUSAL: "OTHER",
}


def usage_of(usages: list[Usage]) -> wire.UsageMetadata:
    """The sum over all candidates."""
    thoughts = sum(usage.thoughts for usage in usages)
    out = wire.UsageMetadata(
        prompt_token_count=sum(usage.prompt for usage in usages),
        candidates_token_count=sum(usage.completion for usage in usages),
        total_token_count=sum(usage.total for usage in usages),
    )
    if thoughts:
        out.thoughts_token_count = thoughts
    return out


def candidate_of(index: int, answer: Answer, *, show_thoughts: bool) -> wire.Candidate:
    parts: list[wire.PartOut] = []
    if show_thoughts and answer.thoughts:
        parts.append(wire.PartOut(text=answer.thoughts, thought=True))
    pictures = [picture_part(picture) for picture in answer.pictures]
    calls = [call_part(call) for call in answer.calls]
    if answer.text or not (pictures or calls):
        parts.append(wire.PartOut(text=answer.text))
    return wire.Candidate(
        content=wire.ContentOut(parts=parts + pictures + calls),
        index=index,
        finish_reason=FINISH[answer.finish.reason],
    )


def delta_parts(delta: Delta, *, show_thoughts: bool) -> list[wire.PartOut]:
    parts: list[wire.PartOut] = []
    if show_thoughts and delta.thoughts:
        parts.append(wire.PartOut(text=delta.thoughts, thought=True))
    if delta.text:
        parts.append(wire.PartOut(text=delta.text))
    return parts


def call_part(call: ToolCall) -> wire.PartOut:
    args = msgspec.json.decode(call.arguments)
    return wire.PartOut(function_call=wire.FunctionCallPart(name=call.name, args=args, id=call.id))


def picture_part(picture: Picture) -> wire.PartOut:
    return wire.PartOut(inline_data=wire.InlineDataOut(mime_type=picture.mime, data=Inline(picture.data)))


def model_of(info: ModelInfo) -> wire.ModelOut:
    return wire.ModelOut(
        name=f"models/{info.id}",
        base_model_id=info.id,
        version=info.id,
        display_name=info.name,
        description=info.description,
        input_token_limit=INPUT_TOKEN_LIMIT,
        output_token_limit=OUTPUT_TOKEN_LIMIT,
        supported_generation_methods=METHODS + (PICTURE_METHODS if info.category == "image" else []),
    )
