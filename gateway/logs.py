"""Log lines: one JSON object a line, or readable text on a terminal; the libraries' lines go the same way.

The last processor masks whatever looks like a cookie or a key. It is the second net: code wraps secrets in
`core.secret.Secret` and never hands them to a log line in the first place.
"""

import functools
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import msgspec
import structlog

from core.masking import MASK, mask
from gateway.readable import Readable

_SECRET_KEYS = re.compile(
    r"(?:^|_|-)(?:cookies?|authorization|password|secret|psid|psidts|api_?key|x-api-key|x-goog-api-key"
    r"|admin_?key)$",
    re.IGNORECASE,
)


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, bytes):
        return mask(value.decode("utf-8", "replace"))
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: MASK if _names_secret(key) and item else _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(item) for item in value]
    return mask(str(value))


@functools.lru_cache(maxsize=1024)
def _names_secret(key: object) -> bool:
    """Facts have few names, and each line asks for all of its own."""
    return isinstance(key, str) and _SECRET_KEYS.search(key) is not None


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor; runs after exceptions were rendered, so that their text is masked too."""
    for key, value in event.items():
        event[key] = MASK if _names_secret(key) and value else _masked(value)
    return event


class _Line:
    """Writes finished lines; keeps the name that `get_logger` was called with."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def _write(self, line: str) -> None:
        # One write a line, so that lines of several threads and processes do not mix.
        self._stream.write(line + "\n")
        self._stream.flush()

    debug = info = warning = error = critical = exception = log = msg = _write


def _add_name(logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record = event.get("_record")  # there for lines of the standard library's logging
    name = record.name if record is not None else getattr(logger, "name", "")
    if name:
        event.setdefault("logger", name)
    return event


def _json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    ordered = {key: event.pop(key) for key in ("timestamp", "level", "logger", "event") if key in event}
    return msgspec.json.encode(ordered | dict(event), enc_hook=str).decode()


def _is_news(record: logging.LogRecord) -> bool:
    """A request that the protocol refuses has a line of its own, which says more; see `routes.refusal`."""
    return record.msg != "Invalid HTTP request received."


def set_up(log_format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Point structlog and the standard library's logging at one stream (standard error by default).

    log_format: `json`, `text`, or `auto` for text where the stream is a terminal.
    """
    lines = stream or sys.stderr
    renderer: Any = _json
    if log_format == "text" or (log_format == "auto" and lines.isatty()):
        renderer = Readable(colors=lines.isatty())
    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _add_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.processors.format_exc_info, redact, renderer]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *names: _Line(lines, str(names[0]) if names else ""),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries tell their housekeeping at INFO; what an operator needs of it we log ourselves.
    root.setLevel(number if level == "debug" else max(number, logging.WARNING))
    # Its lines of what it tries again hold the names of pictures, which begin with prompts; what fails for good we log.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # While the store hangs it warns at each beat that the beat before goes on still; that the store is away we log once.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    logging.captureWarnings(True)
