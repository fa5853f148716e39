"""The edge over a fake chat service, served for tests."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
from prometheus_client import CollectorRegistry

from access import Keys
from core.clock import SystemClock
from core.metrics import Metrics
from engine.service import CookieService
from fetch import Fetcher
from routes import EdgeSettings, RouteServices, create_app
from storage import Local
from tests.fakes.server import serving
from tests.fakes.service import FakeChat


class Edge:
    """A served edge: its address, its chat service, its metrics and a client for it."""

    def __init__(self, url: str, chat: FakeChat, metrics: Metrics, client: httpx.Client) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.chat = chat
        self.http = client
        self._registry: CollectorRegistry = metrics.registry

    def metric(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(name, labels) or 0.0


@contextmanager
def edge(
    *,
    settings: EdgeSettings | None = None,
    api_key: str = "",
    admin_key: str = "",
    facts: Mapping[str, object] = {},
    cookies: CookieService | None = None,
    files: Local | None = None,
    fetch: Fetcher | None = None,
) -> Iterator[Edge]:
    chat, metrics = FakeChat(), Metrics()
    services = RouteServices(
        chat=chat,
        keys=Keys.parse(api_key, admin_key),
        metrics=metrics,
        clock=SystemClock(),
        version="1.2.3",
        started=time.time(),
        settings=settings or EdgeSettings(),
        health_facts=lambda: facts,
        cookies=cookies,
        files=files,
        fetch=fetch,
    )
    with serving(create_app(services)) as url, httpx.Client(base_url=url, timeout=10) as client:
        yield Edge(url, chat, metrics, client)
