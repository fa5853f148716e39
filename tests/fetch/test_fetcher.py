"""Pictures fetched from real servers, and every way in which such a server may try to lead us astray."""

import asyncio
import gzip
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
import trustme

from core.errors import InvalidRequest
from fetch import Fetcher, FetchSettings, networks
from fetch.slots import Slots
from tests.support.files import PNG
from tests.support.web import Site, moved, response, site

FIELD = "messages[0].content[1].image_url.url"
HERE = networks(["127.0.0.0/8"])


@pytest.fixture
async def web() -> AsyncIterator[Site]:
    async with site() as found:
        found.pages["/a.png"] = response(PNG, "Content-Type: text/html", "Set-Cookie: a=b")
        yield found


def fetcher(
    resolver: "Names | None" = None, tls: ssl.SSLContext | None = None, **settings: object
) -> Fetcher:
    """One to which this machine's loopback addresses are open."""
    chosen = FetchSettings(**{"allow": HERE, **settings})  # type: ignore[arg-type]
    return Fetcher(chosen, version="1.2.3", resolver=resolver, tls=tls)


class Names:
    """A resolver of its own: each look-up of a name takes the next answer, the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such host")
        found = self.answers[host]
        return found.pop(0) if len(found) > 1 else found[0]


async def refused(fetching: Fetcher, url: str) -> str:
    """Why; the words name the field and a remedy, and no address or content of the other side."""
    with pytest.raises(InvalidRequest) as caught:
        await fetching.picture(url, FIELD)
    assert caught.value.param == FIELD
    assert caught.value.message.startswith(f"'{FIELD}' ")
    assert caught.value.message.endswith("as a data URL (data:image/png;base64,...).")
    assert "secret" not in caught.value.message
    assert "127.0.0." not in caught.value.message
    return caught.value.message


async def test_a_picture_is_fetched_under_its_true_type(web: Site) -> None:
    """The bytes tell what it is, not the server's word; the request says who asks and keeps nothing."""
    fetching = fetcher()
    for _ in range(2):
        found = await fetching.picture(f"{web.url}/a.png?x=%20y#part", FIELD)
        assert (found.data, found.mime) == (PNG, "image/png")
    for head in web.requests:
        assert head.splitlines()[0] == "GET /a.png?x=%20y HTTP/1.1"
        lines = {line.lower() for line in head.splitlines()[1:] if line}
        assert lines == {
            f"host: 127.0.0.1:{web.port}",
            "user-agent: gempool/1.2.3",
            "accept: image/*",
            "accept-encoding: identity",
            "connection: close",
        }


async def test_this_machine_is_closed_unless_the_operator_opens_it(web: Site) -> None:
    """Refused before a connection is made, whatever the address is called."""
    fetching = Fetcher()
    for host in ("127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]"):
        assert "public internet" in await refused(fetching, f"http://{host}:{web.port}/a.png")
    assert not web.requests
    assert not web.closed


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "127.0.0.1.",
        "[::",
        "%00",
        "a b",
        "\uff11\uff12\uff17\u3002\uff10\u3002\uff10\u3002\uff11",
        "-",
    ],
)
async def test_odd_hosts_are_refused(web: Site, host: str) -> None:
    """Even where loopback is open: who wants an address writes it plainly."""
    await refused(fetcher(), f"http://{host}:{web.port}/a.png")
    assert not web.requests


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://example.com/a.png", "no http or https"),
        ("file:///etc/passwd", "no http or https"),
        ("gopher://127.0.0.1/_x", "no http or https"),
        ("/a.png", "no http or https"),
        ("http://", "no host"),
        ("http:///a.png", "no host"),
        ("http://user:secret@example.com/a.png", "user name or password"),
        ("http://secret@example.com/a.png", "user name or password"),
        ("http://example.com:22/a.png", "port 22"),
        ("https://example.com:6379/a.png", "port 6379"),
        ("http://example.com:99999/a.png", "no valid web address"),
        ("http://example.com:x/a.png", "no valid web address"),
        ("http://exa\x00mple.com/", "no valid web address"),
        ("http://example.com/" + "a" * 9000, "longer than"),
    ],
)
async def test_addresses_that_nobody_should_send(url: str, words: str) -> None:
    """Each is told apart, without any connection or look-up."""
    names = Names()
    assert words in await refused(fetcher(names), url)
    assert not names.asked


async def test_a_name_must_have_public_addresses_alone(web: Site) -> None:
    """One closed address among them is enough; a name that nobody knows is told in the same words, so that
    nobody can feel out the names of an internal network."""
    names = Names(
        mixed_test=[["127.0.0.1", "10.0.0.1"]],
        inside_test=[["192.168.0.1"]],
        six_test=[["::ffff:127.0.0.1"]],
        empty_test=[[]],
        odd_test=[["what"]],
    )
    told = {await refused(fetcher(names), f"http://{name}:{web.port}/a.png") for name in names.answers}
    told.add(await refused(fetcher(names), f"http://unknown.test:{web.port}/a.png"))
    assert len(told) == 1
    assert not web.requests


async def test_the_connection_goes_to_the_address_that_was_checked(web: Site) -> None:
    """A name whose answer changes is looked up once for a connection; the Host header keeps the name."""
    names = Names(shifty_test=[["127.0.0.1"], ["169.254.169.254"]])
    found = await fetcher(names).picture(f"http://shifty.test:{web.port}/a.png", FIELD)
    assert found.data == PNG
    assert names.asked == ["shifty.test"]
    assert f"host: shifty.test:{web.port}" in web.requests[0].lower()


async def test_a_changed_answer_is_checked_again_on_a_redirect(web: Site) -> None:
    """The same host once more is a new look-up and a new check."""
    web.pages["/go"] = moved("/a.png")
    names = Names(shifty_test=[["127.0.0.1"], ["10.0.0.1"]])
    assert "public internet" in await refused(fetcher(names), f"http://shifty.test:{web.port}/go")
    assert names.asked == ["shifty.test", "shifty.test"]
    assert len(web.requests) == 1


async def test_the_next_address_is_tried_where_one_does_not_answer(web: Site) -> None:
    """As browsers do it, with every address checked beforehand."""
    names = Names(two_test=[["127.0.0.9", "127.0.0.1"]])
    assert (await fetcher(names).picture(f"http://two.test:{web.port}/a.png", FIELD)).data == PNG
    nobody = Names(two_test=[["127.0.0.9"]])
    assert "cannot be reached" in await refused(fetcher(nobody), f"http://two.test:{web.port}/a.png")


async def test_redirects_are_followed_up_to_five(web: Site) -> None:
    """Relative and absolute ones; the sixth is one too many."""
    for n in range(1, 7):
        web.pages[f"/{n}"] = moved(f"{n - 1}" if n % 2 else f"{web.url}/{n - 1}")
    web.pages["/0"] = response(PNG)
    assert (await fetcher().picture(f"{web.url}/5", FIELD)).data == PNG
    assert "more than 5 times" in await refused(fetcher(), f"{web.url}/6")


async def test_a_redirect_into_the_own_network_is_refused(web: Site) -> None:
    """Where the first host is open and the next is not, the next is never reached."""
    async with site("127.0.0.2") as outside:
        outside.pages["/go"] = moved(f"{web.url}/a.png")
        fetching = Fetcher(FetchSettings(allow=networks(["127.0.0.2"])))
        assert "public internet" in await refused(fetching, f"{outside.url}/go")
    assert len(outside.requests) == 1
    assert not web.closed


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://secret/",
        "http://user:secret@a.b/",
        "//[",
        "http://0x7f.1/",
        "http://a:25/",
    ],
)
async def test_a_redirect_is_held_to_the_same_rules(web: Site, location: str) -> None:
    """What it says is not repeated."""
    web.pages["/go"] = moved(location)
    assert "redirects to" in await refused(fetcher(), f"{web.url}/go")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(b"secret", status="404 Not Found"), "status 404"),
        (response(b"secret", status="500 secret"), "status 500"),
        (response(b"", status="302 Found"), "status 302"),
        (response(PNG, status="206 Partial Content"), "status 206"),
        (response(b"<html>secret</html>", "Content-Type: image/png"), "no picture"),
        (response(b"<svg>secret</svg>", "Content-Type: image/svg+xml"), "no picture"),
        (response(b"%PDF-1.7"), "no picture"),
        (response(b""), "no picture"),
        (b"secret\r\n\r\n", "could not be read"),
        (b"", "could not be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + PNG, "could not be read"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: secret\r\n" * 20_000 + b"\r\n", "could not be read"),
        (response(b"secret" * 20, "Content-Encoding: gzip"), "damaged"),
        (response(PNG, "Content-Encoding: gzip"), "damaged"),
    ],
)  # fmt: skip
async def test_answers_that_are_no_picture(web: Site, answer: bytes, words: str) -> None:
    """Each is told apart, and nothing of what the other side wrote is repeated."""
    web.pages["/a.png"] = answer
    assert words in await refused(fetcher(), f"{web.url}/a.png")


async def test_a_declared_length_beyond_the_bound_is_not_read(web: Site) -> None:
    """Content-Length is believed where it says too much."""
    web.pages["/a.png"] = b"HTTP/1.1 200 OK\r\nContent-Length: 20971521\r\n\r\n" + PNG
    assert "larger than 20971520 bytes" in await refused(fetcher(), f"{web.url}/a.png")


async def test_what_declares_no_length_is_read_up_to_the_bound(web: Site) -> None:
    """At the bound it passes, one byte more ends the transfer; a server that never ends is left."""

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + (PNG + b"\0" * 4096)[:4096] + b"\r\n")
            await writer.drain()

    web.pages["/endless"] = endless
    fetching = fetcher(max_bytes=10_000)
    for size, fits in ((10_000, True), (10_001, False)):
        body = PNG + b"\0" * (size - len(PNG))
        web.pages["/a.png"] = response(body, length=False)
        if fits:
            assert (await fetching.picture(f"{web.url}/a.png", FIELD)).data == body
        else:
            assert "larger than 10000" in await refused(fetching, f"{web.url}/a.png")
    assert "larger than 10000" in await refused(fetching, f"{web.url}/endless")


async def test_a_page_is_left_at_its_first_bytes(web: Site) -> None:
    """Nobody reads megabytes of what is no picture."""
    sent = 0

    async def page(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 15 * 1024 * 1024:
            writer.write(b"<p>" * 10_000)
            await writer.drain()
            sent += 30_000

    web.pages["/page"] = page
    assert "no picture" in await refused(fetcher(), f"{web.url}/page")
    assert sent < 15 * 1024 * 1024


async def test_compression_that_nobody_asked_for_is_undone_within_the_bound(web: Site) -> None:
    """A small body that becomes a huge one is refused after one byte too many."""
    web.pages["/a.png"] = response(gzip.compress(PNG), "Content-Encoding: gzip")
    web.pages["/bomb"] = response(gzip.compress(PNG + bytes(50_000_000)), "Content-Encoding: GZIP")
    assert (await fetcher().picture(f"{web.url}/a.png", FIELD)).data == PNG
    assert "larger than" in await refused(fetcher(max_bytes=1_000_000), f"{web.url}/bomb")


async def test_time_is_bounded_for_all_of_it(web: Site) -> None:
    """A server that sends a byte now and then, and one that redirects slowly, do not go on for ever."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n\r\n" + PNG * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    web.pages["/drip"] = drip
    web.pages["/go"] = moved("/drip")
    started = time.monotonic()
    for path in ("/drip", "/go"):
        assert "within 0.3 seconds" in await refused(fetcher(timeout=0.3), f"{web.url}{path}")
    assert time.monotonic() - started < 5


async def test_a_slow_look_up_counts_as_well() -> None:
    """The bound holds from the first step on."""

    class Never:
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            await asyncio.Event().wait()
            return []

    fetching = Fetcher(FetchSettings(timeout=0.1), resolver=Never())
    assert "within 0.1 seconds" in await refused(fetching, "http://slow.test/a.png")


async def test_tls_is_spoken_with_the_name_and_to_the_address_that_was_checked() -> None:
    """Server name, certificate and Host are the name's; a certificate of another name will not do."""
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pictures.test").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    names = Names(pictures_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    names.answers["pictures.test."] = [["127.0.0.1"]]
    async with site(tls=served) as web:
        web.pages["/a.png"] = response(PNG)
        fetching = fetcher(names, trusting)
        assert (await fetching.picture(f"https://pictures.test:{web.port}/a.png", FIELD)).data == PNG
        assert (await fetching.picture(f"https://pictures.test.:{web.port}/a.png", FIELD)).data == PNG
        assert web.names == ["pictures.test"] * 2
        assert f"host: pictures.test:{web.port}" in web.requests[0].lower()
        assert "encryption failed" in await refused(fetching, f"https://other.test:{web.port}/a.png")
        assert "encryption failed" in await refused(fetcher(names), f"https://pictures.test:{web.port}/a.png")
    assert len(web.requests) == 2


async def test_a_server_that_speaks_no_tls_is_told_so(web: Site) -> None:
    """Neither does it hang nor is it asked again without encryption."""
    assert "encryption failed" in await refused(fetcher(), f"https://127.0.0.1:{web.port}/a.png")
    assert not web.requests


async def test_ipv6_servers_are_reached_by_their_address() -> None:
    """Brackets are in the Host header and nowhere else."""
    async with site("::1") as web:
        web.pages["/a.png"] = response(PNG)
        fetching = Fetcher(FetchSettings(allow=networks(["::1"])))
        assert (await fetching.picture(f"{web.url}/a.png", FIELD)).data == PNG
        assert f"host: [::1]:{web.port}" in web.requests[0].lower()


async def test_the_environments_proxies_are_ignored(web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would make the connection in our place, to whatever address it finds."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await fetcher().picture(f"{web.url}/a.png", FIELD)).data == PNG


async def test_an_operator_may_close_it() -> None:
    """Then every address is refused, and the words say which setting it is."""
    assert "server.fetch_remote" in await refused(Fetcher(FetchSettings(enabled=False)), "https://a.b/c.png")


async def test_fetches_under_way_are_bounded(web: Site) -> None:
    """The others wait for their turn, and all of them get it."""
    running = most = 0

    async def slow(writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        writer.write(response(PNG))
        await writer.drain()

    web.pages["/slow"] = slow
    fetching = fetcher(at_once=3)
    found = await asyncio.gather(*(fetching.picture(f"{web.url}/slow", FIELD) for _ in range(12)))
    assert [blob.data for blob in found] == [PNG] * 12
    assert most == 3


async def test_one_callers_dead_addresses_do_not_hold_up_anothers(web: Site) -> None:
    """Beyond its share a caller waits for itself, without a slot that others could use."""
    hanging = 0
    full, over = asyncio.Event(), asyncio.Event()

    async def dead(writer: asyncio.StreamWriter) -> None:
        nonlocal hanging
        hanging += 1
        if hanging == 2:
            full.set()
        await over.wait()
        writer.write(response(PNG))
        await writer.drain()

    web.pages["/dead"] = dead
    fetching = fetcher(at_once=3, per_caller=2)
    waiting = [asyncio.create_task(fetching.picture(f"{web.url}/dead", FIELD, "a")) for _ in range(8)]
    await full.wait()
    for _ in range(5):
        assert (await fetching.picture(f"{web.url}/a.png", FIELD, "b")).data == PNG
    assert hanging == 2
    assert not any(task.done() for task in waiting)
    over.set()
    assert [blob.data for blob in await asyncio.gather(*waiting)] == [PNG] * 8


async def test_large_pictures_wait_for_one_another_and_small_ones_do_not(web: Site) -> None:
    """What is held in memory is bounded, however many fetches are under way."""
    sent = {"/1": 0, "/2": 0}
    reached, over = asyncio.Event(), asyncio.Event()
    large = PNG + bytes(3_000_000)

    def slow(path: str) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
        async def page(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large) + large[:2000])
            await writer.drain()
            sent[path] = 1
            if all(sent.values()):
                reached.set()
            await over.wait()
            writer.write(large[2000:])
            await writer.drain()

        return page

    web.pages.update({path: slow(path) for path in sent})
    fetching = fetcher(small=1000, large_at_once=1, timeout=5.0)
    waiting = [asyncio.create_task(fetching.picture(f"{web.url}{path}", FIELD, path)) for path in sent]
    await reached.wait()
    for _ in range(3):
        assert (await fetching.picture(f"{web.url}/a.png", FIELD)).data == PNG
    over.set()
    first, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert len(first) == 1
    assert [blob.data for blob in await asyncio.gather(*waiting)] == [large] * 2


async def test_the_time_stands_still_while_a_large_picture_waits_for_its_turn(web: Site) -> None:
    """Its server has done nothing wrong."""
    large = PNG + bytes(30_000)
    web.pages["/large"] = response(large)
    fetching = fetcher(small=1000, large_at_once=1, timeout=0.3)
    over = asyncio.Event()

    async def held(writer: asyncio.StreamWriter) -> None:
        # Beyond what is small at once, then a little now and then until the bound on its time.
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + large)
        await writer.drain()
        await over.wait()

    web.pages["/held"] = held
    first = asyncio.create_task(refused(fetching, f"{web.url}/held"))
    second = asyncio.create_task(fetching.picture(f"{web.url}/large", FIELD))
    third = asyncio.create_task(fetching.picture(f"{web.url}/large", FIELD))
    assert "within 0.3 seconds" in await first
    assert (await second).data == (await third).data == large
    over.set()


async def test_nothing_is_kept_of_callers_who_have_gone() -> None:
    """A share is there while it is used."""
    slots = Slots(2, 1)
    for caller in ("a", "b", "a"):
        async with slots.taken(caller):
            assert list(slots.callers) == [caller]
    assert not slots.callers


async def test_a_cancelled_fetch_closes_its_connection(web: Site) -> None:
    """Nothing is left behind by a caller who went away."""
    begun = asyncio.Event()

    async def trickling(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            begun.set()
            await asyncio.sleep(0.005)

    web.pages["/hang"] = trickling
    task = asyncio.create_task(fetcher().picture(f"{web.url}/hang", FIELD))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await web.ended.wait()


def test_the_settings_are_those_that_the_documents_tell() -> None:
    """Ten seconds, five redirects, 20 MB, and no network but the public one."""
    settings = FetchSettings()
    assert (settings.timeout, settings.redirects, settings.max_bytes) == (10.0, 5, 20 * 1024 * 1024)
    assert not settings.allow
    assert ipaddress.ip_network("127.0.0.0/8") in HERE
