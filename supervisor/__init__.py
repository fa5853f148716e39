"""What looks after the accounts while nobody watches, and what the operator sees of it."""

from supervisor.alerts import Alerts, AlertsSettings
from supervisor.bark import Bark, BarkError, Encryption
from supervisor.incidents import Incident, account_incidents, incidents_of, pool_incidents
from supervisor.lookout import Lookout
from supervisor.notes import Note

__all__ = [
    "Alerts",
    "AlertsSettings",
    "Bark",
    "BarkError",
    "Encryption",
    "Incident",
    "Lookout",
    "Note",
    "account_incidents",
    "incidents_of",
    "pool_incidents",
]
