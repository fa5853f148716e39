"""The examination, part by part. None of them stops the others."""

import asyncio

from core.clock import Clock
from gateway.doctor import accounts, machine, services, upstream
from gateway.doctor.findings import Finding, Report
from gateway.doctor.store import store, store_url
from gateway.settings import Settings


async def examine(settings: Settings, clock: Clock, push: bool = False) -> Report:
    """Looks at everything; changes nothing that lasts. Asks the upstream once for each account and once for the time.

    push: send a test alert to every device.
    """
    found = [
        *machine.configuration(settings),
        *machine.files(settings, settings.environment),
        *machine.system(settings),
    ]
    roster, told = accounts.roster(settings)
    found += told
    in_store = await store(settings, clock)
    found += in_store
    listed = roster.accounts if roster is not None else ()
    url = store_url(settings) if _answers(in_store) else None
    renewed, unreadable = await accounts.newest(listed, url, settings)
    found += unreadable
    parts = await asyncio.gather(
        accounts.sessions(settings, renewed),
        upstream.upstream_clock(renewed, settings.upstream_ca_file, clock, settings.engine.connect_timeout),
        services.pictures(settings, clock),
        services.alerts(settings, push),
        services.gateway(settings),
    )
    return Report.of([*found, *(finding for part in parts for finding in part)])


def _answers(found: list[Finding]) -> bool:
    """Whether the store was asked and has told what it is."""
    return any(finding.part == "clock" for finding in found)


def unreadable(problems: tuple[str, ...]) -> Report:
    """The report where the settings themselves are wrong, so that nothing else can be looked at."""
    return Report.of(
        [
            Finding("configuration", "problem", text, "docs/configuration.md lists all settings.")
            for text in problems
        ]
    )
