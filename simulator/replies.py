"""Answers: which text is said, and the frames that carry it.

Every running frame repeats the whole text so far, as the web app does; the last one completes it.
"""

import hashlib
import html
import random
import re
from functools import lru_cache

import msgspec
from msgspec import Struct

from simulator.config import Defaults, Script
from simulator.frames import Growing, frame, frame_of, utf16_units
from simulator.journal import SentFile
from simulator.pictures import Style

WHOLE_ECHO = 4000
"""Prompts up to this many characters are echoed whole; longer ones by their ends, length and digest."""

_MAKE = re.compile(r"\b(generate|create|draw|make|paint)\b", re.IGNORECASE)
_SHOW = re.compile(r"\b(search|find|show|send)\b", re.IGNORECASE)
_EDIT = re.compile(r"\b(add|change|edit|erase|recolou?r|remove|replace|restyle|turn)\b", re.IGNORECASE)
_PICTURE = re.compile(r"\b(images?|pictures?|photos?)\b", re.IGNORECASE)
_ARTIFACT = re.compile(r"https?://googleusercontent\.com/(?:\w+/)+\d+\n*")
_LEXICON = ["river", "stone", "harbour", "light", "winter", "garden", "copper", "signal", "meadow", "thread", "lantern", "orchard", "ridge", "paper", "anchor", "silver", "valley", "engine", "window", "forest", "island", "morning", "bridge", "candle", "field", "music", "cloud", "letter", "market", "planet", "summer", "circle"]  # fmt: skip


class Said(Struct, frozen=True, kw_only=True):
    """One answer before it is framed. text, thoughts: raw, as the web app sends them.
    texts: exact cumulative running texts, where a script gave them."""

    text: str
    thoughts: str
    texts: tuple[str, ...] | None
    frames: int
    first_delay: float
    frame_delay: float
    flicker: bool
    images: int
    web_images: int
    style: Style
    raw_parts: tuple[object, ...]


class Framed(Struct, frozen=True):
    """opening: the chat's ids, no content yet. content: growing frames, none of them complete.
    final: completes the answer. closing: noise that ends every answer."""

    opening: bytes
    content: list[bytes]
    final: bytes
    closing: bytes


@lru_cache(maxsize=64)
def filler(words: int) -> str:
    """The same `words` words every time, in lines of sixteen."""
    rng = random.Random(words)  # noqa: S311  # a repeatable text is wanted
    drawn = rng.choices(_LEXICON, k=words)
    return "\n".join(" ".join(drawn[n : n + 16]) for n in range(0, words, 16))


def echo(prompt: str) -> str:
    """The prompt as the default answer repeats it."""
    if len(prompt) <= WHOLE_ECHO:
        return prompt
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:12]
    return f"{prompt[:2000]} ... {prompt[-1000:]} [{len(prompt)} characters, sha256 {digest}]"


REFUSAL = (
    "I can't create that image. It may show something that I'm not able to picture. Try asking for another."
)
USED_UP = "You've reached your image limit for today. You can create more images tomorrow."
ON_THE_WEB = "Here are some images that I found on the web:"


def wants_picture(prompt: str, *, with_picture: bool = False) -> tuple[int, int]:
    """How many (generated, web) pictures a prompt asks for. with_picture: one is attached, which may be edited."""
    if with_picture and _EDIT.search(prompt):
        return 1, 0
    if (verb := _MAKE.search(prompt)) and _PICTURE.search(prompt, verb.end()):
        return 1, 0
    if (verb := _SHOW.search(prompt)) and _PICTURE.search(prompt, verb.end()):
        return 0, 1
    return 0, 0


def say(
    prompt: str,
    files: list[SentFile],
    turn: int,
    defaults: Defaults,
    script: Script | None,
    told: str | None = None,
) -> Said:
    """The answer to a prompt. files: its attachments. turn: 1 for a chat's first. told: what a model says that does what
    the prompt tells it; None where it tells nothing but a question."""
    script = script or Script()
    generated, web = wants_picture(
        prompt, with_picture=any(f.content_type.startswith("image/") for f in files)
    )
    if told is not None:
        generated = web = 0
    kind = script.picture_reply or (defaults.picture_reply if generated else None)
    instead = {"bare": "", "refusal": REFUSAL, "web": ON_THE_WEB, "quota": USED_UP}.get(kind or "")
    if kind is not None:
        generated, web = int(kind in ("picture", "bare")), 3 * (kind == "web")
    if script.text is None and script.texts is None and instead is not None:
        text = instead
    elif script.text is None and script.texts is None and told is not None:
        text = html.escape(told, quote=False) if defaults.escape_html else told
    elif script.text is None and script.texts is None:
        words = defaults.words if script.words is None else script.words
        said = f"You said: {echo(prompt)}"
        if files:
            said += "\n\nFiles: " + "; ".join(f"{f.content_type} {f.size} bytes" for f in files)
        if turn > 1:
            said += f"\n\nTurn {turn} of this chat."
        said += "\n\n" + (filler(words) if words else "That is all there is to say about it.")
        text = html.escape(said, quote=False) if defaults.escape_html else said
    else:
        text = script.texts[-1] if script.texts is not None else script.text or ""
    images = generated if script.images is None else script.images
    for n in range(images):
        text += f"\nhttp://googleusercontent.com/image_generation_content/{n}\n"

    style = Style(
        script.full_pixels or defaults.full_pixels,
        script.logo or defaults.logo,
        script.picture_format or defaults.picture_format,
    )
    return Said(
        text=text,
        thoughts=defaults.thoughts if script.thoughts is None else script.thoughts,
        texts=script.texts,
        frames=script.frames or defaults.frames,
        first_delay=defaults.first_delay if script.first_delay is None else script.first_delay,
        frame_delay=defaults.frame_delay if script.frame_delay is None else script.frame_delay,
        flicker=defaults.flicker if script.flicker is None else script.flicker,
        images=images,
        web_images=web if script.web_images is None else script.web_images,
        style=style,
        raw_parts=script.raw_parts,
    )


def split(text: str, count: int) -> list[str]:
    """`text` in up to `count` even parts; a placeholder link is never cut."""
    ends = [len(text) * (n + 1) // count for n in range(count)]
    for link in _ARTIFACT.finditer(text) if "googleusercontent" in text else ():
        ends = [link.start() if link.start() < end < link.end() else end for end in ends]
    ends[-1] = len(text)
    parts, start = [], 0
    for end in ends:
        if end > start:
            parts.append(text[start:end])
            start = end
    return parts


def candidate(rcid: str, said: Said, rich: list[object] | None) -> list[object]:
    """A complete candidate as the history sends it."""
    whole: list[object] = [rcid, [said.text], *[None] * 6, [2], *[None] * 3, rich]
    if said.thoughts:
        whole += [*[None] * 24, [[said.thoughts]]]
    return whole


def render(
    said: Said, ids: tuple[str, str, str], rich: list[object] | None, context: str | None, now: float
) -> Framed:
    """The frames of an answer. ids: cid, rid, rcid. context: the history's mark, None for a temporary chat."""
    cid, rid, _ = ids
    stamp: list[object] = [[[None, None, None, [int(now), int(now % 1 * 1e9)]]]]
    opening = frame_of([_part([None, [cid, rid], *[None] * 25, stamp]), ["di", 23]])
    if said.raw_parts:
        opening += frame_of(list(said.raw_parts))

    thoughts = Growing(split(said.thoughts, max(1, said.frames // 3)) if said.thoughts else [])
    shape = _Shape(ids, stamp, bool(said.thoughts))
    content = [shape.frame((b"", 0), thoughts.upto(n), running=True) for n in range(1, len(thoughts) + 1)]
    all_thoughts = thoughts.upto(len(thoughts))
    if said.texts is not None:
        wholes = [Growing([exact]).upto(1) for exact in said.texts]
        content += [shape.frame(whole, all_thoughts, running=True) for whole in wholes]
    else:
        parts = split(said.text, said.frames)
        growing = Growing(parts)
        fences = said.flicker and "```" in said.text
        seen = 0
        for n in range(1, len(parts) + 1):
            text, units = growing.upto(n)
            if fences:
                seen += len(parts[n - 1])
                if said.text.count("```", 0, seen) % 2:
                    text, units = text + _FENCE, units + len(_FENCE)
            content.append(shape.frame((text, units), all_thoughts, running=True))
    final = shape.frame(Growing([said.text]).upto(1), all_thoughts, rich=rich, context=context)
    closing = frame_of([["di", 1204], ["af.httprm", 1204, "-3106127430415389287", 12]])
    closing += frame_of([["e", len(content) + 4, None, None, 4096]])
    return Framed(opening, content, final, closing)


def error_frames(code: int) -> bytes:
    """The answer that carries an error code of the web app."""
    info = ["type.googleapis.com/assistant.boq.bard.application.BardErrorInfo", [code]]
    error: list[object] = ["wrb.fr", None, None, None, None, [13, None, [info]]]
    return frame_of([error, ["di", 31], ["af.httprm", 31, "1442573117", 7]]) + frame_of(
        [["e", 4, None, None, 212]]
    )


def refusal_frames() -> bytes:
    """The answer that refuses the prompt with the code of what the session may not do."""
    refused: list[object] = ["wrb.fr", None, None, None, None, [7]]
    return frame_of([refused, ["di", 19]]) + frame_of([["e", 4, None, None, 131]])


def _part(inner: list[object]) -> list[object]:
    return ["wrb.fr", None, msgspec.json.encode(inner).decode()]


def _quoted(fragment: str) -> bytes:
    """A fragment of JSON as it stands inside a JSON string."""
    return msgspec.json.encode(fragment)[1:-1]


_FENCE = _quoted(_quoted("\n```").decode())


class _Shape:
    """The constant bytes around the growing text and thoughts of one answer."""

    def __init__(self, ids: tuple[str, str, str], stamp: list[object], thinks: bool) -> None:
        cid, rid, rcid = (msgspec.json.encode(i).decode() for i in ids)
        self._before = b'[["wrb.fr",null,"' + _quoted(f'[null,[{cid},{rid}],null,null,[[{rcid},["')
        self._thoughts = (_quoted("," + "null," * 24 + '[["'), _quoted('"]]')) if thinks else None
        self._stamp = msgspec.json.encode(stamp).decode()
        self._running = self._middle(1, "null"), self._after("null")

    def frame(
        self,
        text: tuple[bytes, int],
        thoughts: tuple[bytes, int],
        *,
        running: bool = False,
        rich: list[object] | None = None,
        context: str | None = None,
    ) -> bytes:
        if running:
            middle, after = self._running
        else:
            middle = self._middle(2, msgspec.json.encode(rich).decode())
            after = self._after(msgspec.json.encode(context).decode())
        if self._thoughts is None:
            payload = b"".join((self._before, text[0], middle, after))
            fixed = len(self._before) + len(after)
        else:
            payload = b"".join(
                (self._before, text[0], middle, self._thoughts[0], thoughts[0], self._thoughts[1], after)
            )
            fixed = len(self._before) + len(self._thoughts[0]) + len(self._thoughts[1]) + len(after)
        return frame(payload, fixed + text[1] + thoughts[1] + utf16_units(middle))

    def _middle(self, status: int, rich: str) -> bytes:
        return _quoted(f'"],null,null,null,null,null,null,[{status}],null,null,null,{rich}')

    def _after(self, context: str) -> bytes:
        inner = _quoted("]]," + "null," * 20 + f"{context},null,{self._stamp}]")
        return inner + b'"],["di",87],["af.httprm",86,"-7340032419163845120",9]]'
