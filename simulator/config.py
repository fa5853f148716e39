"""What the simulator is told: accounts, defaults of the answers, scripted answers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Tier: TypeAlias = Literal["free", "pro", "ultra", "plus"]
Logo: TypeAlias = Literal["v1", "v2", "none"]
PictureFormat: TypeAlias = Literal["png", "jpeg", "webp"]
Manner: TypeAlias = Literal["right", "prose", "broken", "schema", "name", "fence", "babble"]
PictureReply: TypeAlias = Literal["picture", "bare", "refusal", "web", "quota"]

REQUEST_KINDS = ("page", "rpc", "generate", "upload", "image", "rotate", "preflight")
"""What a request may be; an RPC may also be named, as in `rpc:jSf9Qc`, and a hop of a picture's download."""
IMAGE_HOPS = ("sized-1", "sized-2", "sized-3", "full-1", "full-2", "full-3", "web")
"""As in `image:full-2`: the hops of the sized and of the full-size download in their order."""

_COOKIE = re.compile(r"[A-Za-z0-9._-]{0,4096}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ControlError(ValueError):
    """A wrong argument; the message names the field and the remedy."""


def check_name(field: str, value: str) -> str:
    """`value`, where it may name an account or an egress."""
    if not _NAME.fullmatch(value):
        raise ControlError(f"{field}: use 1 to 64 letters, digits, dots, dashes or underscores")
    return value


def check_cookie(field: str, value: str) -> str:
    """`value`, where it can stand in a Cookie header; may be empty."""
    if not _COOKIE.fullmatch(value):
        raise ControlError(f"{field}: use letters, digits, dots, dashes and underscores only")
    return value


class AccountSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Google account. Cookies that are left empty are made up once and kept in the directory.

    egress: name of the proxy credential; accounts that share it share one IP address. Empty: its own.
    models: categories offered (`Flash`, `Flash Thinking`, `Pro`); empty: all.
    """

    id: str
    tier: Tier = "pro"
    egress: str = ""
    models: tuple[str, ...] = ()
    secure_1psid: str = ""
    secure_1psidts: str = ""


class Defaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How every account answers unless a script says otherwise. Durations in seconds.

    words: filler words after the echo. frames: running text frames of an answer; one more completes it.
    first_delay: from the response's head to its first frame. frame_delay: before each further content frame.
    thoughts: raw thoughts that precede the text. cut_seed, cut_size: where the body is cut (mean bytes a piece).
    flicker: a frame inside an open code block ends in a closing fence that the next frame takes back.
    escape_html: the echoed prompt is sent with entities, as the web app sends text.
    guests: an anonymous session gets a guest's page instead of a consent page.
    note_frames: the journal's prompts tell when each frame of an answer with delays was sent.
    max_parallel: generations that one account may run at once. latency: by request kind, before the head.
    rotation_grace: life of a replaced `__Secure-1PSIDTS`. rotation_spacing: least time between rotations.
    redirects: sized picture urls take the real two hops; False serves them at once.
    full_pixels: 1024, 2048 or 4096, the long side of a square original; other aspects as published, of the same
    number of pixels. logo: the star on generated pictures. picture_format: of their files.
    picture_reply: to a prompt that asks for a generated picture: the picture with some text (`picture`) or without
    (`bare`), the model's refusal, pictures of the web instead, or the text that the day's pictures are used up.
    tool_reply, json_reply: how a prompt that asks for function calls or JSON is answered: as it is told (`right`), in words
    (`prose`), with half of the JSON (`broken`), with values of wrong types (`schema`), with a function's name that nobody
    offered (`name`), in another fence, or JSON in none (`fence`), or with more words after it (`babble`).
    """

    words: int = 0
    frames: int = 6
    first_delay: float = 0.0
    frame_delay: float = 0.0
    thoughts: str = ""
    cut_seed: int = 1
    cut_size: int = 4096
    flicker: bool = True
    escape_html: bool = True
    guests: bool = False
    note_frames: bool = False
    max_parallel: int = 8
    latency: Mapping[str, float] = {}
    rotation_grace: float = 300.0
    rotation_spacing: float = 1.0
    redirects: bool = True
    full_pixels: int = 2048
    logo: Logo = "v1"
    picture_format: PictureFormat = "png"
    picture_reply: PictureReply = "picture"
    tool_reply: Manner = "right"
    json_reply: Manner = "right"


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scripted answer; what is None comes from the defaults.

    text: raw, as the web app would send it (entities included). texts: instead of `text`, the exact
    cumulative raw text of every running frame; the last one is also the final text.
    images, web_images: numbers of pictures. raw_parts: parts sent as they are in a frame before the content.
    picture_reply: as if the prompt had asked for a picture; `text`, `images` and `web_images` go before it.
    tool_reply, json_reply: as in the defaults, for this answer.
    """

    text: str | None = None
    texts: tuple[str, ...] | None = None
    thoughts: str | None = None
    words: int | None = None
    frames: int | None = None
    first_delay: float | None = None
    frame_delay: float | None = None
    flicker: bool | None = None
    images: int | None = None
    web_images: int | None = None
    raw_parts: tuple[Any, ...] = ()
    full_pixels: int | None = None
    logo: Logo | None = None
    picture_format: PictureFormat | None = None
    picture_reply: PictureReply | None = None
    tool_reply: Manner | None = None
    json_reply: Manner | None = None


class SimulatorConfig(Struct, frozen=True, kw_only=True):
    """accounts: a number (`account-1`, ...) or specs. directory: keeps CA, cookies and ports over
    restarts; None: a temporary one. Ports of 0: the last ones if they are free, else any."""

    accounts: int | tuple[AccountSpec, ...] = 1
    directory: Path | None = None
    proxy_port: int = 0
    control_port: int = 0
    defaults: Defaults = Defaults()

    def specs(self) -> tuple[AccountSpec, ...]:
        if isinstance(self.accounts, int):
            return tuple(AccountSpec(id=f"account-{n + 1}") for n in range(self.accounts))
        return self.accounts


def check_defaults(defaults: Defaults) -> Defaults:
    """`defaults`, where every number is in range."""
    bounds = {
        "words": (0, 200_000),
        "frames": (1, 10_000),
        "cut_size": (1, 1_000_000),
        "max_parallel": (1, 1000),
    }
    for field, (low, high) in bounds.items():
        if not low <= getattr(defaults, field) <= high:
            raise ControlError(f"{field}: give a number from {low} to {high}")
    for field in ("first_delay", "frame_delay", "rotation_grace", "rotation_spacing"):
        if getattr(defaults, field) < 0:
            raise ControlError(f"{field}: give seconds, zero or more")
    _check_pixels(defaults.full_pixels)
    for kind, seconds in defaults.latency.items():
        if not is_request_kind(kind):
            raise ControlError(f"latency.{kind}: give one of {KINDS_HINT}")
        if seconds < 0:
            raise ControlError(f"latency.{kind}: give seconds, zero or more")
    return defaults


def is_request_kind(name: str) -> bool:
    kind, _, which = name.partition(":")
    return kind in REQUEST_KINDS and (kind != "image" or not which or which in IMAGE_HOPS)


KINDS_HINT = f"rpc:<id>, image:<{', '.join(IMAGE_HOPS)}>, {', '.join(REQUEST_KINDS)}"


def _check_pixels(pixels: int) -> None:
    if pixels not in (1024, 2048, 4096):
        raise ControlError("full_pixels: give 1024, 2048 or 4096")


def check_script(script: Script) -> Script:
    """`script`, where its numbers are in range and it says one text."""
    if script.text is not None and script.texts is not None:
        raise ControlError("texts: give either text or texts, not both")
    if script.texts is not None and not script.texts:
        raise ControlError("texts: give at least one text")
    for field, low, high in (
        ("words", 0, 200_000),
        ("frames", 1, 10_000),
        ("images", 0, 8),
        ("web_images", 0, 8),
    ):
        value = getattr(script, field)
        if value is not None and not low <= value <= high:
            raise ControlError(f"{field}: give a number from {low} to {high}")
    for field in ("first_delay", "frame_delay"):
        value = getattr(script, field)
        if value is not None and value < 0:
            raise ControlError(f"{field}: give seconds, zero or more")
    if script.full_pixels is not None:
        _check_pixels(script.full_pixels)
    return script
