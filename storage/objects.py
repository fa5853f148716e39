"""The port to a store of pictures."""

from typing import Protocol


class StorageError(Exception):
    """The store has not done what it was asked for. The text says why and what to look at, and holds no secret."""


class Objects(Protocol):
    """One place that keeps pictures by name. Nothing here blocks the event loop."""

    kind: str
    """`local` or `s3`, for logs and metrics."""

    async def put(self, name: str, data: bytes, content_type: str) -> str:
        """Keep the picture; the link under which it can be read. A link that begins with a slash is a path of the
        gateway's own. Raises StorageError."""
        ...

    async def read(self, name: str) -> bytes | None:
        """The picture's bytes; None where there is none of that name. Raises StorageError."""
        ...

    async def remove(self, name: str) -> None:
        """Forget the picture; one that is not there is no error. Raises StorageError."""
        ...

    def link(self, name: str) -> str:
        """A fresh link to the picture of that name, as `put` gives it, whether or not it is there. Raises StorageError."""
        ...

    def name_in(self, link: str) -> str:
        """The name of the picture to which `link` leads, '' where it is no link of this store's. A signed link is known also
        when its time is over."""
        ...

    async def check(self) -> None:
        """Raises StorageError where a picture could not be kept now."""
        ...
