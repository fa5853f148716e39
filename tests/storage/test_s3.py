"""The S3 store against a real server."""

import asyncio
import contextlib
import re
import socket
import time
from pathlib import Path

import httpx
import pytest

from core.clock import SystemClock
from core.metrics import Metrics
from core.secret import Secret
from storage import Local, Shelf, StorageError, name_of
from storage.s3 import S3
from tests.support.ports import free_ports
from tests.support.s3 import ACCESS, BUCKET, SECRET

PNG = b"\x89PNG" + bytes(range(256)) * 4000


async def read(link: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(link)


def store(
    endpoint: str, *, access: str = ACCESS, secret: str = SECRET, bucket: str = BUCKET, **more: str
) -> S3:
    return S3(endpoint, Secret(access), Secret(secret), bucket, retries=1, timeout=10.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("prompt", ["a fox", "雪地里的狐狸", "100% & more?"])
async def test_a_signed_link_reads_the_picture(s3: str, prompt: str) -> None:
    """The link that `put` gives reads the same bytes with their type, without any key."""
    link = await store(s3).put(name_of(prompt, "image/png", time.time()), PNG, "image/png")
    answer = await read(link)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content == PNG
    assert SECRET not in link
    assert (await read(link.partition("?")[0])).status_code == 403


async def test_a_public_link(s3: str) -> None:
    """With a public address the link is that and the name."""
    name = name_of("狐", "image/png", time.time())
    link = await store(s3, public_url="https://pictures.example/all/").put(name, PNG, "image/png")
    assert link.startswith("https://pictures.example/all/")
    assert link.isascii()
    assert httpx.URL(link).path == f"/all/{name}"


def shelf_of(s3: str, folder: Path, **more: object) -> Shelf:
    return Shelf(store(s3, **more), Local(folder, SystemClock()), Metrics(), SystemClock())  # type: ignore[arg-type]


@pytest.mark.parametrize("prompt", ["a fox", "雪地里的狐狸"])
@pytest.mark.parametrize("public_url", ["", "https://pictures.example/all"])
async def test_a_kept_picture_is_read_and_discarded_by_its_link(
    s3: str, tmp_path: Path, prompt: str, public_url: str
) -> None:
    """By a signed link or a public one; once discarded it reads nothing, and a second time is no error."""
    shelf = shelf_of(s3, tmp_path, public_url=public_url)
    kept = await shelf.keep(PNG, "image/png", prompt)
    assert kept.kind == "s3"
    assert await shelf.read(kept.link) == PNG
    await shelf.discard(kept.link)
    await shelf.discard(kept.link)
    assert await shelf.read(kept.link) is None


async def test_a_signed_link_whose_time_is_over_is_made_anew(s3: str, tmp_path: Path) -> None:
    """The store refuses the old one; the gateway still reads its picture, and the new one works for everybody."""
    kept = await shelf_of(s3, tmp_path, link_ttl=1.0).keep(PNG, "image/png", "狐狸")
    deadline = time.monotonic() + 10
    while (await read(kept.link)).status_code == 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    shelf = shelf_of(s3, tmp_path)
    assert await shelf.read(kept.link) == PNG
    renewed = await shelf.renewed(kept.link)
    assert renewed != kept.link
    assert (await read(renewed)).content == PNG


async def test_links_of_before_a_public_address_was_set(s3: str, tmp_path: Path) -> None:
    """A signed link becomes the public one."""
    kept = await shelf_of(s3, tmp_path).keep(PNG, "image/png", "fox")
    shelf = shelf_of(s3, tmp_path, public_url="https://pictures.example")
    assert await shelf.renewed(kept.link) == f"https://pictures.example/{kept.name}"
    assert await shelf.read(kept.link) == PNG


async def test_other_links_are_left_alone(s3: str, tmp_path: Path) -> None:
    """Another bucket's, another host's, another name's: nothing is read, nothing removed."""
    shelf = shelf_of(s3, tmp_path)
    kept = await shelf.keep(PNG, "image/png", "fox")
    for link in (
        kept.link.replace(f"/{BUCKET}/", "/other/"),
        kept.link.replace("127.0.0.1", "127.0.0.2"),
        f"{s3}/{BUCKET}/ready",
        f"{s3}/{BUCKET}/",
        f"/{BUCKET}/{kept.name}",
    ):
        assert link != kept.link
        assert await shelf.read(link) is None
        await shelf.discard(link)
        assert await shelf.renewed(link) == link
    assert await shelf.read(kept.link) == PNG


async def test_reading_from_a_store_that_refuses_or_is_not_there(s3: str, tmp_path: Path) -> None:
    """The store says why it could not; the shelf has no picture then, and raises nothing."""
    name = name_of("fox", "image/png", 1.0)
    away = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(StorageError, match="cannot be reached"):
        await store(away).read(name)
    with pytest.raises(StorageError, match="cannot be reached"):
        await store(away).remove(name)
    with pytest.raises(StorageError, match="S3_SECRET_KEY"):
        await store(s3, secret="wrong").read(name)
    with pytest.raises(StorageError, match="Bucket"):
        await store(s3, bucket="Not A Bucket").read(name)
    bad = store(s3, bucket="Not A Bucket")
    with pytest.raises(StorageError):
        bad.link(name)
    assert bad.name_in(f"{s3}/Not%20A%20Bucket/{name}") == ""
    shelf = shelf_of(away, tmp_path)
    assert await shelf.read(store(away).link(name)) is None
    await shelf.discard(store(away).link(name))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"secret": "not-the-secret"}, "S3_SECRET_KEY"),
        ({"access": "nobody"}, "S3_ACCESS_KEY"),
    ],
)
async def test_what_is_wrong_is_named(s3: str, wrong: dict[str, str], said: str) -> None:
    """A wrong secret or key: an error that names the setting and shows neither key."""
    with pytest.raises(StorageError, match=said) as caught:
        await store(s3, **wrong).put(name_of("fox", "image/png", 1.0), PNG, "image/png")
    assert SECRET not in str(caught.value)
    assert "not-the-secret" not in str(caught.value)
    with pytest.raises(StorageError):
        await store(s3, **wrong).check()


async def test_a_bucket_that_is_missing(s3: str) -> None:
    """Told by `check`, with its name: this server makes a bucket for who writes into it."""
    with pytest.raises(StorageError, match="no-such-bucket"):
        await store(s3, bucket="no-such-bucket").check()


async def test_check_of_a_store_that_is_well(s3: str) -> None:
    """The right keys and bucket: nothing to say."""
    await store(s3).check()


async def test_nobody_there() -> None:
    """A refused connection and one that never answers both end in words, the second within its bounds."""
    with pytest.raises(StorageError, match="cannot be reached"):
        await store(f"http://127.0.0.1:{free_ports(1)[0]}").put(
            name_of("f", "image/png", 1.0), PNG, "image/png"
        )
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = S3(
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            Secret("a"),
            Secret("s"),
            "bucket",
            timeout=0.3,
            retries=1,
        )
        started = time.monotonic()
        with pytest.raises(StorageError, match="cannot be reached"):
            await mute.put(name_of("f", "image/png", 1.0), PNG, "image/png")
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("endpoint", ["", "minio:9000", "ftp://x", "https://host/path"])
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    """Refused at once, with what it should look like."""
    with pytest.raises(ValueError, match="https://host"):
        store(endpoint)


async def test_a_failed_store_loses_no_picture(s3: str, tmp_path: Path) -> None:
    """The picture is kept in the local folder, and metrics tell it; the well store is used without a word."""
    clock = SystemClock()
    local = Local(tmp_path, clock)
    metrics = Metrics()

    def value(kind: str, outcome: str) -> float:
        labels = {"store": kind, "outcome": outcome}
        return metrics.registry.get_sample_value("gempool_pictures_stored_total", labels) or 0.0

    kept = await Shelf(store(s3, secret="wrong"), local, metrics, clock).keep(PNG, "image/png", "a fox")
    assert kept.kind == "local"
    found = await local.find(kept.name)
    assert found is not None
    assert found.path.read_bytes() == PNG
    assert (value("s3", "failed"), value("local", "fallback")) == (1, 1)
    kept = await Shelf(store(s3), local, metrics, clock).keep(PNG, "image/png", "a fox")
    assert kept.kind == "s3"
    assert (await read(kept.link)).content == PNG
    assert value("s3", "ok") == 1


ANSWERS = {
    "an error that is cut off": b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/xml\r\ncontent-length: 16\r\n\r\n<Error><Code>Acc",
    "no tag of what was kept": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a page": b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
@pytest.mark.parametrize("size", [1000, 6_000_000])
async def test_whatever_a_store_answers_the_picture_is_kept(tmp_path: Path, answer: bytes, size: int) -> None:
    """Something that is no S3 stands at the address: the folder has the picture."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        local = Local(tmp_path, SystemClock())
        shelf = Shelf(store(f"http://127.0.0.1:{port}"), local, Metrics(), SystemClock())
        stored = await shelf.keep(PNG[:8] + bytes(size), "image/png", "fox")
        assert stored.kind == "local"
        assert await local.find(stored.name) is not None


async def test_nowhere_to_keep_it(tmp_path: Path) -> None:
    """Where the local folder fails as well the error is told."""
    (tmp_path / "files").write_text("in the way")
    local = Local(tmp_path / "files", SystemClock())
    with pytest.raises(StorageError):
        await Shelf(local, local, Metrics(), SystemClock()).keep(PNG, "image/png", "a fox")
