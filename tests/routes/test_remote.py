"""Pictures that requests name by their web address, fetched for them over real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from core.chat import Blob, Finish, Picture, Text, Usage
from core.clock import SystemClock
from fetch import Fetcher, FetchSettings, networks
from routes import EdgeSettings
from storage import Local, name_of
from tests.fakes.edge import Edge, edge
from tests.support.files import PNG
from tests.support.web import Site, moved, response, site

CHAT = "/v1/chat/completions"
GENERATE = "/v1beta/models/gemini-2.5-pro:generateContent"
EDIT = "/v1beta/models/gemini-2.5-flash-image:editImage"
BODY_LIMIT = 100_000


@pytest.fixture(scope="module")
def opened() -> Iterator[Edge]:
    """An edge whose operator lets callers name pictures on this machine."""
    fetcher = Fetcher(FetchSettings(allow=networks(["127.0.0.1"]), timeout=2.0))
    with edge(settings=EdgeSettings(body_limit=BODY_LIMIT), fetch=fetcher) as found:
        yield found


@pytest.fixture
def near(opened: Edge) -> Edge:
    opened.chat.reset()
    return opened


@pytest.fixture
async def web() -> AsyncIterator[Site]:
    async with site() as found:
        found.pages["/a.png"] = response(PNG, "Content-Type: image/jpeg")
        yield found


async def post(gate: Edge, path: str, body: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=gate.url, timeout=10) as client:
        return await client.post(path, json=body)


def chat(*urls: str, stream: bool = False) -> dict[str, Any]:
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content = [{"type": "text", "text": "look"}, *parts]
    return {"messages": [{"role": "user", "content": content}], "stream": stream}


def contents(*urls: str) -> dict[str, Any]:
    parts: list[Any] = [{"fileData": {"mimeType": "image/png", "fileUri": url}} for url in urls]
    return {"contents": [{"parts": [{"text": "look"}, *parts]}]}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chats_picture_is_fetched_before_the_engine_is_asked(
    near: Edge, web: Site, stream: bool
) -> None:
    """It arrives like one that was sent along, under its true type; whole and streamed."""
    answer = await post(near, CHAT, chat(f"{web.url}/a.png", stream=stream))
    assert answer.status_code == 200
    [ask] = near.chat.asks
    assert ask.messages[0].parts == (Text("look"), Blob(PNG, "image/png"))


async def test_a_gemini_files_address_is_fetched_too(near: Edge, web: Site) -> None:
    """`fileData.fileUri` with a web address, in both spellings and in `:editImage`."""
    uri = f"{web.url}/a.png"
    snake = {"contents": [{"parts": [{"text": "look"}, {"file_data": {"file_uri": uri}}]}]}
    for path, body in (
        (GENERATE, contents(uri)),
        (GENERATE, snake),
        (EDIT, contents(uri)),
        (EDIT, {"prompt": "look", "image": uri}),
        (EDIT, {"prompt": "look", "images": [{"fileData": {"fileUri": uri}}]}),
    ):
        assert (await post(near, path, body)).status_code == 200
        assert near.chat.asks[-1].messages[0].parts == (Text("look"), Blob(PNG, "image/png"))
    count = await post(near, GENERATE.replace("generateContent", "countTokens"), contents(uri))
    assert count.json() == {"totalTokens": 1 + 258}
    assert len(web.requests) == 5


@pytest.mark.parametrize(
    ("path", "field"),
    [(CHAT, "messages[0].content[1].image_url.url"), (GENERATE, "contents[0].parts[1].fileData.fileUri")],
)
@pytest.mark.parametrize(
    ("page", "words"),
    [
        (response(b"<html>secret</html>"), "no picture"),
        (response(b"", status="403 Forbidden"), "status 403"),
        (response(PNG[:-4]), "cut off"),
        (moved("http://127.0.0.2/"), "public internet"),
        (response(PNG[:16] + b"\x7f\xff\xff\xff" * 2 + PNG[24:]), "Scale it down"),
    ],
)
async def test_what_cannot_be_fetched_is_refused_in_the_routes_dialect(
    near: Edge, web: Site, path: str, field: str, page: bytes, words: str
) -> None:
    """The field is named; the engine is never asked."""
    web.pages["/b.png"] = page
    url = f"{web.url}/b.png"
    answer = await post(near, path, chat(url) if path == CHAT else contents(url))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert f"'{field}'" in error["message"]
    assert words in error["message"]
    assert "secret" not in error["message"]
    if path == CHAT:
        assert (error["param"], error["type"]) == (field, "invalid_request_error")
    else:
        assert error["status"] == "INVALID_ARGUMENT"
        assert error["details"][0]["fieldViolations"][0]["field"] == field
    assert not near.chat.asks


async def test_a_gateway_that_may_not_fetch_says_so(gate: Edge) -> None:
    """And asks for the picture itself."""
    for path, body in (
        (CHAT, chat("https://a.example/b.png")),
        (GENERATE, contents("https://a.example/b.png")),
    ):
        answer = await post(gate, path, body)
        assert answer.status_code == 400
        assert "does not fetch those" in answer.json()["error"]["message"]
        assert "data URL" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "uri",
    [
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
        "gs://bucket/a.png",
        "files/abc",
        "",
        "ftp://a.example/b.png",
    ],
)
async def test_files_that_google_would_keep_are_not_known(near: Edge, uri: str) -> None:
    """Nobody waits for a fetch that cannot succeed."""
    answer = await post(near, GENERATE, contents(uri))
    assert answer.status_code == 400
    assert "stored files are not known here" in answer.json()["error"]["message"]


async def test_an_address_is_fetched_once_and_a_few_at_a_time(near: Edge, web: Site) -> None:
    """A history that shows the same picture again and again costs one transfer."""
    running = most = 0

    async def slow(writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        writer.write(response(PNG))
        await writer.drain()

    for n in range(8):
        web.pages[f"/{n}.png"] = slow
    urls = [f"{web.url}/{n}.png" for n in (0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 7)]
    assert (await post(near, CHAT, chat(*urls))).status_code == 200
    assert near.chat.asks[0].messages[0].parts == (Text("look"), *[Blob(PNG, "image/png")] * len(urls))
    assert len(web.requests) == 8
    assert most == 4


async def test_fetched_pictures_are_bounded_together(near: Edge, web: Site) -> None:
    """As if they had come in the body: what may not be sent may not be fetched either."""
    large = PNG + bytes(30_000)
    for n in range(4):
        web.pages[f"/{n}.png"] = response(large)
    answer = await post(near, CHAT, chat(*(f"{web.url}/{n}.png" for n in range(3))))
    assert answer.status_code == 200
    web.pages["/larger.png"] = response(larger := PNG + bytes(90_000))
    assert (await post(near, CHAT, chat(f"{web.url}/larger.png"))).status_code == 200
    assert near.chat.asks[-1].messages[0].parts[1] == Blob(larger, "image/png")
    answer = await post(near, CHAT, chat(*(f"{web.url}/{n}.png" for n in range(4))))
    assert answer.status_code == 413
    assert f"more than {BODY_LIMIT} bytes" in answer.json()["error"]["message"]


async def test_the_first_failure_ends_the_other_fetches(near: Edge, web: Site) -> None:
    """Nobody waits for the rest."""
    begun = asyncio.Event()

    async def trickling(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        begun.set()
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    async def failing(writer: asyncio.StreamWriter) -> None:
        await begun.wait()
        writer.write(response(b"", status="404 Not Found"))
        await writer.drain()

    web.pages |= {"/slow": trickling, "/gone": failing}
    answer = await post(near, CHAT, chat(f"{web.url}/slow", f"{web.url}/gone"))
    assert "status 404" in answer.json()["error"]["message"]
    async with asyncio.timeout(2):
        while web.closed < 2:  # noqa: ASYNC110 - a counter, not an event
            await asyncio.sleep(0.005)


async def test_a_caller_who_hangs_up_ends_the_fetch(near: Edge, web: Site) -> None:
    """The other side's connection is closed at once, and no account is asked."""
    begun = asyncio.Event()

    async def trickling(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        begun.set()
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    web.pages["/slow"] = trickling
    before = near.metric("gempool_cancelled_total")
    body = json.dumps(chat(f"{web.url}/slow")).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", near.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    await begun.wait()
    writer.close()
    async with asyncio.timeout(1.5):  # the fetch's own bound is 2 s
        await web.ended.wait()
        while near.metric("gempool_cancelled_total") == before:  # noqa: ASYNC110 - a counter, not an event
            await asyncio.sleep(0.005)
    assert not near.chat.asks


async def test_the_wait_for_other_servers_is_not_the_gateways_own_time(near: Edge, web: Site) -> None:
    """`x-gempool-overhead-ms` leaves it out."""

    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(response(PNG))
        await writer.drain()

    web.pages["/slow"] = slow
    near.chat.waited = 0.001
    answer = await post(near, CHAT, chat(f"{web.url}/slow"))
    assert float(answer.headers["x-gempool-overhead-ms"]) < 250


async def test_data_urls_and_addresses_go_together(near: Edge, web: Site) -> None:
    """In the order in which they were sent."""
    data = "data:image/png;base64," + base64.b64encode(PNG + b"2").decode()
    await post(near, CHAT, chat(f"{web.url}/a.png", data, f"  {web.url}/a.png "))
    assert near.chat.asks[0].messages[0].parts == (
        Text("look"),
        Blob(PNG, "image/png"),
        Blob(PNG + b"2", "image/png"),
        Blob(PNG, "image/png"),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Local:
    return Local(tmp_path_factory.mktemp("files"), SystemClock())


@pytest.fixture(scope="module")
def keeping(files: Local) -> Iterator[Edge]:
    """An edge that keeps pictures and fetches none."""
    with edge(files=files) as found:
        yield found


@pytest.mark.parametrize("path", [CHAT, GENERATE, EDIT, "/v1/images/edits", "/v1/generate-images"])
async def test_a_link_to_a_picture_of_our_own_is_read_from_the_store(
    keeping: Edge, files: Local, path: str
) -> None:
    """It may be given back to be changed, wherever the gateway stands and though it fetches nothing."""
    keeping.chat.reset()
    keeping.chat.say(Picture(PNG, "image/png"), Finish(Usage(1, 1), "gemini-flash"))
    name = name_of("a cat", "image/png", 0.0)
    url = keeping.url + await files.put(name, PNG, "image/png")
    body = {CHAT: chat(url), GENERATE: contents(url)}.get(path, {"prompt": "look", "image": url})
    answer = await post(keeping, path, body)
    assert answer.status_code == 200, answer.text
    assert keeping.chat.asks[0].messages[0].parts == (Text("look"), Blob(PNG, "image/png"))


@pytest.mark.parametrize(
    ("link", "words"),
    [
        pytest.param("/files/" + name_of("gone", "image/png", 0.0), "not stored here", id="gone"),
        ("/files/", "not stored here"),
        ("/files/..%2F..%2Fetc%2Fpasswd", "not stored here"),
        ("/files/../../etc/passwd", "not stored here"),
        ("/other/a.png", "does not fetch those"),
        (".example.com/files/a.png", "does not fetch those"),
    ],
)
async def test_other_addresses_of_our_own_are_none(keeping: Edge, link: str, words: str) -> None:
    """Only what the store has under that name."""
    answer = await post(keeping, CHAT, chat(keeping.url + link))
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
