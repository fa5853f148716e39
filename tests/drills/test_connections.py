"""Callers who leave, send slowly, read slowly or send half of what they began: nobody else notices, and nothing of theirs stays."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.drills.callers import Callers, Question, faults
from tests.drills.conftest import House, Scale
from tests.drills.verdict import reset
from tests.support.processes import Gateway, wait_for


def connected(gateway: Gateway, *, receives: int = 0) -> socket.socket:
    """receives: bytes that the kernel keeps for a caller who does not read; 0: what it likes."""
    one = socket.socket()
    if receives:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    one.connect(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
    return one


def request(text: str, *, stream: bool = True) -> bytes:
    """A whole one, as it goes over the wire."""
    path, body = Question(text, stream=stream).request()
    sent = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(sent)}\r\n\r\n".encode() + sent


@contextmanager
def trickled(open_: list[socket.socket], data: bytes, every: float) -> Iterator[None]:
    """While the block lasts each of them sends a byte at a time."""
    over = threading.Event()

    def send() -> None:
        for byte in data[:-1]:
            if over.wait(every):
                return
            for one in open_:
                try:
                    one.send(bytes([byte]))
                except OSError:
                    continue  # the gateway has had enough of it

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(3600)
def test_thousands_of_callers_leave(house: House, scale: Scale) -> None:
    """Most questions are left at a random moment - before the head, within the content, just before the end -, many wait in the queue;
    whoever stays is answered, and nothing of those who left stays."""
    gateway = house.start()
    house.web.defaults(words=60, frame_delay=0.01)
    sound = house.warm(gateway, many=20, words=60, answers=100)
    with Callers(gateway.url, many=40, words=60, leave=0.8, within=0.25) as callers:
        callers.go_on(scale.of(300, 20_000), scale.of(40, 3000))
    left = sum(one.left for one in callers.answers)
    assert left > len(callers.answers) / 2
    assert faults(callers.answers) == []
    sound.holds(memory=scale.long)


def test_callers_who_send_slowly_or_only_half(house: House, scale: Scale) -> None:
    """Hundreds of connections that say nothing, half of a head, half of a body, or a byte at a time do not keep anybody waiting. (Long: the
    gateway itself closes what does not go on.)"""
    gateway = house.start(gempool__server__body_timeout=f"{scale.of(60, 5)}s")
    sound = house.warm(gateway, answers=50)
    whole = request("slow")
    with ExitStack() as stack:
        some = [stack.enter_context(connected(gateway)) for _ in range(scale.of(300, 2000))]
        for number, one in enumerate(some):
            one.send(whole[: (0, 20, len(whole) - 5)[number % 3]])
        slow = [stack.enter_context(connected(gateway)) for _ in range(50)]
        with trickled(slow, whole, 0.05), Callers(gateway.url, many=8) as callers:
            callers.go_on(scale.of(150, 2000))
        slowest = sorted(one.seconds for one in callers.answers)[-3:]
        assert faults(callers.answers) == []
        assert slowest[0] < 2, slowest
        if scale.long:
            assert wait_for(lambda: sound.measure().fds.get("callers", 0) <= len(some) // 3 + 50, 60)
    sound.holds(memory=scale.long)


@pytest.mark.long
def test_callers_who_do_not_read(house: House, scale: Scale) -> None:
    """More of them than the accounts have places ask for answers of 70 kB and read nothing: what they do not read waits in buffers,
    not in accounts; others are answered meanwhile, and once the deaf are gone nothing of theirs stays."""
    gateway = house.start(house.gateways.accounts_file(max_concurrency=1))
    house.web.defaults(words=10_000)
    sound = house.warm(gateway, many=2, answers=8, words=10_000)
    with ExitStack() as stack:
        deaf = [stack.enter_context(connected(gateway, receives=4096)) for _ in range(scale.of(12, 100))]
        for number, one in enumerate(deaf):
            one.send(request(f"deaf {number}"))
        wait_for(
            lambda: (
                len([one for one in house.web.call("GET", "/journal") if "deaf" in one["text"]]) == len(deaf)
            )
        )
        wait_for(lambda: not any(sound.measure().held.values()))
        with Callers(gateway.url, many=2, words=10_000) as callers:
            callers.go_on(scale.of(6, 60), 60)
        assert faults(callers.answers) == []
        for one in deaf[::2]:
            reset(one)
    sound.holds(memory=scale.long)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_callers_who_never_read_are_cut_off(house: House) -> None:
    """Pictures of some MB that nobody reads, more than the kernel keeps for a connection: after two minutes the gateway gives up, and holds nothing
    of them any more, though the callers are still there."""
    gateway = house.start()
    sound = house.warm(gateway, answers=50)
    wish = {
        "prompt": "generate an image of a cat",
        "response_type": "base64",
        "model": "gemini-3-pro-image-preview-4k",
    }
    body = json.dumps(wish).encode()
    head = f"POST /v1/generate-images HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connected(gateway, receives=4096)).send(head.encode() + body)
        wait_for(lambda: sound.measure().requests == 5)
        sound.holds(240)
