"""`gempool doctor`, from options to what is printed."""

import asyncio
from collections.abc import Mapping

from core.clock import SystemClock
from gateway import logs
from gateway.doctor.examining import examine, unreadable
from gateway.settings import SettingsError, from_process


def doctor(options: Mapping[str, str], as_json: bool, push: bool) -> tuple[str, int]:
    """The report and the exit code: 0 all is well, 1 something should be looked at, 2 something does not work."""
    logs.set_up("text", "critical")
    try:
        report = asyncio.run(examine(from_process(options, listens=False), SystemClock(), push))
    except SettingsError as error:
        report = unreadable(error.problems)
    return report.json() if as_json else report.text(), report.exit_code
