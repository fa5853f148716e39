"""What becomes of a downloaded picture, with real files, a real folder and a store that is not there."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.watermark_samples import decode, encode, stamp, texture
from core.chat import Picture, PictureWish
from core.clock import SystemClock
from core.metrics import Metrics
from core.pictures import measure
from core.secret import Secret
from engine import Studio, StudioSettings
from storage import Local, Shelf
from storage.s3 import S3
from watermark import Stars

MADE_BY_AI = b"trainedAlgorithmicMedia"
WIDTH, HEIGHT = 420, 300
CLEAN = texture("fractal", 3, HEIGHT, WIDTH)
MARKED = stamp(CLEAN, "v1", 48, (32, 32))


def given_as(format: str, pixels: NDArray[np.uint8] = MARKED) -> Picture:
    data = encode(pixels, format)
    found = measure(data)
    assert found is not None
    return Picture(data, found.format, "a fox", found.width, found.height)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = Metrics()
        self.studios: list[Studio] = []

    def studio(self, stars: Stars | None = None, shelf: Shelf | None = None, **settings: object) -> Studio:
        if shelf is None:
            local = self.local()
            shelf = Shelf(local, local, self.metrics, SystemClock())
        self.studios.append(Studio(shelf, StudioSettings(**settings), self.metrics, stars))  # type: ignore[arg-type]
        return self.studios[-1]

    def local(self) -> Local:
        return Local(self.folder, SystemClock())

    def verdicts(self, verdict: str) -> float:
        return self.value("gempool_watermark_total", verdict=verdict)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "pictures")
    yield bench
    for studio in bench.studios:
        await studio.close()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
async def test_the_logo_goes_and_the_origin_is_declared(bench: Bench, format: str) -> None:
    """In the format that it came in, at its own size."""
    given = given_as(format)
    finished = await bench.studio().finish(given, PictureWish(), "a fox")
    assert finished.watermark == "removed"
    assert (finished.mime, finished.width, finished.height) == (given.mime, WIDTH, HEIGHT)
    assert finished.alt == "a fox"
    assert MADE_BY_AI in finished.data
    box = np.s_[-80:-32, -80:-32]
    before = np.abs(decode(given.data)[box].astype(int) - CLEAN[box]).mean()
    assert np.abs(decode(finished.data)[box].astype(int) - CLEAN[box]).mean() < before / 5
    assert bench.verdicts("removed") == 1
    assert bench.value("gempool_watermark_duration_seconds_count") == 1


@pytest.mark.parametrize(
    ("wish", "enabled"), [(PictureWish(keep_watermark=True), True), (PictureWish(), False)]
)
async def test_the_logo_stays_where_it_is_wished(bench: Bench, wish: PictureWish, enabled: bool) -> None:
    """By the request or by the operator: then only the metadata is added, and no time is measured."""
    given = given_as("png")
    finished = await bench.studio(enabled=enabled).finish(given, wish, "")
    assert finished.watermark == "kept"
    assert np.array_equal(decode(finished.data), MARKED)
    assert MADE_BY_AI in finished.data
    assert bench.value("gempool_watermark_duration_seconds_count") == 0


async def test_a_picture_without_the_logo_keeps_every_pixel(bench: Bench) -> None:
    """And says why it was left as it is."""
    finished = await bench.studio().finish(given_as("png", CLEAN), PictureWish(), "")
    assert finished.watermark == "no_logo"
    assert np.array_equal(decode(finished.data), CLEAN)


@pytest.mark.parametrize("mime", ["image/jpeg", "image/webp", "image/png"])
async def test_another_format_is_made_on_demand(bench: Bench, mime: str) -> None:
    """Without the logo, at the same size, with its origin."""
    finished = await bench.studio().finish(given_as("png"), PictureWish(format=mime, quality=80), "")
    found = measure(finished.data)
    assert found is not None
    assert (
        (found.format, found.width, found.height) == (finished.mime, WIDTH, HEIGHT) == (mime, WIDTH, HEIGHT)
    )
    assert finished.watermark == "removed"
    assert finished.upscaled_from is None
    assert MADE_BY_AI in finished.data


async def test_an_enlarged_picture_says_so(bench: Bench) -> None:
    """Its size is that of the wish, and the size that it really had stands beside it."""
    wish = PictureWish(pixels=1024, upscale=True, format="image/jpeg")
    finished = await bench.studio().finish(given_as("png"), wish, "")
    assert (finished.width, finished.height) == (1024, 731)
    assert finished.upscaled_from == (WIDTH, HEIGHT)
    assert finished.mime == "image/jpeg"
    small = PictureWish(pixels=1024, upscale=False)
    assert (await bench.studio().finish(given_as("png"), small, "")).width == WIDTH


async def test_a_picture_that_is_large_enough_is_not_enlarged(bench: Bench) -> None:
    """Nor is it said to be."""
    large = given_as("png", np.full((1100, 1200, 3), 90, np.uint8))
    finished = await bench.studio().finish(large, PictureWish(pixels=1024, upscale=True), "")
    assert (finished.width, finished.upscaled_from) == (1200, None)


@pytest.mark.parametrize(
    ("came", "wished", "width"), [(2048, 1024, 1024), (4100, 2048, 2048), (1376, 1024, 1376)]
)
async def test_an_original_of_a_larger_class_is_cleaned_and_then_reduced(
    bench: Bench, came: int, wished: int, width: int
) -> None:
    """The logo is taken off where it was stamped, so that nothing of it is in the smaller picture; a picture of the
    class that was asked for keeps every pixel."""
    clean = texture("fractal", 4, came * 9 // 16, came)
    marked = stamp(clean, "v1", 96, (64, 64))
    finished = await bench.studio().finish(given_as("png", marked), PictureWish(pixels=wished), "")
    assert (finished.watermark, finished.width, finished.upscaled_from) == ("removed", width, None)
    expected = (
        clean if width == came else cv2.resize(clean, (width, finished.height), interpolation=cv2.INTER_AREA)
    )
    assert np.abs(decode(finished.data).astype(int) - expected).max() <= 1
    assert MADE_BY_AI in finished.data


async def test_more_pixels_than_allowed_are_not_decoded(bench: Bench) -> None:
    """The picture goes out as it came, with its origin declared."""
    studio = bench.studio(max_pixels=1000)
    wish = PictureWish(format="image/jpeg", upscale=True)
    finished = await studio.finish(given_as("png"), wish, "")
    assert (finished.watermark, finished.mime) == ("too_many_pixels", "image/png")
    assert np.array_equal(decode(finished.data), MARKED)
    assert finished.upscaled_from is None


class BrokenStars(Stars):
    """Stands for any fault in the removal."""

    def __init__(self) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("a fault of ours")


async def test_a_fault_in_the_removal_costs_no_picture(bench: Bench) -> None:
    """It is logged and counted; the picture goes out as it came, with its origin declared."""
    finished = await bench.studio(BrokenStars()).finish(given_as("png"), PictureWish(link=True), "a fox")
    assert finished.watermark == "failed"
    assert np.array_equal(decode(finished.data), MARKED)
    assert MADE_BY_AI in finished.data
    assert finished.link
    assert bench.verdicts("failed") == 1


class WaitingStars(Stars):
    """Keeps whoever looks at it waiting, and knows how many do."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.seen = threading.Semaphore(0)
        self.looking: list[int] = []

    def __getattr__(self, name: str) -> object:
        self.looking.append(threading.get_ident())
        self.seen.release()
        self.go_on.wait(10)
        raise RuntimeError("only the waiting was wanted")


@pytest.mark.parametrize("workers", [1, 2])
async def test_pixels_are_worked_on_beside_the_loop_a_few_at_a_time(bench: Bench, workers: int) -> None:
    """While a picture is cleaned the event loop goes on; no more than `workers` are decoded at once."""
    stars = WaitingStars()
    studio = bench.studio(stars, workers=workers)
    working = [
        asyncio.ensure_future(studio.finish(given_as("png"), PictureWish(), "")) for _ in range(2 * workers)
    ]

    for _ in range(workers):
        assert await asyncio.to_thread(stars.seen.acquire, timeout=10)
    assert len(stars.looking) == workers
    stars.go_on.set()
    await asyncio.gather(*working)
    assert len(set(stars.looking)) == workers
    assert threading.get_ident() not in stars.looking


async def test_a_link_leads_to_the_very_bytes(bench: Bench) -> None:
    """Under a name that begins with the prompt's words; none is stored where no link is wanted."""
    finished = await bench.studio().finish(given_as("png"), PictureWish(link=True), "Ein Fuchs, 狐狸!")
    assert finished.link.startswith("/files/")
    (stored,) = bench.folder.iterdir()
    assert "ein-fuchs-狐狸" in stored.name
    assert stored.read_bytes() == finished.data
    await bench.studio().finish(given_as("png"), PictureWish(), "a fox")
    assert len(list(bench.folder.iterdir())) == 1


def dead_s3() -> S3:
    return S3("http://127.0.0.1:9", Secret("ak"), Secret("sk"), "pictures", timeout=0.5, retries=0)


async def test_a_store_that_is_away_costs_no_link(bench: Bench) -> None:
    """The folder stands in, and that is counted."""
    shelf = Shelf(dead_s3(), bench.local(), bench.metrics, SystemClock())
    finished = await bench.studio(shelf=shelf).finish(given_as("png"), PictureWish(link=True), "a fox")
    assert finished.link.startswith("/files/")
    assert bench.value("gempool_pictures_stored_total", store="s3", outcome="failed") == 1
    assert bench.value("gempool_pictures_stored_total", store="local", outcome="fallback") == 1


async def test_a_folder_that_is_away_costs_the_link_alone(bench: Bench) -> None:
    """The picture itself is there, and its route hands it out inline."""
    bench.folder.write_text("this is no folder")
    finished = await bench.studio().finish(given_as("png"), PictureWish(link=True), "a fox")
    assert finished.link == ""
    assert finished.watermark == "removed"
    assert bench.value("gempool_pictures_stored_total", store="local", outcome="failed") == 1


def gif() -> bytes:
    return b"GIF89a" + (8).to_bytes(2, "little") * 2 + b"\x00" * 20


async def test_what_cannot_be_converted_stays_what_it_is(bench: Bench) -> None:
    """With its true type, whatever was wished."""
    finished = await bench.studio().finish(
        Picture(gif(), "image/gif", "", 8, 8), PictureWish(format="image/png"), ""
    )
    assert (finished.data, finished.mime, finished.watermark) == (gif(), "image/gif", "unsupported")


MUTATED: list[Callable[[], bytes]] = [lambda: encode(MARKED, "png"), lambda: encode(MARKED, "jpeg")]


@given(st.sampled_from(range(2)), st.data())
def test_a_damaged_file_is_handed_out_all_the_same(
    tmp_path_factory: pytest.TempPathFactory, kind: int, data: st.DataObject
) -> None:
    """Whatever is in the file, something with its own first bytes comes back."""
    whole = bytearray(MUTATED[kind]())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(12, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(64, len(whole)))])
    mime = ["image/png", "image/jpeg"][kind]
    wish = PictureWish(format=data.draw(st.sampled_from(["", "image/webp"])))

    async def finish() -> Picture:
        bench = Bench(tmp_path_factory.getbasetemp() / "never")
        studio = bench.studio()
        try:
            return await studio.finish(Picture(cut, mime, "", WIDTH, HEIGHT), wish, "")
        finally:
            await studio.close()

    finished = asyncio.run(finish())
    assert finished.data[:3] in (cut[:3], b"RIF")
    assert finished.mime in (mime, wish.format)


async def test_closing_waits_for_the_picture_at_work(bench: Bench) -> None:
    """A stop leaves no thread behind."""
    stars = WaitingStars()
    studio = bench.studio(stars)
    working = asyncio.ensure_future(studio.finish(given_as("png"), PictureWish(), ""))
    assert await asyncio.to_thread(stars.seen.acquire, timeout=10)
    closing = asyncio.ensure_future(studio.close())
    stars.go_on.set()
    await closing
    assert (await working).watermark == "failed"
    assert not [thread for thread in threading.enumerate() if thread.ident in stars.looking]
