"""What must hold once a drill is over: everything that was taken has been given back, and the answers are the same."""

import os
import socket
import struct
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import redis
from msgspec import Struct

from tests.drills.callers import Answered, faults, same_answers
from tests.support.metrics import metric
from tests.support.processes import Gateway, Web, wait_for

P = "{gempool}:"
MEMORY = 0.05
"""How much more memory may be held than before."""
LEFT_OVER = (".part", ".new", ".tmp")
"""How the names of files end that are being written."""


class Measured(Struct, frozen=True):
    """What a gateway holds at one moment.

    leases: in the store, by replica. held: generations that the store counts, by account. running: generations that run at the
    simulator, by account. fds: open descriptors by kind; tasks: of asyncio; memory: resident, in KiB.
    requests: being answered, waiting: for an account. temporary: names of unfinished files. anomalies: at the simulator.
    """

    leases: dict[str, int] = {}
    held: dict[str, int] = {}
    running: dict[str, int] = {}
    fds: dict[str, int] = {}
    tasks: int = 0
    memory: int = 0
    requests: int = 0
    waiting: int = 0
    temporary: tuple[str, ...] = ()
    anomalies: tuple[str, ...] = ()


def leaks(before: Measured, now: Measured, *, upstream: int = 0, memory: bool = False) -> list[str]:
    """What is held now that should not be, as sentences.

    upstream: so many connections to the upstream may stay for later in any case. memory: whether it counts.
    """
    found = [f"replica {name} holds {count} leases" for name, count in now.leases.items() if count]
    found += [f"{name} is counted as running {count}" for name, count in now.held.items() if count]
    found += [f"{name} runs {count} at the simulator" for name, count in now.running.items() if count]
    for kind in now.fds:
        may = {"callers": 0, "upstream": max(upstream, before.fds.get(kind, 0))}.get(
            kind, before.fds.get(kind, 0)
        )
        if now.fds[kind] > may:
            found.append(f"{now.fds[kind]} open descriptors of kind {kind}, {may} may stay")
    if now.tasks > before.tasks:
        found.append(f"{now.tasks} asyncio tasks, {before.tasks} before")
    if memory and now.memory > before.memory * (1 + MEMORY):
        found.append(f"{now.memory} KiB of memory, {before.memory} before")
    if now.requests or now.waiting:
        found.append(f"{now.requests} requests are being answered, {now.waiting} wait")
    found += [f"unfinished file {name}" for name in now.temporary]
    found += [f"anomaly: {one}" for one in now.anomalies]
    return found


def resident(pid: int) -> int:
    """A process's memory in KiB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line[:6] == "VmRSS:")
    return int(line.split()[1])


def descriptors(pid: int, listens: int, upstream: Collection[int]) -> Counter[str]:
    """A process's open descriptors: `callers` come to the port that it listens on, `upstream` go to those ports, `store` is any unix
    socket, `tcp` any other connection, `file` what has a name, and the rest by the kernel's own names."""
    kinds: Counter[str] = Counter()
    connected = {**_tcp(pid, "tcp", listens, upstream), **_tcp(pid, "tcp6", listens, upstream)}
    unix = {line.split()[6] for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]}
    for entry in list(Path(f"/proc/{pid}/fd").iterdir()):
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue  # closed since
        kind, _, inode = target.partition(":")
        if kind == "socket":
            number = inode.strip("[]")
            kinds[connected.get(number, "store" if number in unix else "socket of no peer")] += 1
        else:
            kinds["file" if target.startswith("/") else inode if kind == "anon_inode" else kind] += 1
    return kinds


def _tcp(pid: int, table: str, listens: int, upstream: Collection[int]) -> dict[str, str]:
    found = {}
    for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
        words = line.split()
        ours, theirs = (int(end.rpartition(":")[2], 16) for end in words[1:3])
        if words[3] == "0A":
            kind = "listening"
        else:
            kind = "callers" if ours == listens else "upstream" if theirs in upstream else "tcp"
        found[words[9]] = kind
    return found


def environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def store_url(gateway: Gateway) -> str:
    """Of the store that it uses, its own or a shared one."""
    given = environment(gateway.process.pid)
    return given.get("REDIS_URL") or f"unix://{given['GEMPOOL_DATA_DIR']}/store/valkey.sock"


class Sound:
    """Takes down what a gateway holds while it is well and warm, and later says what it holds beyond that.

    warm: after a load like the one to come, or else what is kept for later (connections, memory) looks like a leak.
    words: the simulator's default, then and at the end. relay: a port by way of which some accounts reach the upstream.
    """

    def __init__(self, gateway: Gateway, web: Web, *, words: int = 0, relay: int | None = None) -> None:
        self._gateway = gateway
        self._web = web
        self._words = words
        proxy = web.accounts[0]["proxy"]
        self._upstream = {int(proxy.rpartition(":")[2]), *([relay] if relay else [])}
        with redis.Redis.from_url(store_url(gateway)) as store:
            places = sum(int(store.hget(f"{P}a:{account['id']}", "mc") or 0) for account in web.accounts)
        # One for each generation that may run, and as many again for calls beside them.
        self._may = 2 * places
        self._answers = [(one.text, one.ended) for one in self._ask()]
        # What the warming load still holds goes within moments.
        self.before = wait_for(self._at_rest, what="it does not come to rest")

    def moved(self, web: Web) -> None:
        """The simulator was started again; it is asked there from now on."""
        self._web = web

    def measure(self) -> Measured:
        """What it holds now."""
        gateway, pid = self._gateway, self._gateway.process.pid
        with redis.Redis.from_url(store_url(gateway)) as store:
            prefix = f"{P}leases:"
            leases = {key.decode().removeprefix(prefix): store.hlen(key) for key in store.keys(prefix + "*")}
            counted = {
                account["id"]: store.hget(f"{P}a:{account['id']}", "inf") for account in self._web.accounts
            }
        page = gateway.get("/metrics").text
        running = {
            account["id"]: self._web.call("GET", f"/accounts/{account['id']}")["running"]
            for account in self._web.accounts
        }
        return Measured(
            leases=leases,
            held={name: int(count or 0) for name, count in counted.items()},
            running=running,
            fds=dict(descriptors(pid, int(gateway.url.rpartition(":")[2]), self._upstream)),
            tasks=int(metric(page, "gempool_tasks") or 0),
            memory=resident(pid),
            requests=int(metric(page, "gempool_requests_in_flight") or 0) - 1,  # the question itself
            waiting=int(metric(page, "gempool_queue_depth") or 0),
            temporary=self._temporary(),
            anomalies=tuple(str(one) for one in self._web.anomalies()),
        )

    def _at_rest(self) -> Measured | None:
        now = self.measure()
        return None if leaks(now, now) else now

    def leaks(self, *, memory: bool = False) -> list[str]:
        """As of this moment."""
        return leaks(self.before, self.measure(), memory=memory, upstream=self._may)

    def holds(self, seconds: float = 20, *, memory: bool = False) -> None:
        """All is as it was, within so many seconds, and the same questions have the same answers.

        memory: for loads long enough to say something of it.
        """
        again = self._ask()
        assert faults(again) == []
        assert [(one.text, one.ended) for one in again] == self._answers
        last: list[str] = []

        def quiet() -> bool:
            last[:] = self.leaks(memory=memory)
            return not last

        try:
            wait_for(quiet, seconds)
        except AssertionError:
            raise AssertionError("\n".join(["it does not give back:", *last])) from None

    def _ask(self) -> list[Answered]:
        return same_answers(self._gateway.url, self._words)

    def _temporary(self) -> tuple[str, ...]:
        given = environment(self._gateway.process.pid)
        found = [p for p in Path(given["GEMPOOL_DATA_DIR"]).rglob("*") if p.name.endswith(LEFT_OVER)]
        if "TMPDIR" in given:
            found += list(Path(given["TMPDIR"]).iterdir())
        return tuple(sorted(str(path) for path in found))


def reset(connection: socket.socket) -> None:
    """Close it so that the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
