"""The engine's answers as OpenAI's chat completions. Pure."""

from collections.abc import Callable

from core.chat import Answer, FinishReason, Picture, ToolCall, Usage
from routes import markdown
from routes.inline import Inline
from routes.openai.wire import (
    AssistantMessage,
    Choice,
    CompletionDetails,
    FunctionOut,
    ImageOut,
    ImageUrlOut,
    ToolCallOut,
    UsageOut,
)

PIECE = 256
"""Characters of a call's arguments in one chunk of a stream."""


def usage_of(usages: list[Usage]) -> UsageOut:
    """The sum over all choices. OpenAI counts thoughts as part of the completion."""
    prompt = sum(usage.prompt for usage in usages)
    thoughts = sum(usage.thoughts for usage in usages)
    completion = sum(usage.completion for usage in usages) + thoughts
    return UsageOut(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        completion_tokens_details=CompletionDetails(reasoning_tokens=thoughts),
    )


def choice_of(index: int, answer: Answer, absolute: Callable[[str], str], *, legacy: bool = False) -> Choice:
    """legacy: the caller offered `functions`, so the call stands in `function_call`."""
    text = markdown.with_pictures(answer.text, answer.pictures, absolute)
    reason = answer.finish.reason
    message = AssistantMessage(content=text)
    if reason is FinishReason.REFUSAL:
        message.content, message.refusal = None, text
    elif answer.calls and not text:
        message.content = None
    if answer.thoughts:
        message.reasoning_content = answer.thoughts
    if images := [image_of(picture) for picture in answer.pictures]:
        message.images = images
    if answer.calls and legacy:
        message.function_call = FunctionOut(answer.calls[0].arguments, answer.calls[0].name)
    elif answer.calls:
        message.tool_calls = [_call_of(call) for call in answer.calls]
    return Choice(index=index, message=message, finish_reason=finish_of(reason, legacy=legacy))


def _call_of(call: ToolCall) -> ToolCallOut:
    return ToolCallOut(call.id, FunctionOut(call.arguments, call.name))


def finish_of(reason: FinishReason, *, legacy: bool = False) -> str:
    """A refusal stands in a field of its own, and ends as any answer."""
    if reason is FinishReason.TOOL_CALLS and legacy:
        return "function_call"
    return FinishReason.STOP.value if reason is FinishReason.REFUSAL else reason.value


def image_of(picture: Picture) -> ImageOut:
    return ImageOut(image_url=ImageUrlOut(url=Inline.data_url(picture.data, picture.mime)))


def pieces_of(arguments: str) -> list[str]:
    """A call's arguments as they are streamed."""
    return [arguments[at : at + PIECE] for at in range(0, len(arguments), PIECE)]
