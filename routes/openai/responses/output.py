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
from routes.openai.responses import events, recall
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
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._late_thoughts: list[str] = []
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

    def _new(self, item: ItemT) -> tuple[int, ItemT]:
        self.items.append(item)
        return len(self.items) - 1, item

    def _think(self, thoughts: str) -> Iterator[StreamEvent]:
        if self._reasoning is None and self.items:
            # An item that has ended is not opened again; what was thought after it is told at the end.
            self._late_thoughts.append(thoughts)
            return
        if (opened := self._reasoning) is None:
            opened = self._reasoning = self._new(ReasoningItem(self._id("rs"), []))
            yield from events.reasoning_begun(*opened)
        self._thoughts.append(thoughts)
        yield events.thought(*opened, thoughts)

    def _close_reasoning(self) -> Iterator[StreamEvent]:
        if self._reasoning is None:
            return
        at, item = self._reasoning
        item.summary = [SummaryText("".join(self._thoughts))]
        self._reasoning, self._thoughts = None, []
        yield from events.reasoning_done(at, item)

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
            yield from events.message_begun(*opened, OutputText(""))
        self._text.append(text)
        if text:
            yield events.said(*opened, text)

    def _close_message(self, status: str = "completed") -> Iterator[StreamEvent]:
        if self._message is None:
            return
        at, item = self._message
        item.content, item.status = [OutputText("".join(self._text))], status
        self._message, self._text = None, []
        yield from events.message_done(at, item)

    def _call(self, call: ToolCall) -> Iterator[StreamEvent]:
        self._calls.append(call)
        yield from self._close_reasoning()
        yield from self._close_message()
        item = CallItem(self._id("fc"), call.id, call.name, call.arguments, "completed")
        yield from events.called(*self._new(item))

    def _finish(self, reason: FinishReason) -> Iterator[StreamEvent]:
        held = "".join(self._said) if self._shaped else ""
        # The engine holds a refusal back wherever one is possible.
        if reason is FinishReason.REFUSAL and self._shaped:
            yield from self._close_reasoning()
            item = MessageItem(self._id("msg"), [OutputRefusal(held)], "completed")
            yield from events.refused(*self._new(item), held)
        elif held:
            yield from self._write(held)
        shown = [picture for picture in self._pictures if self._image_items or not picture.link]
        if not shown and all(isinstance(item, ReasoningItem) for item in self.items):
            yield from self._write("")
        yield from self._close_reasoning()
        yield from self._close_message(status_of(reason))
        for picture in shown:
            yield from events.drawn(*self._new(_drawn(self._id("ig"), picture)))
        if thoughts := "".join(self._late_thoughts):
            self._reasoning = self._new(ReasoningItem(self._id("rs"), []))
            yield from events.reasoning_begun(*self._reasoning)
            yield from self._think(thoughts)
            yield from self._close_reasoning()


def _drawn(id: str, picture: Picture) -> ImageCallItem:
    item = ImageCallItem(id, "completed", Inline(picture.data), picture.mime.rpartition("/")[2])
    if picture.width and picture.height:
        item.size = f"{picture.width}x{picture.height}"
    return item


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
