"""One prompt out of a whole conversation. Pure.

A request is one temporary chat made of its whole history, and the web app takes one text. A single user
message goes through as it is; anything else is written as a transcript in tags. What somebody said is never changed:
where it holds one of the tags itself, all tags of the transcript get a number that it does not hold.
"""

import json
import re
from collections import Counter

from msgspec import Struct

from core.chat import Blob, Message, Text, ToolCall
from core.errors import InvalidRequest

CALL_FENCE = "tool_call"
"""The language of the fenced block that a call is written in, by the model and in the history."""

_TAGS = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool_result"}
_OURS = re.compile(r"</?\s*(?:system|user|assistant|tool_result)(?:-(\d{1,6}))?(?=[\s/>]|$)", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x1f\"<>]+")
_LABEL = 128


class Flat(Struct, frozen=True):
    """The text to ask and the files that go with it, in the order in which the text mentions them.

    transcript: the text is a conversation in tags, and says at its end what is wanted.
    """

    text: str
    files: tuple[Blob, ...]
    transcript: bool = False


class Frame(Struct, frozen=True):
    """What stands around a conversation: before it what holds for all of it, after it what is wanted now."""

    preamble: str = ""
    closing: str = ""


PLAIN = Frame()


def flatten(messages: tuple[Message, ...], closing: str = "", frame: Frame = PLAIN) -> Flat:
    """Write a conversation as one prompt. Raises InvalidRequest where nothing is asked.

    closing: what is wanted at the end of a transcript; '' asks for the next message. frame: also stands around a
    single question, which is a transcript then.
    """
    files = tuple(part for message in messages for part in message.parts if isinstance(part, Blob))
    system = [m for m in messages if m.role == "system" and m.parts]
    turns = [m for m in messages if m.role != "system" and (m.parts or m.tool_calls)]
    if not turns and not system:
        raise InvalidRequest(
            "There is nothing to answer: every message is empty. Send at least one message with content.",
            param="messages",
        )
    paper = _Paper(messages, files if len(files) > 1 or len(turns) > 1 else ())
    head = "\n\n".join(paper.body(message) for message in system)
    if not turns:
        text = head.strip() or _only_files(files)
        return _framed([text], "", frame, files) if frame != PLAIN else Flat(text, files)
    blocks = [paper.tagged("system", head)] if head.strip() else []
    if len(turns) == 1 and turns[0].role == "user":
        text = paper.body(turns[0])
        if not text.strip():
            text = _only_files(files)
        if frame == PLAIN:
            return Flat("\n\n".join([*blocks, text]), files)
        blocks.append(paper.tagged("user", text))
    else:
        blocks += [paper.block(message) for message in turns]
    return _framed(blocks, closing or paper.closing(turns[-1], frame), frame, files)


def _framed(blocks: list[str], closing: str, frame: Frame, files: tuple[Blob, ...]) -> Flat:
    ending = " ".join(filter(None, (closing, frame.closing)))
    return Flat("\n\n".join(filter(None, (frame.preamble, *blocks, ending))), files, transcript=True)


class _Paper:
    """What one transcript is written on: its tags, its numbers of files and its names of calls.

    numbered: the files that the text tells apart by number.
    """

    def __init__(self, messages: tuple[Message, ...], numbered: tuple[Blob, ...]) -> None:
        self._numbers = {id(blob): n for n, blob in enumerate(numbered, 1)}
        self._called = {call.id: call.name for message in messages for call in message.tool_calls}
        texts = (part.text for m in messages for part in m.parts if isinstance(part, Text))
        calls = (call.arguments for m in messages for call in m.tool_calls)
        found = [match[1] for said in (*texts, *calls) for match in _OURS.finditer(said)]
        self._suffix = f"-{1 + max(int(number or 1) for number in found)}" if found else ""

    def block(self, message: Message) -> str:
        name = message.name
        if message.role != "tool":
            return self.tagged(_TAGS[message.role], self.body(message), name=name)
        id = message.tool_call_id
        return self.tagged("tool_result", self.body(message), name=name or self._called.get(id or ""), id=id)

    def tagged(self, tag: str, body: str, **labels: str | None) -> str:
        said = "".join(f' {key}="{_UNFIT.sub("_", word)[:_LABEL]}"' for key, word in labels.items() if word)
        return f"<{tag}{self._suffix}{said}>\n{body}\n</{tag}{self._suffix}>"

    def body(self, message: Message) -> str:
        pieces: list[str] = []
        for part in message.parts:
            if isinstance(part, Text):
                pieces.append(part.text)
            elif self._numbers and isinstance(part, Blob):
                pieces.append(f"[attached file {self._numbers[id(part)]}: {part.name or part.mime}]")
        often = Counter(call.name for call in message.tool_calls)
        pieces += [written(call, with_id=often[call.name] > 1) for call in message.tool_calls]
        return "\n".join(piece for piece in pieces if piece)

    def closing(self, last: Message, frame: Frame) -> str:
        user, assistant = f"<user{self._suffix}>", f"<assistant{self._suffix}>"
        words = "" if frame != PLAIN or not self._called else " Call no functions."
        match last.role:
            case "assistant":
                return f"Continue the last {assistant} message from where it ends. Write no tags.{words}"
            case "tool":
                return (
                    f"Answer the last {user} message with the help of the tool results. Write no tags.{words}"
                )
            case _:
                return f"Answer the last {user} message. Write no tags.{words}"


def written(call: ToolCall, *, with_id: bool = False) -> str:
    """A call in the form that the model is asked to write it in. with_id: its result names the id, since the name alone
    does not tell it from another."""
    fields = {"id": call.id} if with_id and call.id else {}

    def said(arguments: object) -> str:
        whole = {**fields, "name": call.name, "arguments": arguments}
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))

    try:
        body = said(json.loads(call.arguments or "{}"))
    except (ValueError, RecursionError):
        body = said(call.arguments)
    return f"```{CALL_FENCE}\n{body}\n```"


def _only_files(files: tuple[Blob, ...]) -> str:
    if not files:
        raise InvalidRequest(
            "There is nothing to answer: the messages hold only white space. Send some text.",
            param="messages",
        )
    return "See the attached file." if len(files) == 1 else "See the attached files."
