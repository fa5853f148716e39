"""`gempool doctor`: looks at everything that the gateway stands on, and says in plain words what to do."""

from gateway.doctor.examining import examine
from gateway.doctor.findings import Finding, Level, Report
from gateway.doctor.verb import doctor

__all__ = ["Finding", "Level", "Report", "doctor", "examine"]
