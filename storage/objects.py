"""The port to a store of pictures."""

from typing import Protocol


class StorageError(Exception):
    """The store has not taken a picture. The text says why and what to look at, and holds no secret."""


class Objects(Protocol):
    """One place that keeps pictures by name. Nothing here blocks the event loop."""

    kind: str
    """`local` or `s3`, for logs and metrics."""

    async def put(self, name: str, data: bytes, content_type: str) -> str:
        """Keep the picture; the link under which it can be read. A link that begins with a slash is a path of the
        gateway's own. Raises StorageError."""
        ...

    async def check(self) -> None:
        """Raises StorageError where a picture could not be kept now."""
        ...
