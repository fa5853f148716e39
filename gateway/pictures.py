"""From settings to what finishes and keeps pictures."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from msgspec import Struct

from core.clock import Clock
from core.metrics import Metrics
from engine import Studio, StudioSettings
from gateway.settings import Settings, SettingsError
from storage import Local, Objects, Shelf, StorageError

if TYPE_CHECKING:
    from watermark import Stars

log = structlog.get_logger("gempool.storage")


class Pictures(Struct, frozen=True):
    """local: the folder, which also stands in for a store that fails. shelf: both, to those who keep or read pictures."""

    local: Local
    store: Objects
    shelf: Shelf
    studio: Studio

    async def be_ready(self, calm: Callable[[], Awaitable[None]]) -> None:
        """Prepare for the first picture, which takes more than a second of computing, once `calm` has returned."""
        await calm()
        await self.studio.prepare()

    async def look_after(self) -> None:
        """Say where pictures could not be kept, then keep the folder within its bounds until cancelled."""
        checks = await asyncio.gather(
            *(store.check() for store in dict.fromkeys((self.store, self.local))), return_exceptions=True
        )
        for failed in checks:
            if isinstance(failed, StorageError):
                log.error("pictures cannot be kept there", why=str(failed))
        await self.local.keep_swept()

    def origin(self) -> str:
        """Scheme and host that links to pictures lead to, '' where that is the gateway itself."""
        try:
            address = urlsplit(self.store.link("a.png"))
        except StorageError:
            return ""  # why is logged by `look_after`
        return f"{address.scheme}://{address.netloc}" if address.netloc else ""


def pictures_of(settings: Settings, metrics: Metrics, clock: Clock) -> Pictures:
    """Raises SettingsError where the file of the logo's shape cannot be used."""
    storage = settings.storage
    folder = storage.directory or settings.data_dir / "pictures"
    local = Local(folder, clock, storage.max_age, storage.max_bytes)
    store: Objects = _s3(settings) if settings.stores_in_s3 else local
    shelf = Shelf(store, local, metrics, clock)
    watermark = settings.watermark
    options = StudioSettings(watermark.enabled, watermark.workers, watermark.max_pixels)
    return Pictures(local, store, shelf, Studio(shelf, options, metrics, _stars(watermark.stars_file)))


def _stars(file: Path | None) -> "Stars | None":
    if file is None:
        return None
    from watermark import read_stars  # noqa: PLC0415 -- what works on pixels is brought in when it is needed

    try:
        return read_stars(file.read_bytes())
    except (OSError, ValueError) as problem:
        raise SettingsError([f"watermark.stars_file: {file} cannot be used. {problem}"]) from problem


def _s3(settings: Settings) -> Objects:
    from storage.s3 import S3  # noqa: PLC0415 -- its SDK takes a tenth of a start's imports; few need it

    s3, storage = settings.s3, settings.storage
    return S3(
        s3.endpoint,
        s3.access_key,
        s3.secret_key,
        s3.bucket,
        public_url=s3.public_url,
        region=storage.region,
        link_ttl=storage.link_ttl,
        timeout=storage.timeout,
    )
