"""The edge over a fake chat service, served for tests."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from access import Keys, Limits, NamedKey, Rate, Sessions, SignOuts
from core.clock import SystemClock
from core.metrics import Metrics
from core.secret import Secret
from engine.service import BatchService, CookieService, OperatorService, ResponseStore
from fetch import Fetcher
from journal import Served
from routes import EdgeSettings, RouteServices, create_app
from storage import Local
from tests.fakes.server import serving
from tests.fakes.service import FakeChat
from tests.support.openapi import ConformingClient


class Edge:
    """A served edge: its address, its routes, its chat service, its metrics and a client for it."""

    def __init__(
        self, url: str, chat: FakeChat, metrics: Metrics, client: httpx.Client, routes: Sequence[Any] = ()
    ) -> None:
        self.url = url
        self.routes = routes
        self.port = int(url.rpartition(":")[2])
        self.chat = chat
        self.http = client
        self.noted: list[Served] = []
        """What the journal was told."""
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
    named: Sequence[NamedKey] = (),
    limits: tuple[str, Rate, Rate] | None = None,
    responses: ResponseStore | None = None,
    batches: BatchService | None = None,
    operator: OperatorService | None = None,
    session_life: float = 3600.0,
    state_key: str = "",
    sign_outs: str = "",
) -> Iterator[Edge]:
    """limits: the store's URL, and the rates per caller and per caller and model. session_life: seconds that a session of the page
    lasts. sign_outs: the URL of the store that tells them to other replicas."""
    chat, metrics = FakeChat(), Metrics()
    limiter = Limits(limits[0], metrics, limits[1], limits[2], timeout=1.0) if limits else None
    sessions = Sessions(Secret(admin_key), Secret(state_key), life=session_life) if admin_key else None
    others = (
        SignOuts(sessions.ended, sign_outs, SystemClock(), timeout=0.5, retry=0.05)
        if sessions and sign_outs
        else None
    )
    services = RouteServices(
        chat=chat,
        keys=Keys(
            [Secret(key) for key in api_key.split(",") if key],
            Secret(admin_key) if admin_key else None,
            named,
        ),
        metrics=metrics,
        clock=SystemClock(),
        version="1.2.3",
        started=time.time(),
        settings=settings or EdgeSettings(),
        health_facts=lambda: facts,
        cookies=cookies,
        files=files,
        fetch=fetch,
        limits=limiter,
        responses=responses,
        batches=batches,
        operator=operator,
        sessions=sessions,
        sign_outs=others,
    )
    noted: list[Served] = []
    services = replace(services, noted=noted.append, replica="replica-1")
    endings = [part.close for part in (limiter, others) if part]
    app = create_app(services, on_startup=[others.start] if others else [], on_shutdown=endings)
    with (
        serving(app, lambda code: metrics.requests.labels("unrouted", "none", "none", code).inc()) as url,
        ConformingClient(base_url=url, timeout=10, verify=False) as client,
    ):
        found = Edge(url, chat, metrics, client, app.routes)
        found.noted = noted
        yield found
