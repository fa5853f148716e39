"""Forms with files in them (`multipart/form-data`), read as they come and within bounds."""

import re
import urllib.parse

from msgspec import Struct
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from core.errors import InvalidRequest, RequestTooLarge, UnsupportedMedia

MEDIA_TYPE = b"multipart/form-data"
MAX_FIELDS = 100
MAX_NAME = 200
"""Characters of a field's name."""
MAX_TEXT = 1024 * 1024
"""Bytes of a field that is no file."""
MAX_BOUNDARY = 200

_HEADER_BYTES = 4096
_PIECE = 64 * 1024
_EXTENDED_NAME = re.compile(r";\s*filename\*\s*=\s*([\w-]*)'[^']*'([^;\s]+)", re.ASCII | re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")


class Field(Struct, frozen=True):
    """One field. filename: None for a field that is no file, '' where a browser's file input was left empty."""

    name: str
    data: bytes
    filename: str | None = None

    @property
    def text(self) -> str:
        """Raises `InvalidRequest` where it is no UTF-8."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(
                f"'{self.name}' is not valid UTF-8 at byte {error.start}. Encode it as UTF-8.",
                param=self.name,
            ) from None


Form = list[Field]


def is_form(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == MEDIA_TYPE


class FormReader:
    """Takes a form's bytes in pieces that are cut anywhere.

    content_type: the request's header. `take` and `end` raise `InvalidRequest` for what is no form, and
    `RequestTooLarge` beyond the bounds.
    """

    def __init__(self, content_type: bytes, *, file_limit: int) -> None:
        _, options = parse_options_header(content_type.decode("latin-1"))
        boundary = options.get("boundary", "")
        if not boundary or len(boundary) > MAX_BOUNDARY:
            raise InvalidRequest(
                "The Content-Type of a form must name its boundary (at most"
                f" {MAX_BOUNDARY} characters). Leave that header to your HTTP client.",
                param="Content-Type",
            )
        self._parser = PushMultipartParser(
            boundary.encode("latin-1"),
            max_header_size=_HEADER_BYTES,
            max_segment_count=MAX_FIELDS,
            header_charset="latin-1",  # takes any byte; `_utf8` reads what was meant
        )
        self._file_limit = file_limit
        self._read: list[tuple[str, list[bytes], str | None]] = []
        self._files = 0
        self._segment: MultipartSegment | None = None
        self._pieces: list[bytes] = []
        self._tail = bytearray()
        self._size = 0

    def take(self, piece: bytes) -> None:
        try:
            for event in self._parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event is not None:
                    self._keep(event)
                else:
                    self._finish()
        except MultipartError as error:
            raise _refusal(error) from None

    def end(self) -> Form:
        """The whole form, in the order in which it came. Joining its files takes a while: of large ones in a thread,
        where others go on meanwhile."""
        try:
            self._parser.close()
        except MultipartError:
            raise InvalidRequest(
                "The form is cut off: its closing boundary is missing. Send it whole."
            ) from None
        return [Field(name, b"".join(pieces), filename) for name, pieces, filename in self._read]

    def _begin(self, segment: MultipartSegment) -> None:
        name = _name(segment)
        if not name:
            raise InvalidRequest("A field of the form has no name. Name each field.")
        if len(name) > MAX_NAME:
            raise InvalidRequest(
                f"The form's field '{name[:40]}...' has a name of more than {MAX_NAME} characters. Shorten it."
            )
        encoding = (segment.header("Content-Transfer-Encoding") or "").strip().lower()
        if encoding not in _PLAIN_ENCODINGS:
            raise UnsupportedMedia(
                f"'{name}' comes in Content-Transfer-Encoding '{encoding[:20]}', which is not supported. Send its"
                " bytes as they are.",
                param=name,
            )
        self._segment = segment
        self._pieces = []
        self._tail = bytearray()
        self._size = 0

    def _keep(self, piece: bytes) -> None:
        # Many small pieces would weigh more than what they hold.
        self._tail += piece
        if len(self._tail) >= _PIECE:
            self._pieces.append(bytes(self._tail))
            self._tail = bytearray()
        self._size += len(piece)
        segment = self._segment
        if segment is None or self._size <= MAX_TEXT:
            return
        # A picture may come as text too: base64 or a data URL.
        name = _name(segment)
        if _filename(segment) is None and not is_picture_name(name):
            raise RequestTooLarge(f"'{name}' is longer than {MAX_TEXT} bytes. Shorten it.", param=name)

    def _finish(self) -> None:
        segment = self._segment
        if segment is None:  # pragma: no cover - the parser begins each field that it finishes
            return
        name, filename = _name(segment), _filename(segment)
        if filename is not None or is_picture_name(name):
            self._files += 1
            if self._files > self._file_limit:
                raise RequestTooLarge(
                    f"'{name}' is one file too many: at most {self._file_limit} are taken. Leave some out.",
                    param=name,
                )
        self._read.append((name, [*self._pieces, bytes(self._tail)], filename))
        self._segment = None


_PICTURE_NAME = re.compile(r"(image|images|mask)(?:\[\d{0,4}\])?")


def is_picture_name(name: str) -> bool:
    return _PICTURE_NAME.fullmatch(name) is not None


def stem_of(name: str) -> str:
    """`image` for `image`, `image[]` and `image[3]`."""
    return name.partition("[")[0]


def _utf8(text: str) -> str:
    return text.encode("latin-1").decode(errors="replace")


def _name(segment: MultipartSegment) -> str:
    return _utf8(segment.name or "")


def _filename(segment: MultipartSegment) -> str | None:
    """The file's name without folders; None where the field is no file."""
    name = None if segment.filename is None else _utf8(segment.filename)
    if match := _EXTENDED_NAME.search(segment.header("Content-Disposition") or ""):
        try:
            name = urllib.parse.unquote(match[2], encoding=match[1] or "utf-8", errors="replace")
        except LookupError:
            name = urllib.parse.unquote(match[2])
    if name is None:
        return None
    return _CONTROL.sub("", re.split(r"[/\\]", name)[-1])[:MAX_NAME]


def _refusal(error: MultipartError) -> InvalidRequest | RequestTooLarge:
    if isinstance(error, ParserLimitReached):
        if "header" in str(error):
            return RequestTooLarge(
                f"A field of the form has headers of more than {_HEADER_BYTES} bytes, or more than eight of them."
                " Shorten its name or its file's name."
            )
        return RequestTooLarge(f"The form has more than {MAX_FIELDS} fields. Leave some out.")
    return InvalidRequest(
        "The body is not valid multipart/form-data. Let your HTTP client build the form, its boundaries and its"
        " Content-Type header."
    )
