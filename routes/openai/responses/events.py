"""The events of one item of a response, in the order in which its stream has them. Pure.

at: the item's place in the output.
"""

from collections.abc import Iterator

from routes.openai.answers import pieces_of
from routes.openai.responses.wire import (
    CallItem,
    ImageCallItem,
    MessageItem,
    OutputRefusal,
    OutputText,
    ReasoningItem,
    StreamEvent,
    SummaryText,
)


def reasoning_begun(at: int, item: ReasoningItem) -> Iterator[StreamEvent]:
    yield StreamEvent("response.output_item.added", output_index=at, item=ReasoningItem(item.id, []))
    yield _summary("response.reasoning_summary_part.added", at, item, SummaryText(""))


def thought(at: int, item: ReasoningItem, delta: str) -> StreamEvent:
    return StreamEvent(
        "response.reasoning_summary_text.delta",
        item_id=item.id,
        output_index=at,
        summary_index=0,
        delta=delta,
    )


def reasoning_done(at: int, item: ReasoningItem) -> Iterator[StreamEvent]:
    [summary] = item.summary
    yield StreamEvent(
        "response.reasoning_summary_text.done",
        item_id=item.id,
        output_index=at,
        summary_index=0,
        text=summary.text,
    )
    yield _summary("response.reasoning_summary_part.done", at, item, summary)
    yield StreamEvent("response.output_item.done", output_index=at, item=item)


def _summary(kind: str, at: int, item: ReasoningItem, part: SummaryText) -> StreamEvent:
    return StreamEvent(kind, item_id=item.id, output_index=at, summary_index=0, part=part)


def message_begun(at: int, item: MessageItem, part: OutputText | OutputRefusal) -> Iterator[StreamEvent]:
    yield StreamEvent("response.output_item.added", output_index=at, item=MessageItem(item.id, []))
    yield _content("response.content_part.added", at, item, part)


def said(at: int, item: MessageItem, delta: str) -> StreamEvent:
    return StreamEvent(
        "response.output_text.delta",
        item_id=item.id,
        output_index=at,
        content_index=0,
        delta=delta,
        logprobs=[],
    )


def message_done(at: int, item: MessageItem) -> Iterator[StreamEvent]:
    [part] = item.content
    if isinstance(part, OutputText):
        yield StreamEvent(
            "response.output_text.done",
            item_id=item.id,
            output_index=at,
            content_index=0,
            text=part.text,
            logprobs=[],
        )
    yield _content("response.content_part.done", at, item, part)
    yield StreamEvent("response.output_item.done", output_index=at, item=item)


def _content(kind: str, at: int, item: MessageItem, part: OutputText | OutputRefusal) -> StreamEvent:
    return StreamEvent(kind, item_id=item.id, output_index=at, content_index=0, part=part)


def refused(at: int, item: MessageItem, words: str) -> Iterator[StreamEvent]:
    """Of a message whose only part is a refusal."""
    yield from message_begun(at, item, OutputRefusal(""))
    yield StreamEvent(
        "response.refusal.delta", item_id=item.id, output_index=at, content_index=0, delta=words
    )
    yield StreamEvent(
        "response.refusal.done", item_id=item.id, output_index=at, content_index=0, refusal=words
    )
    yield from message_done(at, item)


def called(at: int, item: CallItem) -> Iterator[StreamEvent]:
    """The name first, then the arguments in pieces."""
    begun = CallItem(item.id, item.call_id, item.name, "")
    yield StreamEvent("response.output_item.added", output_index=at, item=begun)
    for piece in pieces_of(item.arguments):
        yield StreamEvent(
            "response.function_call_arguments.delta", item_id=item.id, output_index=at, delta=piece
        )
    yield StreamEvent(
        "response.function_call_arguments.done",
        item_id=item.id,
        output_index=at,
        name=item.name,
        arguments=item.arguments,
    )
    yield StreamEvent("response.output_item.done", output_index=at, item=item)


def drawn(at: int, item: ImageCallItem) -> Iterator[StreamEvent]:
    yield StreamEvent("response.output_item.added", output_index=at, item=ImageCallItem(item.id))
    for step in ("in_progress", "completed"):
        yield StreamEvent(f"response.image_generation_call.{step}", item_id=item.id, output_index=at)
    yield StreamEvent("response.output_item.done", output_index=at, item=item)
