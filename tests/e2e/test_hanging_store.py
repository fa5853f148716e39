"""A store that accepts and does not answer, as when its machine swaps or its process is stopped."""

import signal
import time
from pathlib import Path

import httpx

from tests.support.processes import Gateways, Web, wait_for
from tests.support.store import valkey


def most(times: list[float]) -> float:
    """What nine of ten take at most."""
    return sorted(times)[len(times) * 9 // 10]


def test_health_answers_at_once_while_the_store_hangs(
    upstream: Web, gateways: Gateways, tmp_path: Path
) -> None:
    """Within 100 ms each time, and it soon says that nothing can be served; `/ready` says so too; all is well
    again by itself."""
    with valkey(tmp_path) as (store, url):
        gateway = gateways.start(REDIS_URL=url).ready()
        assert gateway.ask().status_code == 200
        with httpx.Client(base_url=gateway.url, timeout=10) as client:
            assert client.get("/health").json()["task_stats"] == {
                "running": 0, "pending": 0, "completed": 1, "failed": 0,
            }  # fmt: skip
            store.send_signal(signal.SIGSTOP)
            spent: list[float] = []
            beside: list[float] = []

            def asked(path: str, times: list[float]) -> httpx.Response:
                before = time.monotonic()
                answer = client.get(path)
                times.append(time.monotonic() - before)
                return answer

            def says_down() -> bool:
                asked("/no-such-page", beside)
                answer = asked("/health", spent)
                assert answer.status_code == 200
                return bool(answer.json()["status"] == "down")

            wait_for(says_down)
            # Or what the machine takes for an answer that needs nothing, if it is as busy as that.
            assert most(spent) < max(0.1, 4 * most(beside)), (sorted(spent)[-5:], sorted(beside)[-5:])
            assert client.get("/ready").status_code == 503
            store.send_signal(signal.SIGCONT)
            wait_for(lambda: client.get("/health").json()["status"] == "ok")
            assert gateway.ask().status_code == 200
