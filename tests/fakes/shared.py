"""What replicas share, in memory: for what reads what it finds there."""


class Found:
    """As much of `pool.Shared` as reading and writing values takes. The first key that is asked for holds `text`."""

    def __init__(self, text: str) -> None:
        self._text: str | None = text
        self._values: dict[str, str] = {}

    async def get(self, key: str, refresh: float | None = None) -> str | None:
        if self._text is not None:
            self._values[key], self._text = self._text, None
        return self._values.get(key)

    async def head(self, key: str, length: int) -> str:
        return (await self.get(key) or "")[:length]

    async def put(self, key: str, value: str, ttl: float | None = None) -> None:
        self._values[key] = value

    async def swap(
        self, key: str, old: str | None, new: str, ttl: float | None = None, mark: object = None
    ) -> bool:
        if old != await self.get(key):
            return False
        self._values[key] = new
        return True

    async def publish(self, channel: str, text: str) -> None: ...
