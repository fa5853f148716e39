"""The whole service, wired from settings: batches are taken in, run behind live requests, and outlive a restart."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from core.chat import Delta, Picture
from gateway.app import create_app
from gateway.settings import load
from pool.upstream import Done
from tests.fakes.server import serving, until
from tests.fakes.sessions import FakeWeb
from tests.support.files import PNG
from tests.support.metrics import metric

Start = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def web() -> FakeWeb:
    return FakeWeb()


@pytest.fixture
def start(empty_valkey: str, tmp_path: Path, web: FakeWeb) -> Start:
    """Runs the service with these names in its environment; a client of it."""
    accounts = tmp_path / "accounts.yaml"
    listed = [{"id": f"a{n}", "secure_1psid": f"g.a000{n}", "min_interval": "0s"} for n in range(3)]
    accounts.write_text(json.dumps({"accounts": listed}))
    accounts.chmod(0o600)

    @contextmanager
    def begin(**environment: str) -> Iterator[httpx.Client]:
        environment = {
            "REDIS_URL": empty_valkey,
            "GEMPOOL_ACCOUNTS_FILE": str(accounts),
            "GEMPOOL_DATA_DIR": str(tmp_path / "data"),
            "GEMPOOL__LIMITS__ENABLED": "false",
            **environment,
        }
        with (
            serving(create_app(load(environment), web)) as url,
            httpx.Client(base_url=url, timeout=10) as client,
        ):
            until(lambda: client.get("/ready").status_code == 200)
            yield client

    return begin


def created(client: httpx.Client, kind: str = "chat", **body: Any) -> str:
    answer = client.post(f"/v1/batch/{kind}", json={"prompts": ["one", "two", "three"], **body})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["batch_id"])


def status(client: httpx.Client, batch: str) -> dict[str, Any]:
    return dict(client.get(f"/v1/batch/{batch}/status").json())


def ended(client: httpx.Client, batch: str) -> dict[str, Any]:
    until(lambda: status(client, batch)["ended_at"] is not None)
    return status(client, batch)


def test_a_batch_runs_without_any_setting(start: Start) -> None:
    """Every prompt is answered, and metrics and health count them."""
    with start() as client:
        found = ended(client, created(client))
        assert (found["status"], found["progress"]) == ("completed", "3/3")
        assert {result["text"].partition(": ")[2].rpartition("\n")[2] for result in found["results"]} == {
            "one",
            "two",
            "three",
        }
        metrics = client.get("/metrics").text
        assert metric(metrics, "gempool_batch_tasks_total", kind="chat", outcome="completed") == 3
        assert metric(metrics, "gempool_batches_created_total", kind="chat") == 1
        told = {"open": 0, "waiting": 0, "running": 0, "completed": 3, "failed": 0}
        until(lambda: client.get("/health").json()["batches"] == told)


def test_pictures_are_stored_and_read_again(start: Start, web: FakeWeb) -> None:
    """A result's link leads to the picture, and the same stored picture is what a batch of data tells."""
    web.anybody = [[Delta("Here."), Picture(PNG, "image/png"), Done()]]
    with start() as client:
        linked = ended(client, created(client, "images"))
        assert [client.get(result["url"]).status_code for result in linked["results"]] == [200] * 3
        inline = ended(client, created(client, "images", response_type="base64"))
        assert all(result["image"].startswith("data:image/png;base64,") for result in inline["results"])


def test_the_bounds_are_the_settings(start: Start) -> None:
    """Prompts of a batch, tasks at once and unfinished batches, each refused in words."""
    bounds = {"MAX_TASKS": "2", "CONCURRENCY": "3", "MAX_OPEN": "1", "WORKER": "false"}
    with start(**{f"GEMPOOL__BATCHES__{name}": value for name, value in bounds.items()}) as client:

        def refused(**body: Any) -> tuple[int, str]:
            answer = client.post("/v1/batch/chat", json={"prompts": ["one"], **body})
            return answer.status_code, answer.json()["error"]["message"]

        code, message = refused(prompts=["one", "two", "three"])
        assert code in (400, 413), message
        assert "2" in message
        code, message = refused(concurrency=4)
        assert (code, "3" in message) == (400, True)
        batch = created(client, prompts=["one"])
        assert refused()[0] == 429
        assert status(client, batch)["status"] == "queued"
        until(lambda: client.get("/health").json()["batches"]["waiting"] == 1)


def test_a_restart_loses_nothing_and_repeats_what_ran(start: Start, web: FakeWeb) -> None:
    """Tasks that a stop broke off are asked again, and that is no try; finished ones are not."""
    web.answers["a0"] = web.answers["a1"] = web.answers["a2"] = [[asyncio.Event()]]
    with start() as client:
        batch = created(client)
        until(lambda: status(client, batch)["running"] > 0)
        until(lambda: len(web.asked) > 0)
    before = len(web.asked)
    web.answers.clear()
    with start() as client:
        found = ended(client, batch)
        assert [result["tries"] for result in found["results"]] == [1, 1, 1]
        assert len(web.asked) - before == 3


@pytest.mark.parametrize(
    ("key", "in_words"), [("", True), ("a long enough key of the operator's own", False)]
)
def test_prompts_and_results_are_sealed(start: Start, empty_valkey: str, key: str, in_words: bool) -> None:
    """With a state key the store holds neither in words; without one it does."""
    sealed = {"GEMPOOL_STATE_KEY": key} if key else {}
    with start(**sealed, GEMPOOL__BATCHES__WORKER="false") as client:
        batch = created(client, prompts=["a private prompt"])
        assert (b"a private" in held(empty_valkey, f"prompts:{batch}")) == in_words
    with start(**sealed) as client:
        assert "a private prompt" in ended(client, batch)["results"][0]["text"]
        assert (b"a private" in held(empty_valkey, f"outcomes:{batch}")) == in_words


def held(url: str, key: str) -> bytes:
    """The values of a hash of the batches' books."""
    store = redis.Redis.from_url(url)
    values = store.hvals(f"{{gempool-batches}}:{key}")
    store.close()
    assert values
    return b"".join(value for value in values if isinstance(value, bytes))
