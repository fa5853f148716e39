"""The engine's events as items of a response, and as the events of its stream. Pure.

Both come from one place: a whole answer is taken as the events that it would have been streamed in.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

from core.chat import (
    Answer,
    Blob,
    Delta,
    Event,
    Finish,
    FinishReason,
    Message,
    Part,
    Picture,
    Text,
    ToolCall,
    Usage,
)
from routes.inline import Inline
from routes.markdown import picture_text
from routes.openai.answers import pieces_of
from routes.openai.responses import recall
from routes.openai.responses.wire import (
    CallItem,
    ImageCallItem,
    MessageItem,
    OutputDetails,
    OutputRefusal,
    OutputText,
    ReasoningItem,
    ResponseUsage,
    StreamEvent,
    SummaryText,
)

OutputItem: TypeAlias = MessageItem | ReasoningItem | CallItem | ImageCallItem
ItemT = TypeVar("ItemT", MessageItem, ReasoningItem, CallItem, ImageCallItem)


class Output:
    """The items of one response, as they grow.

    key: what the ids of its items have in common with its own. shaped: text is held until the end, which alone tells
    whether it is what was asked for or a refusal. image_items: pictures are items of their own besides their links.
    """

    def __init__(
        self,
        key: str,
        *,
        shaped: bool = False,
        image_items: bool = False,
        absolute: Callable[[str], str] = str,
    ) -> None:
        self.items: list[OutputItem] = []
        self._key = key
        self._shaped = shaped
        self._image_items = image_items
        self._absolute = absolute
        self._reasoning: tuple[int, ReasoningItem] | None = None
        self._message: tuple[int, MessageItem] | None = None
        self._text = ""
        self._thoughts = ""
        self._late_thoughts = ""
        self._counts: dict[str, int] = {}
        self._calls: list[ToolCall] = []
        self._pictures: list[Picture] = []
        self._said: list[str] = []

    def take(self, event: Event) -> Iterator[StreamEvent]:
        """The stream's events for one of the engine's."""
        if isinstance(event, Delta):
            if event.thoughts:
                yield from self._think(event.thoughts)
            if event.text:
                yield from self._say(event.text)
        elif isinstance(event, Picture):
            self._pictures.append(event)
            yield from self._say(picture_text(event, self._absolute, after=any(self._said)))
        elif isinstance(event, ToolCall):
            yield from self._call(event)
        else:
            yield from self._finish(event.reason)

    @property
    def message(self) -> Message:
        """The answer as clients send it back."""
        said = "".join(self._said)
        parts: list[Part] = [Text(said)] if said else []
        parts += [Blob(picture.data, picture.mime) for picture in self._pictures if not picture.link]
        return Message("assistant", tuple(parts), tool_calls=tuple(self._calls))

    def _id(self, kind: str) -> str:
        n = self._counts[kind] = self._counts.get(kind, -1) + 1
        return recall.item_id(kind, self._key, n)

    def _think(self, thoughts: str) -> Iterator[StreamEvent]:
        if self._reasoning is None and self.items:
            # An item that has ended is not opened again; what was thought after it is told at the end.
            self._late_thoughts += thoughts
            return
        if (opened := self._reasoning) is None:
            opened = self._reasoning = self._new(ReasoningItem(self._id("rs"), []))
            yield from _reasoning_begun(*opened)
        at, item = opened
        self._thoughts += thoughts
        yield StreamEvent(
            "response.reasoning_summary_text.delta",
            item_id=item.id,
            output_index=at,
            summary_index=0,
            delta=thoughts,
        )

    def _new(self, item: ItemT) -> tuple[int, ItemT]:
        self.items.append(item)
        return len(self.items) - 1, item

    def _close_reasoning(self) -> Iterator[StreamEvent]:
        if self._reasoning is None:
            return
        at, item = self._reasoning
        self._reasoning = None
        thoughts, self._thoughts = self._thoughts, ""
        item.summary = [SummaryText(thoughts)]
        yield StreamEvent(
            "response.reasoning_summary_text.done",
            item_id=item.id,
            output_index=at,
            summary_index=0,
            text=thoughts,
        )
        yield StreamEvent(
            "response.reasoning_summary_part.done",
            item_id=item.id,
            output_index=at,
            summary_index=0,
            part=item.summary[0],
        )
        yield StreamEvent("response.output_item.done", output_index=at, item=item)

    def _say(self, text: str) -> Iterator[StreamEvent]:
        if not text:
            return
        self._said.append(text)
        if not self._shaped:
            yield from self._write(text)

    def _write(self, text: str) -> Iterator[StreamEvent]:
        if (opened := self._message) is None:
            yield from self._close_reasoning()
            opened = self._message = self._new(MessageItem(self._id("msg"), []))
            yield from _message_begun(*opened, OutputText(""))
        at, item = opened
        self._text += text
        if text:
            yield StreamEvent(
                "response.output_text.delta",
                item_id=item.id,
                output_index=at,
                content_index=0,
                delta=text,
                logprobs=[],
            )

    def _close_message(self, status: str = "completed") -> Iterator[StreamEvent]:
        if self._message is None:
            return
        at, item = self._message
        text, self._message, self._text = self._text, None, ""
        yield StreamEvent(
            "response.output_text.done",
            item_id=item.id,
            output_index=at,
            content_index=0,
            text=text,
            logprobs=[],
        )
        item.status = status
        yield from _message_done(at, item, OutputText(text))

    def _refuse(self, words: str) -> Iterator[StreamEvent]:
        yield from self._close_reasoning()
        at, item = self._new(MessageItem(self._id("msg"), []))
        yield from _message_begun(at, item, OutputRefusal(""))
        yield StreamEvent(
            "response.refusal.delta", item_id=item.id, output_index=at, content_index=0, delta=words
        )
        yield StreamEvent(
            "response.refusal.done", item_id=item.id, output_index=at, content_index=0, refusal=words
        )
        item.status = "completed"
        yield from _message_done(at, item, OutputRefusal(words))

    def _call(self, call: ToolCall) -> Iterator[StreamEvent]:
        self._calls.append(call)
        yield from self._close_reasoning()
        yield from self._close_message()
        at, item = self._new(CallItem(self._id("fc"), call.id, call.name, call.arguments, "completed"))
        begun = CallItem(item.id, call.id, call.name, "")
        yield StreamEvent("response.output_item.added", output_index=at, item=begun)
        for piece in pieces_of(call.arguments):
            yield StreamEvent(
                "response.function_call_arguments.delta", item_id=item.id, output_index=at, delta=piece
            )
        yield StreamEvent(
            "response.function_call_arguments.done",
            item_id=item.id,
            output_index=at,
            name=call.name,
            arguments=call.arguments,
        )
        yield StreamEvent("response.output_item.done", output_index=at, item=item)

    def _finish(self, reason: FinishReason) -> Iterator[StreamEvent]:
        held = "".join(self._said) if self._shaped else ""
        if reason is FinishReason.REFUSAL and not self._shaped:
            # The engine holds a refusal back wherever one is possible.
            reason = FinishReason.STOP
        if reason is FinishReason.REFUSAL:
            yield from self._refuse(held)
        elif held:
            yield from self._write(held)
        shown = [picture for picture in self._pictures if self._image_items or not picture.link]
        if not shown and all(isinstance(item, ReasoningItem) for item in self.items):
            yield from self._write("")
        yield from self._close_reasoning()
        yield from self._close_message(status_of(reason))
        for picture in shown:
            yield from self._show(picture)
        if thoughts := self._late_thoughts:
            self._reasoning = self._new(ReasoningItem(self._id("rs"), []))
            yield from _reasoning_begun(*self._reasoning)
            yield from self._think(thoughts)
            yield from self._close_reasoning()

    def _show(self, picture: Picture) -> Iterator[StreamEvent]:
        at, item = self._new(ImageCallItem(self._id("ig")))
        yield StreamEvent("response.output_item.added", output_index=at, item=ImageCallItem(item.id))
        for step in ("in_progress", "completed"):
            yield StreamEvent(f"response.image_generation_call.{step}", item_id=item.id, output_index=at)
        item.status = "completed"
        item.result = Inline(picture.data)
        item.output_format = picture.mime.rpartition("/")[2]
        if picture.width and picture.height:
            item.size = f"{picture.width}x{picture.height}"
        yield StreamEvent("response.output_item.done", output_index=at, item=item)


def _reasoning_begun(at: int, item: ReasoningItem) -> Iterator[StreamEvent]:
    yield StreamEvent("response.output_item.added", output_index=at, item=ReasoningItem(item.id, []))
    yield StreamEvent(
        "response.reasoning_summary_part.added",
        item_id=item.id,
        output_index=at,
        summary_index=0,
        part=SummaryText(""),
    )


def _message_begun(at: int, item: MessageItem, part: OutputText | OutputRefusal) -> Iterator[StreamEvent]:
    yield StreamEvent("response.output_item.added", output_index=at, item=MessageItem(item.id, []))
    yield StreamEvent(
        "response.content_part.added", item_id=item.id, output_index=at, content_index=0, part=part
    )


def _message_done(at: int, item: MessageItem, part: OutputText | OutputRefusal) -> Iterator[StreamEvent]:
    item.content = [part]
    yield StreamEvent(
        "response.content_part.done", item_id=item.id, output_index=at, content_index=0, part=part
    )
    yield StreamEvent("response.output_item.done", output_index=at, item=item)


def status_of(reason: FinishReason) -> str:
    return "incomplete" if reason is FinishReason.CONTENT_FILTER else "completed"


def events_of(answer: Answer) -> Iterator[Event]:
    """The events that a whole answer adds up from, in the order in which models speak."""
    if answer.thoughts:
        yield Delta(thoughts=answer.thoughts)
    if answer.text:
        yield Delta(answer.text)
    yield from answer.pictures
    yield from answer.calls
    yield answer.finish


def finished(output: Output, answer: Answer) -> Finish:
    """Take a whole answer in."""
    for event in events_of(answer):
        for _ in output.take(event):
            pass
    return answer.finish


def usage_of(usage: Usage) -> ResponseUsage:
    """OpenAI counts thoughts as part of the output."""
    return ResponseUsage(
        input_tokens=usage.prompt,
        output_tokens=usage.completion + usage.thoughts,
        total_tokens=usage.total,
        output_tokens_details=OutputDetails(usage.thoughts),
    )
