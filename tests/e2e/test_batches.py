"""Batches through the whole service while what carries them dies: real processes, real kills."""

import base64
import json
import os
import random
import re
import signal
import ssl
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.pictures import measure
from tests.support.processes import Gateway, Gateways, Web, wait_for
from tests.support.s3 import ACCESS, BUCKET, SECRET, serving_s3

SEED = 6
ALL = {"gempool__batches__share": "100"}
"""Batches may take all that the accounts can do."""
ON_ITS_WAY = 0.5
"""Seconds between the sending of a prompt and its arrival at an upstream that is busy."""
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no CA: to read them anew for each request costs more than the request."""

Status = dict[str, Any]


def call(method: str, gateway: Gateway, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, gateway.url + path, timeout=30, verify=NO_TLS, **options)


def take_in(gateway: Gateway, prompts: list[str], kind: str = "chat", **fields: Any) -> str:
    """The id of a new batch."""
    body = {"prompts": prompts, "concurrency": 10, **fields}
    answer = call("POST", gateway, f"/v1/batch/{kind}", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["batch_id"])


def standing(gateway: Gateway, batch: str, limit: int | None = 0) -> Status:
    """The status, by default without results. Raises httpx.HTTPError while the gateway cannot tell."""
    parts = {} if limit is None else {"limit": limit}
    answer = call("GET", gateway, f"/v1/batch/{batch}/status", params=parts)
    answer.raise_for_status()
    found: Status = answer.json()
    return found


def events(gateway: Gateway, batch: str) -> Generator[tuple[str, int, Status], None, None]:
    """Name, number and data of all events of a batch as they come."""
    with httpx.stream("GET", f"{gateway.url}/v1/batch/{batch}/events", timeout=40, verify=NO_TLS) as answer:
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, colon, value = line.partition(": ")
            if colon:
                fields[name] = value
            elif fields:
                if "event" in fields:
                    yield fields["event"], int(fields.get("id", 0)), json.loads(fields["data"])
                fields = {}


def completed(gateway: Gateway, batch: str, count: int) -> None:
    """Wait until so many tasks have gone well."""
    with closing(events(gateway, batch)) as told:
        assert any(name == "result" and number >= count for name, number, _ in told)


def ended(gateway: Gateway, batch: str) -> Status:
    """The status with all results, once every task has ended."""
    with closing(events(gateway, batch)) as told:
        assert any(name == "done" for name, _, _ in told)
    return standing(gateway, batch, limit=None)


def answered(status: Status) -> dict[int, str]:
    """The prompts that the results answer, by index; each index once."""
    found = {result["index"]: prompt_of(result["text"]) for result in status["results"]}
    assert len(found) == len(status["results"])
    return found


def prompt_of(text: str) -> str:
    found = re.search(r"task \d+\.", text)
    assert found, text
    return found[0]


def named(count: int) -> list[str]:
    return [f"task {n}." for n in range(count)]


def sent(web: Web) -> list[dict[str, Any]]:
    """What reached the accounts, in order."""
    prompts: list[dict[str, Any]] = web.call("GET", "/journal")
    return prompts


def in_vain(run: dict[str, Any], died: float) -> bool:
    """Whether the account had done its part, or whoever asked died meanwhile."""
    gone = run["outcome"] == "aborted" and abs(run["ended_at"] - died) < 3
    return gone or bool(run["outcome"] == "answered")


class Watcher:
    """Asks for a batch's status all the time, of whichever gateway answers, and holds each answer to the one before."""

    def __init__(self, batch: str, total: int, gateways: Callable[[], list[Gateway]]) -> None:
        self.faults: list[str] = []
        self.seen: list[Status] = []
        self._batch = batch
        self._total = total
        self._gateways = gateways
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        turn = 0
        while not self._over.wait(0.05):
            turn += 1
            alive = self._gateways()
            with suppress(httpx.HTTPError):  # it was killed just now, or its store was
                self._hold(standing(alive[turn % len(alive)], self._batch))

    def _hold(self, now: Status) -> None:
        parts = [now[name] for name in ("completed", "failed", "cancelled")]
        if sum(parts) + now["pending"] != self._total or now["running"] > now["pending"]:
            self.faults.append(f"does not add up: {now}")
        if now["progress"] != f"{sum(parts)}/{self._total}":
            self.faults.append(f"wrong progress: {now}")
        if self.seen:
            before = [self.seen[-1][name] for name in ("completed", "failed", "cancelled")]
            if any(new < old for new, old in zip(parts, before, strict=True)):
                self.faults.append(f"fell from {before} to {parts}")
        self.seen.append(now)


@contextmanager
def watching(batch: str, total: int, gateways: Callable[[], list[Gateway]]) -> Iterator[Watcher]:
    with Watcher(batch, total, gateways) as watcher:
        yield watcher
    assert watcher.faults == []
    assert watcher.seen


def counted(gateway: Gateway, outcome: str) -> int:
    """Runs of tasks that came to that in this replica."""
    metrics = call("GET", gateway, "/metrics").text
    found = re.search(rf'gempool_batch_tasks_total\{{kind="chat",outcome="{outcome}"\}} (\d+)', metrics)
    return int(found[1]) if found else 0


def test_every_task_ends_exactly_once_whatever_dies(
    upstream: Web, gateways: Gateways, empty_valkey: str, tmp_path: Path
) -> None:
    """200 tasks over five accounts that fail in all ways, one replica killed and one frozen at random moments: each task is told
    once with its own answer, in numbers without a gap; the status is true whenever it is asked for; no more runs than those
    that were running when something died; and within ten seconds of a death its tasks are with others."""
    chance = random.Random(SEED)  # noqa: S311  kills that can be repeated
    accounts = gateways.accounts_file(max_concurrency=2)
    short = {**ALL, "gempool__pool__lease_ttl": "3s"}  # the accounts of the dead are free again soon

    def replica() -> Gateway:
        place = tmp_path / f"data{time.monotonic_ns()}"  # its own, so that nobody is told who has died
        return gateways.start(accounts, REDIS_URL=empty_valkey, GEMPOOL_DATA_DIR=str(place), **short)

    doomed, frozen, third = replica(), replica(), replica()
    alive = [doomed.ready(), frozen.ready(), third.ready()]
    upstream.defaults(first_delay=0.3)
    prompts = named(200)
    batch = take_in(doomed, prompts)
    with watching(batch, 200, lambda: list(alive)):
        wait_for(lambda: all(counted(each, "completed") for each in alive))
        upstream.fault("account-1", "http_429", times=3)
        upstream.fault("account-2", "http_500", probability=0.2)
        time.sleep(chance.uniform(0.2, 1.2))
        alive.remove(doomed)
        doomed.kill()
        died = time.time()
        upstream.fault("account-3", "drop_mid", frames=1, probability=0.3)
        upstream.fault("account-4", "expired")
        time.sleep(chance.uniform(0.2, 1.2))
        alive.remove(frozen)
        frozen.process.send_signal(signal.SIGSTOP)
        froze = time.time()
        for number in (2, 3):
            upstream.call("DELETE", f"/accounts/account-{number}/fault")
        found = ended(third, batch)
        woke = time.time()
        frozen.process.send_signal(signal.SIGCONT)
        assert frozen.stop() == 0
        # What ran in it when it froze came to its end by then, and too late; nothing may have run at that moment.
        lost = sum(run["outcome"] == "lost" for run in frozen.lines("batch task"))
    assert (found["status"], found["completed"]) == ("completed", 200), found["errors"]
    assert answered(found) == dict(enumerate(prompts))
    told = list(events(third, batch))
    assert [name for name, _, _ in told] == ["progress", *["result"] * 200, "done"]
    assert [number for name, number, _ in told if name == "result"] == list(range(1, 201))
    assert {data["index"] for name, _, data in told if name == "result"} == set(range(200))
    assert standing(third, batch, limit=None) == found, "who was frozen has changed nothing"

    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in sent(upstream):
        if run["at"] < woke:  # later only what was on its way when its replica froze
            runs[prompt_of(run["text"])].append(run)
    repeated = [pair for each in runs.values() for pair in pairwise(each) if in_vain(pair[0], died)]
    assert len(repeated) <= 10 + lost, "more than ran when it happened"
    for before, after in repeated:
        death = next(
            (at for at in (died, froze) if before["at"] - ON_ITS_WAY <= at < before["ended_at"] + 3), None
        )
        assert death is not None, f"asked for again though nothing died: {before} {after}"
        assert after["at"] - death < 10


def test_a_killed_gateway_goes_on_where_it_was(upstream: Web, gateways: Gateways) -> None:
    """kill -9 of the only gateway, and of its store with it: after a start on the same data folder nothing is lost, what had ended
    is not run again, and it goes on as soon as it listens."""
    accounts = gateways.accounts_file(max_concurrency=2)
    first = gateways.start(accounts, **ALL).ready()
    upstream.defaults(first_delay=0.3)
    prompts = named(40)
    batch = take_in(first, prompts)
    completed(first, batch, 12)
    before = answered(standing(first, batch, limit=None))
    first.kill()
    killed = time.time()
    second = gateways.start(accounts, **ALL).listening()
    listened = time.time()
    found = ended(second, batch)
    assert found["completed"] == 40
    assert answered(found) == dict(enumerate(prompts))
    later = [run for run in sent(upstream) if run["at"] > killed]
    assert min(run["at"] for run in later) - listened < 5
    assert not {prompt_of(run["text"]) for run in later} & set(before.values())
    assert len(sent(upstream)) <= 40 + 10


def test_the_store_is_killed_under_a_batch(upstream: Web, gateways: Gateways) -> None:
    """The embedded store dies while tasks run: their answers are kept until it is back, and no task is asked for twice."""
    gateway = gateways.start(gateways.accounts_file(max_concurrency=2), **ALL).ready()
    upstream.defaults(first_delay=0.3)
    prompts = named(40)
    batch = take_in(gateway, prompts)
    completed(gateway, batch, 8)
    with watching(batch, 40, lambda: [gateway]):
        children = subprocess.run(
            ["/usr/bin/env", "pgrep", "-P", str(gateway.process.pid)],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        found = ended(gateway, batch)
    assert found["completed"] == 40
    assert answered(found) == dict(enumerate(prompts))
    assert sorted(prompt_of(run["text"]) for run in sent(upstream)) == sorted(prompts)


def test_a_batch_waits_for_accounts(upstream: Web, gateways: Gateways) -> None:
    """With every account expired nothing fails and no try is used up: the batch says what it waits for, and goes on by itself once
    the accounts are well."""
    gateway = gateways.start(gateways.accounts_file(2), **ALL, gempool__supervisor__reprobe_first="0.5s")
    gateway.ready()
    for account in ("account-1", "account-2"):
        upstream.fault(account, "expired")
    batch = take_in(gateway, named(6))
    waiting = wait_for(lambda: (now := standing(gateway, batch)).get("why") and now)
    assert (waiting["pending"], waiting["failed"]) == (6, 0)
    assert "account" in waiting["why"]
    for account in ("account-1", "account-2"):
        upstream.call("DELETE", f"/accounts/{account}/fault")
    found = ended(gateway, batch)
    assert found["completed"] == 6
    assert {result["tries"] for result in found["results"]} == {1}
    assert "why" not in found


def test_one_key_is_one_batch_and_cancelled_is_cancelled(upstream: Web, gateways: Gateways) -> None:
    """A POST repeated eight times at once makes one batch. Once it says that it is cancelled no prompt goes out any more, and what
    ran has its result."""
    gateway = gateways.start(gateways.accounts_file(max_concurrency=1), **ALL).ready()
    upstream.defaults(first_delay=0.3)
    body = {"prompts": named(30), "concurrency": 4}

    def post(_: int) -> httpx.Response:
        key = {"Idempotency-Key": "spring 2026"}
        return call("POST", gateway, "/v1/batch/chat", json=body, headers=key)

    with ThreadPoolExecutor(8) as callers:
        taken = list(callers.map(post, range(8)))
    assert sorted(answer.status_code for answer in taken) == [200] * 7 + [202]
    (batch,) = {answer.json()["batch_id"] for answer in taken}
    body = {"prompts": ["x"]}
    assert post(0).status_code == 422

    with watching(batch, 30, lambda: [gateway]):
        completed(gateway, batch, 4)
        assert max(upstream.account(n)["running"] for n in range(1, 6)) <= 1
        assert call("DELETE", gateway, f"/v1/batch/{batch}").status_code == 200
        found = ended(gateway, batch)
    asked = len(sent(upstream))
    assert found["status"] == "cancelled"
    assert found["completed"] == len(found["results"]) == asked
    assert found["cancelled"] == 30 - asked > 0
    again = call("DELETE", gateway, f"/v1/batch/{batch}")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")

    done = take_in(gateway, ["task 0."])
    ended(gateway, done)
    assert call("DELETE", gateway, f"/v1/batch/{done}").status_code == 409
    assert len(sent(upstream)) == asked + 1


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_s3(tmp_path_factory.mktemp("weed")) as address:
        yield address


def test_pictures_lie_in_the_object_store(upstream: Web, gateways: Gateways, s3: str) -> None:
    """Results are signed links that anybody may read, or on wish the same pictures as data; a prompt that is refused has its error
    at the first try."""
    names = {
        "S3_ENDPOINT": s3,
        "S3_ACCESS_KEY": ACCESS,
        "S3_SECRET_KEY": SECRET,
        "S3_BUCKET": BUCKET,
        "gempool__storage__kind": "s3",
    }
    gateway = gateways.start(None, **(ALL | names)).ready()
    upstream.defaults(full_pixels=1024)
    prompts = [f"generate an image of a lighthouse, number {n}" for n in range(4)]
    model = "gemini-2.5-flash-image"
    links = take_in(gateway, prompts, "images", model=model)
    inline = take_in(gateway, prompts[:2], "images", model=model, response_type="base64")
    found = ended(gateway, links)
    assert found["completed"] == 4, found["errors"]
    for result in found["results"]:
        assert result["url"].startswith(f"{s3}/{BUCKET}/")
        picture = httpx.get(result["url"], verify=NO_TLS)
        size = measure(picture.content)
        assert size is not None
        assert result["size"] == f"{size.width}x{size.height}"
    assert len({result["url"].partition("?")[0] for result in found["results"]}) == 4
    for result in ended(gateway, inline)["results"]:
        assert measure(base64.b64decode(result["image"].partition("base64,")[2])) is not None

    upstream.defaults(picture_reply="refusal")
    refused = ended(gateway, take_in(gateway, prompts[:1], "images", model=model))
    assert (refused["status"], refused["failed"]) == ("failed", 1)
    (error,) = refused["errors"]
    assert error["tries"] == 1
    assert error["message"]
