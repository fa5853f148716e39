"""The operator's desk and the journal, as the settings want them."""

from core.clock import Clock
from gateway.batches import Batches
from gateway.settings import Settings
from journal import Facts, Happened, Journal
from pool import Pool, RosterError, Shared
from supervisor import Alerts, Incident
from supervisor.jars import Jars
from supervisor.operator import Operator
from supervisor.readings import About, Readings, Work
from supervisor.settings import SupervisorSettings


class AccountsFile:
    """What is told of the accounts file: to the alerts, and to the journal where it broke or is well again."""

    def __init__(self, path: str, alerts: Alerts, journal: Journal, clock: Clock) -> None:
        self._path = path
        self._alerts = alerts
        self._journal = journal
        self._clock = clock
        self._why = ""

    def told(self, error: RosterError | None) -> None:
        """The file is broken (again, or in another way), or well (again)."""
        if error is None:
            self._alerts.resolve(file=self._path)
            if self._why:
                self._note("mended", self._path)
            self._why = ""
            return
        self._alerts.raise_(Incident("config_broken", file=self._path, detail=str(error)))
        self._why = str(error)
        self._note("broken", self._why)

    @property
    def broken(self) -> dict[str, str]:
        return {self._path: self._why} if self._why else {}

    def _note(self, outcome: str, detail: str) -> None:
        self._journal.happened(Happened(self._clock.now(), "config", outcome=outcome, detail=detail))


def operator_of(
    settings: Settings,
    care: SupervisorSettings,
    pool: Pool,
    shared: Shared,
    jars: Jars,
    journal: Journal,
    alerts: Alerts,
    file: AccountsFile,
    batches: Batches,
    clock: Clock,
    version: str,
) -> Operator:
    """care: what the supervisor goes by. The journal tells the other replicas what this one tells of itself."""

    def facts() -> Facts:
        return Facts(alerts.pending, file.broken)

    def work() -> Work:
        found = batches.facts()
        return Work(found["open"], found["waiting"], found["running"])

    journal.facts = facts
    about = About(version, clock.now(), bool(settings.bark.url and settings.bark.keys))
    readings = Readings(pool, shared, jars, journal, care, clock, about, facts, work)
    return Operator(pool, readings, journal, clock)
