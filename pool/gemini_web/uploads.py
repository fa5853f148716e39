"""Names of uploads. The web app takes a file for what its name's ending says, and so does the library."""

import mimetypes

from core.chat import Blob
from core.pictures import EXTENSIONS

_ENDINGS = {"application/pdf": ".pdf"} | {mime: f".{ending}" for mime, ending in EXTENSIONS.items()}
for _mime, _ending in _ENDINGS.items():
    # The library asks this table for the type of an ending; what of it is known depends on the machine.
    mimetypes.add_type(_mime, _ending)


def file_name(blob: Blob) -> str:
    """A name for an upload whose ending tells the type."""
    ending = _ENDINGS.get(blob.mime) or mimetypes.guess_extension(blob.mime) or ".bin"
    stem = (blob.name or "file").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in stem)[:60] or "file"
    return safe + ending
