"""Alerts as the settings want them, and the verb that tries them out."""

import asyncio
from collections.abc import Mapping

import click

from core.clock import Clock
from core.masking import mask
from core.metrics import Metrics
from gateway.settings import Settings, SettingsError, from_process
from journal import Noting
from pool import Shared
from supervisor import Alerts, AlertsSettings, Bark, Encryption, Note

NO_DEVICE = (
    "No device is named. Set BARK_URL (https://api.day.app is the app's public server) and BARK_KEYS (the part"
    " of the address that the app shows after it)."
)


def bark_of(settings: Settings) -> Bark | None:
    """The client of the Bark server; None where no device is named."""
    bark = settings.bark
    if not (bark.url and bark.keys):
        return None
    encryption = None
    if bark.encryption_key:
        encryption = Encryption(bark.encryption_key, settings.alerts.bark_encryption)
    return Bark(bark.url, bark.keys, encryption, settings.alerts.timeout)


def alerts_of(
    settings: Settings,
    shared: Shared,
    bark: Bark | None,
    clock: Clock,
    metrics: Metrics,
    replica: str,
    note: Noting,
) -> Alerts:
    """The alerts over that client. replica: this process's name, unique among the living. note: takes what becomes of them."""
    given = settings.alerts
    wanted = AlertsSettings(
        pool_below=given.pool_below,
        min_interval=given.min_interval,
        max_age=given.max_age,
        environment=given.environment,
        admin_url=given.admin_url,
    )
    return Alerts(shared, wanted, bark, clock, metrics, mask, replica, note=note)


def test(options: Mapping[str, str]) -> str:
    """Send a test alert to every device and print what became of it. Returns '' where all have it, else what
    went wrong."""
    try:
        settings = from_process(options, listens=False)
    except SettingsError as problem:
        return str(problem)
    bark = bark_of(settings)
    return NO_DEVICE if bark is None else asyncio.run(_test(settings, bark))


async def _test(settings: Settings, bark: Bark) -> str:
    environment = settings.alerts.environment
    note = Note(
        title=f"{environment}: test",
        body="Alerts of this gateway reach this device. Nothing is wrong.",
        severity="plain",
        id="gw-@test",
        group=environment,
        url=settings.alerts.admin_url,
    )
    try:
        deliveries = await bark.push(note)
    finally:
        await bark.close()
    for delivery in deliveries:
        told = "sent" if delivery.outcome == "ok" else f"{delivery.outcome}: {mask(delivery.detail)}"
        click.echo(f"device {delivery.device + 1} of {len(deliveries)}: {told}")
    failed = sum(delivery.outcome != "ok" for delivery in deliveries)
    if not failed:
        return ""
    return (
        f"{failed} of {len(deliveries)} devices did not get the alert. Look at BARK_URL and BARK_KEYS (device 1"
        " is the first key), and whether this machine reaches the server."
    )
