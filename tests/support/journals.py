"""Journals of several replicas on one store, whose time a test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio

from journal import Asked, Happened, Journal, Served

PREFIX = "{gempool-journal}:"
CLOCK = "local NOW = tonumber(redis.call('GET', KEYS[1] .. 'test-clock'))"
START = 1_800_000_000.0
"""The first second of a minute."""


class HandClock:
    """A clock that a test moves. `ahead`: seconds that it is ahead of the store's."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.at = START + ahead

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")


class Written:
    """Replicas' journals, by name, and the time that they and the store go by."""

    def __init__(self, url: str, store: "redis.asyncio.Redis") -> None:
        self.url = url
        self.store = store
        self.now = START
        self._journals: dict[str, Journal] = {}
        self._clocks: dict[str, HandClock] = {}

    def journal(self, replica: str = "one", *, ahead: float = 0.0, **options: Any) -> Journal:
        """The replica's, made when first asked for."""
        if replica not in self._journals:
            self._clocks[replica] = clock = HandClock(ahead + self.now - START)
            self._journals[replica] = Journal(self.url, clock, replica, store_clock=CLOCK, **options)
        return self._journals[replica]

    def now_of(self, replica: str) -> float:
        """The time that the replica takes it to be."""
        self.journal(replica)
        return self._clocks[replica].now()

    async def pass_(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds
        for clock in self._clocks.values():
            clock.at += seconds
        await self.store.set(f"{PREFIX}test-clock", round(self.now * 1000))

    async def close(self) -> None:
        for journal in self._journals.values():
            await journal.close()


@asynccontextmanager
async def written(url: str) -> AsyncIterator[Written]:
    store = redis.asyncio.Redis.from_url(url)
    found = Written(url, store)
    await found.pass_(0)
    yield found
    await found.close()
    await store.aclose()


def served(at: float = START, id: str = "r", outcome: str = "ok", **changes: Any) -> Served:
    """A request that took one account 1.5 s."""
    return Served(
        **{
            "at": at,
            "id": id,
            "replica": "one",
            "caller": "ann",
            "route": "/v1/chat/completions",
            "model": "gemini-2.5-flash",
            "status": 200,
            "outcome": outcome,
            "seconds": 1.5,
            "first_content": 0.6,
            "asked": (Asked("alice", outcome, 1.4),),
            **changes,
        }
    )


def happened(at: float = START, detail: str = "", **changes: Any) -> Happened:
    return Happened(**{"at": at, "kind": "alert", "outcome": "told", "detail": detail, **changes})
