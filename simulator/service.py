"""The simulator as a whole: its sockets, its state on disk, and what tests and drills may ask of it."""

import asyncio
import html
import secrets
import socket
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec import Struct, structs

from core.clock import Clock, SystemClock
from core.tasks import Tasks
from simulator.accounts import Account, Accounts, Kept
from simulator.certificates import authority, server_context, write_private
from simulator.config import (
    AccountSpec,
    ControlError,
    Defaults,
    Script,
    SimulatorConfig,
    check_defaults,
    check_script,
)
from simulator.control import Control
from simulator.faults import EGRESS_KINDS, Fault, check_fault
from simulator.http import Connection
from simulator.journal import Anomaly, Journal, PromptRecord
from simulator.pictures import Pictures
from simulator.proxy import Proxy
from simulator.visitors import World
from simulator.web import WebApp

log = structlog.get_logger("gempool.simulator")


class _State(Struct):
    """What a restart finds in `state.json`."""

    seed: str
    accounts: list[Kept] = []
    proxy_port: int = 0
    control_port: int = 0


class Simulator:
    """A Gemini web app on loopback. `start`, use `accounts` and `ca_file`, `stop`.

    Methods that name an account raise `LookupError` for an unknown one and `ControlError` for a bad argument.
    """

    def __init__(self, config: SimulatorConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._tasks = Tasks("simulator")
        self._servers: list[asyncio.Server] = []
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._directory = config.directory or Path()
        self._state = _State(secrets.token_hex(32))
        self._world: World | None = None
        self._proxy: Proxy | None = None
        self._controls: set[Connection] = set()
        self.proxy_port = 0
        self.control_port = 0

    async def start(self) -> None:
        """Listen on 127.0.0.1. Raises `OSError` where a given port is taken."""
        if self._config.directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="gempool-simulator-")
            self._directory = Path(self._temporary.name)
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / "state.json"
        if path.exists():
            self._state = msgspec.json.decode(path.read_bytes(), type=_State)
        accounts = Accounts(bytes.fromhex(self._state.seed), self._state.accounts, self._clock)
        for spec in self._config.specs():
            accounts.add(spec)
        defaults = check_defaults(self._config.defaults)
        self._world = World(accounts, Journal(self._clock), Pictures(), self._clock, defaults, deque())
        context = server_context(authority(self._directory))
        self._proxy = Proxy(self._world, WebApp(self._world, self._save), context, self._tasks)
        control = Control(self)

        def control_protocol() -> Connection:
            connection = Connection(control.handle, self._tasks, self._controls.discard)
            self._controls.add(connection)
            return connection

        self.proxy_port = await self._listen(
            self._proxy.protocol, self._config.proxy_port, self._state.proxy_port
        )
        self.control_port = await self._listen(
            control_protocol, self._config.control_port, self._state.control_port
        )
        self._save()
        log.info("simulator is ready", proxy_port=self.proxy_port, control_port=self.control_port)

    async def stop(self) -> None:
        """Close every socket. A temporary directory goes with it."""
        for server in self._servers:
            server.close()
        if self._proxy is not None:
            self._proxy.hang_up()
        for connection in list(self._controls):
            connection.close()
        await self._tasks.close()
        for server in self._servers:
            await server.wait_closed()
        self._servers = []
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _listen(self, factory: Any, wanted: int, last: int) -> int:
        loop = asyncio.get_running_loop()
        if not wanted and last and not _taken(last):
            wanted = last
        server = await loop.create_server(factory, "127.0.0.1", wanted, backlog=1024)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def _save(self) -> None:
        self._state.accounts = self.world.accounts.kept()
        self._state.proxy_port, self._state.control_port = self.proxy_port, self.control_port
        write_private(self._directory / "state.json", msgspec.json.encode(self._state))

    @property
    def world(self) -> World:
        if self._world is None:
            raise RuntimeError("the simulator has not been started")
        return self._world

    @property
    def ca_file(self) -> str:
        return str(self._directory / "ca.pem")

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    @property
    def accounts(self) -> list[dict[str, str]]:
        """id, secure_1psid, secure_1psidts, proxy, tier and egress of every account, as they are now."""
        return [self._credentials(a) for a in self.world.accounts]

    def _credentials(self, account: Account) -> dict[str, str]:
        egress = account.egress
        return {
            "id": account.id,
            "secure_1psid": account.kept.psid,
            "secure_1psidts": account.kept.psidts,
            "proxy": f"http://{egress.name}:{egress.password}@127.0.0.1:{self.proxy_port}",
            "tier": account.kept.tier,
            "egress": egress.name,
        }

    def _account(self, account: str) -> Account:
        found = self.world.accounts.get(account)
        if found is None:
            known = ", ".join(a.id for a in self.world.accounts)
            raise LookupError(f"no account {account!r}; there are: {known}")
        return found

    def account(self, account: str) -> dict[str, object]:
        """Credentials, faults and journal of one account."""
        found = self._account(account)
        chats = [
            {"cid": c.cid, "title": c.title, "turns": len(c.turns)}
            for c in found.chats.values()
            if not c.temporary
        ]
        return {
            **self._credentials(found),
            "faults": [*found.faults.shown(), *found.egress.faults.shown()],
            "replies_queued": len(found.scripts),
            "chats": chats,
            "open_connections": found.egress.open_connections,
            **found.journal.shown(),
        }

    def conversation(self, account: str, cid: str, rid: str = "") -> list[tuple[str, str]]:
        """Prompts and answers, oldest first, as the model had them in mind after turn `rid` ('': the newest) of a chat,
        a temporary one as well."""
        chat = self._account(account).chats.get(cid)
        if chat is None:
            raise LookupError(f"no chat {cid!r} of {account}")
        rid = rid or (chat.turns[-1].rid if chat.turns else "")
        return [(turn.prompt, html.unescape(turn.answer)) for turn in chat.upto(rid)]

    def erase_chats(self, account: str) -> None:
        """As if the account's owner had emptied its history by hand."""
        self._account(account).erase_chats()

    def add_account(self, spec: AccountSpec) -> dict[str, str]:
        account = self.world.accounts.add(spec)
        self._save()
        return self._credentials(account)

    def remove_account(self, account: str) -> None:
        """The account's cookies are dead afterwards."""
        self.world.accounts.remove(self._account(account))
        self._save()

    def issue_cookies(self, account: str) -> dict[str, str]:
        """New cookies, as after a new sign-in; the old ones are dead at once."""
        found = self._account(account)
        self.world.accounts.replace_cookies(found)
        self._save()
        return self._credentials(found)

    def set_fault(self, account: str, *faults: Fault) -> None:
        """Replace the account's faults; none, or `ok`, clears them and its egress's. Faults of the egress hit
        all that share it, and are replaced by such faults only; connection faults end open connections."""
        found, now = self._account(account), self._clock.now()
        for one in faults:
            check_fault(one)
        own = tuple(f for f in faults if f.kind not in EGRESS_KINDS and f.kind != "ok")
        shared = tuple(f for f in faults if f.kind in EGRESS_KINDS)
        found.faults.replace(own, now)
        if shared or not own:
            found.egress.faults.replace(shared, now)
        if self._proxy is not None and any(f.kind in ("refuse_connect", "tls_broken") for f in shared):
            self._proxy.hang_up(found.egress)

    def clear_fault(self, account: str) -> None:
        self.set_fault(account)

    def queue_reply(self, script: Script, account: str | None = None) -> None:
        """The next prompt of the account (of any account: None) is answered so. An account's own come first."""
        queue = self._account(account).scripts if account else self.world.scripts
        queue.append(check_script(script))

    @property
    def defaults(self) -> Defaults:
        return self.world.defaults

    def set_defaults(self, **changes: Any) -> Defaults:
        unknown = set(changes) - set(Defaults.__struct_fields__)
        if unknown:
            raise ControlError(
                f"{min(unknown)}: not a default; there are {', '.join(Defaults.__struct_fields__)}"
            )
        self.world.defaults = check_defaults(structs.replace(self.world.defaults, **changes))
        return self.world.defaults

    def journal(self) -> list[PromptRecord]:
        """Every prompt that arrived, in global order."""
        return list(self.world.journal.prompts)

    def clear_journal(self) -> None:
        """Forget prompts and counts of all accounts; what runs now goes on being counted."""
        self.world.journal.clear_prompts()
        for account in [*self.world.accounts, *self.world.accounts.guests()]:
            account.journal.clear()

    def anomalies(self) -> list[Anomaly]:
        return list(self.world.journal.anomalies)

    def clear_anomalies(self) -> None:
        self.world.journal.clear_anomalies()

    def reset(self) -> None:
        """Faults, scripts, defaults, journal and anomalies as after the start; cookies and chats stay."""
        for account in self.world.accounts:
            account.faults.replace((), 0.0)
            account.egress.faults.replace((), 0.0)
            account.scripts.clear()
        self.world.scripts.clear()
        self.world.defaults = self._config.defaults
        self.clear_journal()
        self.clear_anomalies()


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
