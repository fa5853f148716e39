"""Whole replicas without the HTTP edge: engine, pool, store and adapter over the simulator."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from core.chat import Answer, Ask, Delta, Event, Message, Text
from core.clock import SystemClock
from core.metrics import Metrics
from core.secret import Secret
from engine import Engine, EngineSettings
from engine.conversing import Conversations
from engine.settings import ConversationSettings
from pool import AccountConfig, Policy, Pool, PoolSettings, PublicModel, Shared, Store
from pool.gemini_web import GeminiWebSessions
from simulator import Simulator

TABLE = (
    PublicModel("gemini-3-flash-preview", ("gemini-3-flash", "gemini-flash", "default")),
    PublicModel("gemini-2.5-pro", ("gemini-2.5-pro", "gemini-pro")),
)


SETTINGS = EngineSettings(first_content_timeout=5, silence_timeout=5, deadline=20)
POOL = PoolSettings(reprobe_first=0.2, suspect_retry=0.2)
POLICY = Policy()


class Replica:
    """One gateway process without its edge."""

    def __init__(self, engine: Engine, pool: Pool, metrics: Metrics) -> None:
        self.engine = engine
        self.pool = pool
        self.metrics = metrics

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class Replicas:
    """Starts replicas on one store and stops them."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url = url
        self._directory = directory
        self._running: list[tuple[Replica, Store, GeminiWebSessions, Shared]] = []

    async def start(
        self,
        web: Simulator,
        *,
        accounts: Sequence[AccountConfig] | None = None,
        settings: EngineSettings = SETTINGS,
        pool: PoolSettings = POOL,
        policy: Policy = POLICY,
        conversations: ConversationSettings | None = None,
        ready: bool = True,
    ) -> Replica:
        metrics = Metrics()
        store = Store(self._url, metrics, policy)
        sessions = GeminiWebSessions(
            self._directory / f"replica-{len(self._running)}", ca_file=Path(web.ca_file), activity="off"
        )
        configs = accounts_of(web) if accounts is None else accounts
        members = Pool(
            store, sessions, configs, TABLE, structs.replace(pool, policy=policy), metrics, SystemClock()
        )
        await members.start()
        shared = Shared(self._url)
        kept = Conversations(shared, conversations or ConversationSettings(), metrics)
        engine = Engine(members, settings, metrics, SystemClock(), conversations=kept)
        replica = Replica(engine, members, metrics)
        self._running.append((replica, store, sessions, shared))
        if ready:
            await all_open(replica, len(configs))
        return replica

    async def stop(self) -> None:
        for replica, store, sessions, shared in reversed(self._running):
            await replica.engine.close()
            await replica.pool.close()
            await sessions.close()
            await shared.close()
            await store.close()


async def all_open(replica: Replica, accounts: int) -> None:
    """Wait until the replica has a session for every account."""
    async with asyncio.timeout(10):
        while True:
            views, _ = await replica.pool.snapshot()
            if sum(view.session_open for view in views) >= accounts:
                return
            await asyncio.sleep(0.01)  # sessions open in the background and tell nobody but the store


def accounts_of(web: Simulator, **changes: Any) -> list[AccountConfig]:
    return [
        AccountConfig(
            id=account["id"],
            secure_1psid=Secret(account["secure_1psid"]),
            secure_1psidts=Secret(account["secure_1psidts"]),
            proxy=Secret(account["proxy"]),
            **changes,
        )
        for account in web.accounts
    ]


def question(text: str = "Hello", *, stream: bool = True, model: str = "gemini-3-flash-preview") -> Ask:
    return Ask(model, (Message("user", (Text(text),)),), stream=stream)


async def streamed(replica: Replica, ask: Ask) -> str:
    """The text of a streamed answer."""
    events: list[Event] = [event async for event in replica.engine.stream(ask)]
    return "".join(event.text for event in events if isinstance(event, Delta))


async def answered(replica: Replica, text: str, *, stream: bool) -> str:
    """The text of an answer, asked for in either way."""
    if stream:
        return await streamed(replica, question(text))
    answer: Answer = await replica.engine.answer(question(text, stream=False))
    return answer.text
