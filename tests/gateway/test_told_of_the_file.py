"""What becomes of a broken accounts file for who looks."""

from core.clock import SystemClock
from core.masking import mask
from core.metrics import Metrics
from gateway.operator import AccountsFile
from journal import Journal
from pool import RosterError, Shared
from supervisor import Alerts, AlertsSettings


async def test_a_broken_file_is_noted_until_it_is_mended(empty_valkey: str) -> None:
    """It stands among what is broken, with what is wrong; breaking and mending are noted, a good start is not."""
    clock, shared = SystemClock(), Shared(empty_valkey)
    journal = Journal(empty_valkey, clock, "one")
    alerts = Alerts(shared, AlertsSettings(), None, clock, Metrics(), mask)
    file = AccountsFile("accounts.yaml", alerts, journal, clock)
    file.told(None)
    assert file.broken == {}
    error = RosterError("accounts.yaml", 3, "accounts[0].id", "is missing")
    file.told(error)
    assert file.broken == {"accounts.yaml": str(error)}
    file.told(None)
    assert file.broken == {}
    await journal.flush()
    found = [(entry.kind, entry.outcome, entry.detail) for entry in (await journal.happenings())[::-1]]
    assert sorted(found) == [("config", "broken", str(error)), ("config", "mended", "accounts.yaml")]
    await journal.close()
    await alerts.close()
    await shared.close()
