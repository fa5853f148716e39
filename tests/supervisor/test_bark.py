"""The client of the Bark server, against a strict stand-in on a real socket."""

import base64
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given, settings
from hypothesis import strategies as st

from core.secret import Secret
from supervisor.bark import PAYLOAD_BYTES, Bark, BarkError, Encryption, fitted
from supervisor.incidents import Incident
from supervisor.notes import Note, note_of
from tests.fakes.bark import FakeBark, bark_server

PHONE, TABLET = "phone4Key", "TabletKeyB"
NOTE = note_of(Incident("expired", account="alice"), "gempool", "https://pool.example.com")
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def server() -> Iterator[FakeBark]:
    with bark_server(PHONE, TABLET) as server:
        yield server


@asynccontextmanager
async def client(
    url: str, *keys: str, encryption: Encryption | None = None, timeout: float = 5.0
) -> AsyncIterator[Bark]:
    bark = Bark(Secret(url), [Secret(key) for key in keys], encryption, timeout)
    try:
        yield bark
    finally:
        await bark.close()


async def test_an_alert_arrives_as_the_app_wants_it(server: FakeBark) -> None:
    """Strings only, with level, group, the account's stable id and the link to its page."""
    async with client(server.url, PHONE) as bark:
        assert [d.outcome for d in await bark.push(NOTE)] == ["ok"]
    (received,) = server.of(PHONE)
    assert all(isinstance(value, str) for value in received.values())
    assert received["level"] == "timeSensitive"
    assert received["group"] == "gempool"
    assert received["id"] == "gw-alice"
    assert received["url"] == "https://pool.example.com/admin#account-alice"
    assert "alice" in received["title"]


async def test_severities_have_their_levels(server: FakeBark) -> None:
    """An empty pool rings through silent mode; an all-clear does not even light the screen."""
    async with client(server.url, PHONE) as bark:
        await bark.push(note_of(Incident("pool_empty", total=5), "gempool"))
        await bark.push(note_of(Incident("recovered", account="alice"), "gempool"))
    empty, clear = server.of(PHONE)
    assert (empty["level"], empty["call"], empty["volume"]) == ("critical", "1", "5")
    assert (clear["level"], clear["id"]) == ("passive", "gw-alice")
    assert "call" not in clear


async def test_several_devices_go_in_one_request(server: FakeBark) -> None:
    """A server that knows batches is asked once."""
    async with client(server.url, PHONE, TABLET) as bark:
        assert [d.outcome for d in await bark.push(NOTE)] == ["ok", "ok"]
    assert len(server.requests) == 1
    assert len(server.of(PHONE)) == len(server.of(TABLET)) == 1


async def test_each_row_of_a_batch_is_looked_at(server: FakeBark) -> None:
    """The answer is 200 though one device failed; the failure is told without the key, the other one is fine."""
    async with client(server.url, PHONE, "unknownKey7", TABLET) as bark:
        first, second, third = await bark.push(NOTE)
    assert (first.outcome, second.outcome, third.outcome) == ("ok", "refused", "ok")
    assert second.detail.startswith("code 400: failed to get device token")
    assert "unknownKey7" not in second.detail


async def test_an_old_server_gets_one_request_for_each_device(server: FakeBark) -> None:
    """Without batches the first push finds out, and later ones do not ask again."""
    server.batch = False
    async with client(server.url, PHONE, TABLET) as bark:
        assert [d.outcome for d in await bark.push(NOTE)] == ["ok", "ok"]
        assert len(server.requests) == 3
        await bark.push(NOTE)
        assert len(server.requests) == 5
    assert len(server.of(PHONE)) == len(server.of(TABLET)) == 2


async def test_only_the_named_devices_are_sent_to(server: FakeBark) -> None:
    """What one device has already is not sent to it again."""
    async with client(server.url, PHONE, TABLET) as bark:
        assert [d.device for d in await bark.push(NOTE, [1])] == [1]
    assert (len(server.of(PHONE)), len(server.of(TABLET))) == (0, 1)


@pytest.mark.parametrize(("status", "message"), [(400, "device key is wrong"), (500, "push failed: EOF")])
async def test_a_refusal_tells_the_servers_reason(server: FakeBark, status: int, message: str) -> None:
    """Its status and its words."""
    server.answer_with = (status, message)
    async with client(server.url, PHONE, TABLET) as bark:
        deliveries = await bark.push(NOTE)
    assert {(d.outcome, d.detail) for d in deliveries} == {("refused", f"HTTP {status}: {message}")}


@pytest.mark.parametrize("garbage", [b"<html>hello</html>", b"[]", b'"ok"', b"null", b'{"code": "200"}', b""])
async def test_an_answer_that_is_not_barks_counts_as_a_refusal(server: FakeBark, garbage: bytes) -> None:
    """A login page that answers 200 is no delivery."""
    server.garbage = garbage
    async with client(server.url, PHONE, TABLET) as bark:
        assert [d.outcome for d in await bark.push(NOTE)] == ["refused", "refused"]


async def test_a_slow_server_is_given_up_in_time(server: FakeBark) -> None:
    """The bound holds for the whole exchange."""
    server.delay = 2.0
    async with client(server.url, PHONE, timeout=0.1) as bark:
        (delivery,) = await bark.push(NOTE)
    assert (delivery.outcome, delivery.detail) == ("unreachable", "no answer within 0.1 s")


async def test_a_server_that_is_not_there_is_told_as_such() -> None:
    """A refused connection raises nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with client(f"http://127.0.0.1:{port}", PHONE, TABLET) as bark:
        assert [d.outcome for d in await bark.push(NOTE)] == ["unreachable", "unreachable"]


async def test_a_user_in_the_address_signs_in(server: FakeBark) -> None:
    """Self-hosted servers may ask for basic authentication; the password is nowhere else."""
    server.user = "operator:pa:ss"
    async with client(server.url.replace("://", "://operator:pa%3Ass@") + "/", PHONE) as bark:
        assert [d.outcome for d in await bark.push(NOTE)] == ["ok"]
    async with client(server.url, PHONE) as bark:
        assert [d.outcome for d in await bark.push(NOTE)] == ["refused"]


@pytest.mark.parametrize("mode", ["gcm", "cbc"])
@pytest.mark.parametrize("length", [16, 24, 32])
async def test_an_encrypted_alert_tells_the_server_nothing(server: FakeBark, mode: str, length: int) -> None:
    """Title, body, group and link travel in the ciphertext; the id beside it is a digest."""
    key = KEY[:length]
    async with client(server.url, PHONE, encryption=Encryption(Secret(key), mode)) as bark:  # type: ignore[arg-type]
        assert [d.outcome for d in await bark.push(NOTE)] == ["ok"]
        await bark.push(NOTE)
    first, second = server.of(PHONE)
    assert set(first) == {"ciphertext", "iv", "id"}
    assert "alice" not in str(first)
    assert first["id"] == second["id"]
    assert first["iv"] != second["iv"]
    opened = unsealed(first, key, mode)
    assert opened["title"] == NOTE.title
    assert opened["level"] == "timeSensitive"
    assert all(isinstance(value, str) for value in opened.values())


def unsealed(sent: dict[str, str], key: str, mode: str) -> dict[str, str]:
    """As the app opens it."""
    sealed, iv = base64.b64decode(sent["ciphertext"]), sent["iv"].encode()
    if mode == "gcm":
        assert len(iv) == 12
        plain = AESGCM(key.encode()).decrypt(iv, sealed, None)
    else:
        assert len(iv) == 16
        decryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(iv)).decryptor()
        unpadder = PKCS7(128).unpadder()
        plain = unpadder.update(decryptor.update(sealed) + decryptor.finalize()) + unpadder.finalize()
    opened: dict[str, str] = msgspec.json.decode(plain)
    return opened


def test_a_key_of_the_wrong_length_is_refused() -> None:
    """The message names the setting and the remedy, and does not show the key."""
    with pytest.raises(BarkError) as refused:
        Encryption(Secret("too-short"), "gcm")
    assert str(refused.value).startswith("BARK_ENCRYPTION_KEY: ")
    assert "too-short" not in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(
    title=st.text(max_size=500),
    body=st.text(max_size=8000) | st.text(alphabet='"\\\n中😀', max_size=4000),
    encrypted=st.booleans(),
)
def test_a_note_always_fits(title: str, body: str, encrypted: bool) -> None:
    """Whatever the words are, the parameters stay within what APNs takes, and short ones are not cut."""
    note = Note(title, body, "critical", "gw-alice", "gempool", "https://pool.example.com/admin")
    sent = fitted(note, Encryption(Secret(KEY), "gcm") if encrypted else None)
    assert len(msgspec.json.encode(sent)) <= PAYLOAD_BYTES
    opened = unsealed(sent, KEY, "gcm") if encrypted else sent
    if len(body) < 100 and len(title) < 50:
        assert (opened["body"], opened["title"]) == (body, title)


async def test_a_long_text_reaches_the_phone(server: FakeBark) -> None:
    """The server refuses more than 4 KB; the client cuts before."""
    note = note_of(Incident("config_broken", file="accounts.yaml", detail="line 3: 中 " * 3000), "gempool")
    async with client(server.url, PHONE) as bark:
        assert [d.outcome for d in await bark.push(note)] == ["ok"]
    assert server.of(PHONE)[0]["body"].endswith("…")
