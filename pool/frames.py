"""Length-prefixed frames, as the web app streams them. Pure: bytes in, frames out.

    )]}'\\n\\n  then, repeated:  <count>\\n<JSON array>\\n

`count` is the number of UTF-16 code units of everything after its digits: the newline, the JSON and the
newline behind it. The network may cut anywhere, also inside a UTF-8 sequence. A payload of ASCII only,
which is the common case, is taken as one slice; anything else is measured by transcoding.
"""

import codecs

_PREFIX = b")]}'"
_SPACE = b" \t\r\n"
_MARKER_LIMIT = 12
"""A frame's count has at most this many digits; what is longer is no frame."""
_LARGEST = 64 * 1024 * 1024
"""Code units of the largest frame that is waited for."""


class FramingError(ValueError):
    """The bytes are not frames; the message says what stands there, not the content."""


class FrameReader:
    """Takes the body in pieces and returns the payload of every frame that is whole.

    Payloads are JSON text with white space around it. Memory is bounded by the largest frame.
    """

    __slots__ = ("_buffer", "_need", "_started", "_units")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._started = False
        self._units = -1
        self._need = 0

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Add what arrived; return the frames that it completed, in order.

        Raises FramingError where the bytes cannot be frames.
        """
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        if not self._started and not self._strip_prefix():
            return frames
        while True:
            if self._units < 0 and not self._read_marker():
                return frames
            if len(buffer) < self._need:
                return frames
            end = self._measure()
            if end < 0:
                return frames
            frames.append(bytes(buffer[:end]))
            del buffer[:end]
            self._units = -1

    def _strip_prefix(self) -> bool:
        buffer = self._buffer
        if len(buffer) < len(_PREFIX) and _PREFIX.startswith(buffer):
            return False
        if buffer.startswith(_PREFIX):
            del buffer[: len(_PREFIX)]
        self._started = True
        return True

    def _read_marker(self) -> bool:
        buffer = self._buffer
        skip = 0
        while skip < len(buffer) and buffer[skip] in _SPACE:
            skip += 1
        if skip:
            del buffer[:skip]
        if not buffer:
            return False
        newline = buffer.find(b"\n", 0, _MARKER_LIMIT + 1)
        digits = bytes(buffer[: newline if newline >= 0 else len(buffer)])
        if not digits.isdigit() or len(digits) > _MARKER_LIMIT:
            raise FramingError("no frame length where one was due")
        if newline < 0:
            return False
        del buffer[:newline]
        self._units = self._need = int(digits)
        if not 0 < self._units <= _LARGEST:
            raise FramingError("a frame of an impossible length")
        return True

    def _measure(self) -> int:
        """Bytes that the current frame spans, or -1 after raising `_need` where more must arrive.

        A code unit takes at least one byte, so a frame of n units is never shorter than n bytes, and
        what is missing by k units needs at least k bytes more: every retry at least halves the gap for
        three-byte characters, so a frame is measured a logarithmic number of times.
        """
        buffer, units = self._buffer, self._units
        head = buffer[:units]
        if head.isascii():
            return units
        try:
            text, consumed = codecs.utf_8_decode(buffer[: 3 * units], "strict", False)
        except UnicodeDecodeError as error:
            raise FramingError("the body is not UTF-8") from error
        utf16 = text.encode("utf-16-le")
        missing = units - len(utf16) // 2
        if missing > 0:
            self._need = max(len(buffer) + 1, consumed + missing)
            return -1
        try:
            payload = utf16[: 2 * units].decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise FramingError("a frame ends inside a character") from error
        return len(payload.encode())
