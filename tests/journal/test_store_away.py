"""The journal while its store does not answer."""

import signal
from pathlib import Path

import pytest

from core.clock import SystemClock
from journal import Journal
from tests.support.adapter import until, until_so
from tests.support.journals import served
from tests.support.store import freeze, valkey


async def test_entries_outlive_a_store_that_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are written when it is back, each once; those beyond the bound are lost, oldest first, and their number is logged.
    Noting goes on as if nothing were wrong."""
    with valkey(tmp_path) as (process, url):
        clock = SystemClock()
        journal = Journal(url, clock, "one", timeout=0.3, every=0.05, waiting=10)
        journal.start()
        journal.served(served(clock.now(), "before"))

        async def ids() -> list[str]:
            return [entry.id for entry in await journal.recent()]

        async def written() -> bool:
            return await ids() == ["before"]

        await until_so(written)
        freeze(process)
        journal.served(served(clock.now(), "first"))
        await until(lambda: "cannot be written" in caplog.text)
        for number in range(14):
            journal.served(served(clock.now(), f"r{number}"))
        process.send_signal(signal.SIGCONT)

        async def back() -> bool:
            return "r13" in await ids()

        await until_so(back)
        assert set(await ids()) == {"before", "first", *(f"r{number}" for number in range(4, 14))}
        assert sum(minute.served["ok"] for minute in await journal.minutes()) == 12
        await until(lambda: "the journal is written again" in caplog.text)
        [lost] = [record.getMessage() for record in caplog.records if "lost entries" in record.getMessage()]
        assert "requests=4" in lost
        await journal.close()
