"""An operator's desk without accounts: what it shows is what a test says."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeAlias

import msgspec

from core.errors import GatewayError, NotFound
from engine.service import Checked, Now, Standing, Turn, View
from journal import Asked, Happened, Minute, Served

STARTED = 1_764_000_000.0
"""Wall clock seconds of everything here."""


def standing(id: str, **changes: Any) -> Standing:
    """A well account, but for the changes."""
    well = Standing(
        id=id,
        state="active",
        reason="",
        why="",
        since=STARTED,
        until=None,
        next="probe",
        next_at=STARTED + 600,
        order=1,
        in_flight=0,
        max_concurrency=2,
        min_interval=1.0,
        last_used=STARTED + 30,
        cookies_at=STARTED - 3600,
        cookie_source="file",
        rotation_at=STARTED - 300,
        rotation_outcome="ok",
        next_rotation=STARTED + 300,
        proved_at=STARTED + 30,
        probed_at=STARTED,
        probe_outcome="well",
        next_probe=STARTED + 600,
        failures=0,
        last_resort=False,
        session_open=True,
        egress="direct",
        models=("gemini-2.5-pro",),
    )
    return msgspec.structs.replace(well, **changes)


def now(**changes: Any) -> Now:
    """Two well accounts and nothing to do, but for the changes."""
    quiet = Now(
        time=STARTED + 60,
        ready=True,
        why="",
        store_ok=True,
        accounts={"active": 2},
        capacity=4,
        in_flight=0,
        waiting=0,
        replica="one",
        replicas=1,
        leader="one",
        version="1.2.3",
        started=STARTED,
        alerts_pending=0,
        alerts_configured=True,
        batches_open=0,
        tasks_waiting=0,
        tasks_running=0,
        broken_files={},
    )
    return msgspec.structs.replace(quiet, **changes)


VIEW = View(
    now=now(),
    accounts=(standing("alice"), standing("bob", order=2)),
    happened=(Happened(STARTED, "state", "alice", before="new", after="active", replica="one"),),
    served=(
        Served(
            at=STARTED + 30,
            id="req_1",
            replica="one",
            caller="key:12345678",
            route="/v1/chat/completions",
            model="gemini-2.5-pro",
            status=200,
            outcome="ok",
            seconds=1.5,
            first_content=0.5,
            upstream=1.4,
            asked=(Asked("alice", "ok", 1.4),),
        ),
    ),
    minutes=(Minute(int(STARTED), {"alice": {"ok": 1}}, {"ok": 1}, {"2.5": 1}, {"0.5": 1}),),
)

END = None
"""Told to a stream, it ends it as a gateway does that stops."""

Told: TypeAlias = View | Turn | GatewayError | None


class FakeOperator:
    """Implements `engine.service.OperatorService`. `shown` is the view of now; `tell` sends everybody who looks a further turn, an
    error, or the end. `done` remembers actions and who did them, `looking` counts open streams, `opened` all since the reset. brief: streams end after the
    first view."""

    def __init__(self, *, brief: bool = False) -> None:
        self.brief = brief
        self._queues: list[tuple[asyncio.AbstractEventLoop, asyncio.Queue[Told]]] = []
        self.reset()

    def reset(self) -> None:
        self.shown: View | GatewayError = VIEW
        self.done: list[tuple[str, str, str]] = []
        self.found: Mapping[str, tuple[str, str]] = {"probe": ("well", "")}
        """What actions come to: outcome and detail."""
        self.opened = 0

    @property
    def looking(self) -> int:
        return len(self._queues)

    def tell(self, *turns: Told) -> None:
        """From any thread."""
        for loop, queue in list(self._queues):
            for turn in turns:
                loop.call_soon_threadsafe(queue.put_nowait, turn)

    def change(self, id: str, **changes: Any) -> None:
        """Change an account and tell everybody."""
        view = shown_or_raised(self.shown)
        accounts = tuple(
            msgspec.structs.replace(one, **changes) if one.id == id else one for one in view.accounts
        )
        self.shown = msgspec.structs.replace(view, accounts=accounts)
        self.tell(Turn(view.now, tuple(one for one in accounts if one.id == id)))

    def remove(self, id: str) -> None:
        """Take an account away, as from the roster, and tell everybody."""
        view = shown_or_raised(self.shown)
        left = tuple(one for one in view.accounts if one.id != id)
        self.shown = msgspec.structs.replace(view, accounts=left)
        self.tell(Turn(view.now, gone=(id,)))

    async def view(self) -> View:
        return shown_or_raised(self.shown)

    async def turns(self) -> AsyncGenerator[View | Turn, None]:
        queue: asyncio.Queue[Told] = asyncio.Queue()
        entry = (asyncio.get_running_loop(), queue)
        self._queues.append(entry)
        self.opened += 1
        try:
            yield shown_or_raised(self.shown)
            while not self.brief and (turn := await queue.get()) is not END:
                if isinstance(turn, GatewayError):
                    raise turn
                yield turn
        finally:
            self._queues.remove(entry)

    async def history(self, account: str) -> tuple[Happened, ...]:
        self._standing(account)
        return tuple(one for one in shown_or_raised(self.shown).happened if one.account == account)

    async def probe(self, account: str, who: str) -> Checked:
        return self._do("probe", account, who)

    async def enable(self, account: str, who: str) -> Checked:
        return self._do("enable", account, who, state="active", reason="")

    async def disable(self, account: str, who: str) -> Checked:
        return self._do("disable", account, who, state="disabled", reason="operator")

    async def clear(self, account: str, who: str) -> Checked:
        return self._do("clear", account, who, state="active", reason="", failures=0)

    def _do(self, action: str, account: str, who: str, **changes: Any) -> Checked:
        self._standing(account)
        self.done.append((action, account, who))
        self.change(account, **changes)
        outcome, detail = self.found.get(action, ("", ""))
        return Checked(self._standing(account), outcome, detail)

    def _standing(self, id: str) -> Standing:
        for account in shown_or_raised(self.shown).accounts:
            if account.id == id:
                return account
        raise NotFound(f"There is no account '{id}' (any more).", param="account")


def shown_or_raised(shown: View | GatewayError) -> View:
    """The view, or the failure to have one."""
    if isinstance(shown, GatewayError):
        raise shown
    return shown
