"""One prompt out of a whole conversation. Pure.

A request is one temporary chat made of its whole history, and the web app takes one text. A single user
message goes through as it is; anything else is written as a transcript in tags.
"""

from msgspec import Struct

from core.chat import Blob, Message, Text
from core.errors import InvalidRequest

_TAGS = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool_result"}


class Flat(Struct, frozen=True):
    """The text to ask and the files that go with it, in the order in which the text mentions them.

    transcript: the text is a conversation in tags, and says at its end what is wanted.
    """

    text: str
    files: tuple[Blob, ...]
    transcript: bool = False


def flatten(messages: tuple[Message, ...], closing: str = "") -> Flat:
    """Write a conversation as one prompt. Raises InvalidRequest where nothing is asked.

    closing: what is wanted at the end of a transcript; '' asks for the next message.
    """
    files = tuple(part for message in messages for part in message.parts if isinstance(part, Blob))
    system = [m for m in messages if m.role == "system" and m.parts]
    turns = [m for m in messages if m.role != "system" and (m.parts or m.tool_calls)]
    if not turns and not system:
        raise InvalidRequest(
            "There is nothing to answer: every message is empty. Send at least one message with content.",
            param="messages",
        )
    numbers = {id(blob): n for n, blob in enumerate(files, 1)} if len(files) > 1 or len(turns) > 1 else {}
    head = "\n\n".join(_body(message, numbers) for message in system)
    if not turns:
        return Flat(head.strip() or _only_files(files), files)
    if len(turns) == 1 and turns[0].role == "user":
        text = _body(turns[0], numbers)
        if not text.strip():
            text = _only_files(files)
        return Flat(f"<system>\n{head}\n</system>\n\n{text}" if head.strip() else text, files)
    blocks = [f"<system>\n{head}\n</system>"] if head.strip() else []
    blocks += [_block(message, numbers) for message in turns]
    blocks.append(closing or _closing(turns[-1]))
    return Flat("\n\n".join(blocks), files, transcript=True)


def _block(message: Message, numbers: dict[int, int]) -> str:
    tag = _TAGS[message.role]
    label = message.name or message.tool_call_id if message.role == "tool" else message.name
    head = f'<{tag} name="{label}">' if label else f"<{tag}>"
    return f"{head}\n{_body(message, numbers)}\n</{tag}>"


def _body(message: Message, numbers: dict[int, int]) -> str:
    pieces: list[str] = []
    for part in message.parts:
        if isinstance(part, Text):
            pieces.append(part.text)
        elif numbers and isinstance(part, Blob):
            pieces.append(f"[attached file {numbers[id(part)]}: {part.name or part.mime}]")
    pieces += [f"[called {call.name} with {call.arguments}]" for call in message.tool_calls]
    return "\n".join(piece for piece in pieces if piece)


def _closing(last: Message) -> str:
    match last.role:
        case "assistant":
            return "Continue the last <assistant> message from where it ends. Write no tags."
        case "tool":
            return "Answer the last <user> message with the help of the tool results. Write no tags."
        case _:
            return "Answer the last <user> message. Write no tags."


def _only_files(files: tuple[Blob, ...]) -> str:
    if not files:
        raise InvalidRequest(
            "There is nothing to answer: the messages hold only white space. Send some text.",
            param="messages",
        )
    return "See the attached file." if len(files) == 1 else "See the attached files."
