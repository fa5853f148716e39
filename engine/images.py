"""Asking for a picture, and understanding an answer that holds none. Pure.

The web app shows pictures from the web unless it is plainly asked to generate one, and it says in words, in the
account's language, when an account may not make more of them.
"""

from core.chat import Blob, Message, Part, PictureWish
from core.errors import (
    GatewayError,
    ModelUnavailable,
    PromptRefused,
    UpstreamError,
    UpstreamUnstable,
    UsageLimitReached,
)
from engine.notices import not_available, used_up
from engine.prompt import Flat, flatten

_LONGEST_REFUSAL = 1000
"""Characters of the model's words that a caller is told."""
_FROM_WORDS = "Generate an image: the one that the last <user> message asks for."
_RESOLUTIONS = {1024: "1K", 2048: "2K", 4096: "4K"}


class PicturesUsedUp(UsageLimitReached):
    """The account may not make more pictures for now; it goes on serving text."""


class PicturesUnavailable(ModelUnavailable):
    """The account may not make pictures at all; it goes on serving text."""


class OnlyWebPictures(UpstreamUnstable):
    """The model showed pictures that it had found; that tells nothing about the account."""

    reason = "web_only"

    def __init__(self, words: str) -> None:
        super().__init__("the answer holds pictures from the web only", kind="empty")
        self.words = words

    def refusal(self) -> PromptRefused:
        """What the caller is told once another account did the same."""
        said = f" It said: {_trimmed(self.words)}" if self.words.strip() else ""
        return PromptRefused(
            "The model showed pictures that it found on the web instead of generating one. Describe the picture"
            f" that is to be drawn.{said}"
        )


def picture_prompt(messages: tuple[Message, ...], wish: PictureWish) -> Flat:
    """One prompt that asks for a picture as the last user message wants it.

    Raises InvalidRequest where nothing is asked.
    """
    turns = [m for m in messages if m.role != "system" and (m.parts or m.tool_calls)]
    last = next((m for m in reversed(turns) if m.role == "user"), None)
    attached = 0 if last is None else sum(_is_image(part) for part in last.parts)
    image = "image" if attached == 1 else "images"
    if attached:
        closing = f"Edit the attached {image} as the last <user> message asks and generate the changed image."
    else:
        closing = " ".join(filter(None, (_FROM_WORDS, _meant(turns), "Do not show one from the web.")))
    flat = flatten(messages, closing=closing)
    asked = [flat.text, _details(wish)]
    if not flat.transcript:
        lead = (
            f"Edit the attached {image} and generate the changed image."
            if attached
            else "Generate an image. Do not show one from the web."
        )
        asked.insert(0, lead)
    return Flat("\n\n".join(asked), flat.files, flat.transcript)


def _meant(turns: list[Message]) -> str:
    """What a change refers to that is asked for without a picture of its own, '' where there is none."""
    shown = next((m for m in reversed(turns) if any(_is_image(part) for part in m.parts)), None)
    if shown is None or shown.role not in ("user", "assistant"):
        return ""
    return f"Where it asks for a change, change the attached image of the last <{shown.role}> message that has one."


def _is_image(part: Part) -> bool:
    return isinstance(part, Blob) and part.mime.startswith("image/")


def _details(wish: PictureWish) -> str:
    lines = [f"Aspect ratio: {wish.aspect}."] if wish.aspect else []
    side = next((pixels for pixels in _RESOLUTIONS if wish.pixels <= pixels), 4096)
    lines.append(f"Resolution: {_RESOLUTIONS[side]}.")
    return "\n".join(lines)


def without_pictures(text: str, web_pictures: int) -> GatewayError:
    """What an answer means that was to hold a picture and holds none: another account may do better
    (an UpstreamError), or the model has refused (PromptRefused, with its words)."""
    if (notice := _notice(text)) is not None:
        return notice
    if web_pictures:
        return OnlyWebPictures(text)
    if not text.strip():
        return UpstreamUnstable("the answer has no content", kind="empty")
    return PromptRefused(_trimmed(text))


def _trimmed(words: str) -> str:
    words = words.strip()
    return words if len(words) <= _LONGEST_REFUSAL else words[: _LONGEST_REFUSAL - 1].rstrip() + "…"


def _notice(text: str) -> UpstreamError | None:
    """What the account's own notice says, where the text is one."""
    if used_up(text):
        return PicturesUsedUp("the answer says that the account's pictures are used up")
    if not_available(text):
        return PicturesUnavailable("the answer says that the account may not make pictures")
    return None
