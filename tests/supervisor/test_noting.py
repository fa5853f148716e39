"""What those who look after the accounts note for the journal."""

from core.clock import SystemClock
from core.errors import NetworkFault, SessionExpired
from core.masking import mask
from core.metrics import Metrics
from core.secret import Secret
from engine.service import HandedIn
from journal import Happened
from pool import Shared
from supervisor import Alerts, AlertsSettings, Incident
from tests.fakes.sessions import FakeWeb
from tests.support.adapter import until
from tests.support.caring import Phone, Ward, account
from tests.support.journals import HandClock


def noted(notes: list[Happened], kind: str, account: str = "") -> list[str]:
    """The outcomes of a kind about an account, oldest first."""
    return [note.outcome for note in notes if (note.kind, note.account) == (kind, account)]


async def test_probes_rotations_and_the_lead_are_noted(ward: Ward) -> None:
    """By the replica that does them: each with what came of it, whatever that is."""
    web, notes = FakeWeb(), list[Happened]()
    others = list[Happened]()
    web.rotate_errors["bob"] = NetworkFault("the proxy is down")
    accounts = [account("alice"), account("bob")]
    await ward.carer(web, accounts, note=notes.append, rotate_interval=0.5)
    await ward.carer(web, accounts, note=others.append, rotate_interval=0.5)
    await until(lambda: {"well"} <= set(noted(notes, "probe", "alice")))
    await until(lambda: "ok" in noted(notes, "rotation", "alice"))
    await until(lambda: "network" in noted(notes, "rotation", "bob"))
    assert {note.detail for note in notes if note.outcome == "network"} == {"the proxy is down"}
    web.probe_errors["alice"] = web.open_errors["alice"] = SessionExpired("gone")
    await until(lambda: "expired" in noted(notes, "probe", "alice"))
    assert noted(notes, "leader") == ["leads"]
    assert others == []


async def test_handed_in_cookies_are_noted(ward: Ward) -> None:
    """What the upstream said of them, and that dead ones are not used; never a value."""
    web, notes = FakeWeb(), list[Happened]()
    carer = await ward.carer(web, [account("alice")], note=notes.append, probe_interval=30.0)
    await carer.supervisor.replace_cookies("alice", HandedIn(Secret("g.a000fresh"), Secret("sidts-fresh")))
    web.dead_cookies.add("g.a000dead")
    await carer.supervisor.replace_cookies("alice", HandedIn(Secret("g.a000dead")))
    assert noted(notes, "cookies", "alice") == ["well", "expired"]
    assert "g.a000" not in str(notes)
    assert "sidts-" not in str(notes)


async def test_alerts_are_noted_once_told(empty_valkey: str) -> None:
    """And those that nobody could be told; not what is merely noticed again."""
    notes, phone, shared = list[Happened](), Phone(), Shared(empty_valkey)
    settings = AlertsSettings(min_interval=0.0)
    alerts = Alerts(shared, settings, phone, SystemClock(), Metrics(), mask, note=notes.append)
    alerts.start()
    alerts.raise_(Incident("expired", account="alice"))
    alerts.raise_(Incident("expired", account="alice"))
    await until(lambda: notes)
    alerts.raise_(Incident("config_broken", file="accounts.yaml", detail="line 3"))
    await until(lambda: len(notes) == 2 and not alerts.pending)
    assert [(note.account, note.outcome, note.detail) for note in notes] == [
        ("alice", "told", "expired"),
        ("", "told", "config_broken: file:accounts.yaml"),
    ]
    await alerts.close()
    silent = Alerts(shared, settings, None, HandClock(), Metrics(), mask, note=notes.append)
    silent.raise_(Incident("pool_empty"))
    silent.raise_(Incident("pool_empty"))
    assert [(note.outcome, note.detail) for note in notes[2:]] == [("no_device", "pool_empty: pool")]
    await shared.close()
