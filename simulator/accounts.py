"""Accounts and egresses: cookies, tokens, who may use which proxy, and what survives a restart."""

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from core.clock import Clock
from simulator.chats import Chat
from simulator.config import AccountSpec, ControlError, Script, Tier, check_cookie, check_name
from simulator.faults import Faults
from simulator.journal import AccountJournal, SentFile
from simulator.models import PLANS, Model, Plan, offered

BUILD_LABEL = "boq_assistant-bard-web-server_20261103.08_p4"
KEPT_CHATS = 500
KEPT_UPLOADS = 500

PsidtsState: TypeAlias = Literal["current", "grace", "stale", "unknown"]


class Upload(Struct, frozen=True):
    reference: str
    file: SentFile


class Kept(Struct, kw_only=True):
    """What of an account survives a restart."""

    id: str
    tier: Tier
    egress: str
    models: tuple[str, ...]
    psid: str
    psidts: str
    graced: list[tuple[str, float]] = []
    stale: list[str] = []
    retired: list[str] = []
    epoch: int = 0


class Egress:
    """An outgoing IP address: one proxy credential, shared by the accounts that name it."""

    def __init__(self, name: str, seed: bytes) -> None:
        self.name = name
        self.password = _derive(seed, name, "proxy")[:16]
        self.nid = "525=" + _derive(seed, name, "nid")
        self.faults = Faults(f"egress:{name}")
        self.open_connections = 0


class Account:
    """One Google account as the web app knows it. A guest is an account without cookies or token."""

    def __init__(self, kept: Kept, egress: Egress, seed: bytes, *, guest: bool = False) -> None:
        self.kept = kept
        self.egress = egress
        self.guest = guest
        self.plan: Plan = PLANS[kept.tier]
        self.models: tuple[Model, ...] = offered(kept.tier, kept.models)
        self.faults = Faults(kept.id)
        self.journal = AccountJournal()
        self.scripts: deque[Script] = deque()
        self.chats: OrderedDict[str, Chat] = OrderedDict()
        self.deleted: deque[str] = deque(maxlen=KEPT_CHATS)
        self.erased: deque[str] = deque(maxlen=KEPT_CHATS)
        self.uploads: OrderedDict[str, Upload] = OrderedDict()
        self.rotated_at = 0.0
        self._seed = seed
        self._tokens()

    @property
    def id(self) -> str:
        return self.kept.id

    def _tokens(self) -> None:
        who = f"{self.id}:{self.kept.epoch}"
        self.token = (
            "" if self.guest else "AHs6g_" + _derive(self._seed, who, "token")[:27] + ":1762340000000"
        )
        self.session_id = str(-int.from_bytes(_digest(self._seed, who, "sid")[:8], "big") >> 1)
        self.push_id = "feeds/" + _derive(self._seed, self.id, "push")[:16].lower()
        self.psidcc = "AKEyXz" + _derive(self._seed, self.id, "cc")

    def psidts_state(self, value: str, now: float) -> PsidtsState:
        if hmac.compare_digest(value.encode(), self.kept.psidts.encode()):
            return "current"
        for old, until in self.kept.graced:
            if hmac.compare_digest(value.encode(), old.encode()):
                return "grace" if now < until else "stale"
        return "stale" if value in self.kept.stale else "unknown"

    def rotate(self, now: float, grace: float) -> None:
        """A new `__Secure-1PSIDTS`; the old one stays good for `grace` seconds."""
        kept = self.kept
        kept.stale = [*kept.stale, *(old for old, until in kept.graced if until <= now)][-200:]
        kept.graced = [(old, until) for old, until in kept.graced if until > now]
        kept.graced.append((kept.psidts, now + grace))
        kept.psidts = _fresh_psidts()
        self.rotated_at = now

    def replace_cookies(self) -> None:
        """New cookies and tokens, as after a new sign-in; the old ones are dead."""
        kept = self.kept
        kept.retired = [*kept.retired, kept.psid][-200:]
        kept.stale = [*kept.stale, kept.psidts, *(old for old, _ in kept.graced)][-200:]
        kept.graced = []
        kept.psid, kept.psidts = _fresh_psid(), _fresh_psidts()
        kept.epoch += 1
        self._tokens()

    def keep_chat(self, chat: Chat) -> None:
        self.chats[chat.cid] = chat
        self.chats.move_to_end(chat.cid)
        while len(self.chats) > KEPT_CHATS:
            self.chats.popitem(last=False)

    def delete_chat(self, cid: str) -> None:
        """Gone, with its pictures."""
        del self.chats[cid]
        self.deleted.append(cid)

    def erase_chats(self) -> None:
        """The account's owner empties its history."""
        for chat in [chat for chat in self.chats.values() if not chat.temporary]:
            self.delete_chat(chat.cid)
            self.erased.append(chat.cid)

    def keep_upload(self, upload: Upload) -> None:
        self.uploads[upload.reference] = upload
        while len(self.uploads) > KEPT_UPLOADS:
            self.uploads.popitem(last=False)


class Accounts:
    """The registry. `Kept` values of an earlier run are taken over where the ids match."""

    def __init__(self, seed: bytes, kept: Iterable[Kept], clock: Clock) -> None:
        self.seed = seed
        self._clock = clock
        self._old = {k.id: k for k in kept}
        self._accounts: dict[str, Account] = {}
        self._guests: dict[str, Account] = {}
        self.egresses: dict[str, Egress] = {}
        self._by_psid: dict[str, Account] = {}
        self._retired: dict[str, str] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self._accounts.values()))

    def kept(self) -> list[Kept]:
        return [a.kept for a in self._accounts.values()]

    def get(self, account: str) -> Account | None:
        return self._accounts.get(account)

    def add(self, spec: AccountSpec) -> Account:
        check_name("id", spec.id)
        name = check_name("egress", spec.egress or spec.id)
        if spec.id in self._accounts:
            raise ControlError(f"id: {spec.id!r} is taken; choose another or delete that account first")
        check_cookie("secure_1psid", spec.secure_1psid)
        check_cookie("secure_1psidts", spec.secure_1psidts)
        old = self._old.get(spec.id)
        kept = Kept(
            id=spec.id,
            tier=spec.tier,
            egress=name,
            models=spec.models,
            psid=spec.secure_1psid or (old.psid if old else _fresh_psid()),
            psidts=spec.secure_1psidts or (old.psidts if old else _fresh_psidts()),
        )
        if old:
            kept.graced, kept.stale, kept.retired, kept.epoch = old.graced, old.stale, old.retired, old.epoch
        if kept.psid in self._by_psid:
            raise ControlError("secure_1psid: another account has it; give each account its own")
        account = Account(kept, self.egress(name), self.seed)
        self._accounts[spec.id] = account
        self._index()
        return account

    def remove(self, account: Account) -> None:
        """Its cookies are dead from now on."""
        del self._accounts[account.id]
        self._old.pop(account.id, None)
        self._retired[account.kept.psid] = account.id
        self._index()
        name = account.egress.name
        if not any(a.egress.name == name for a in self._accounts.values()):
            self.egresses.pop(name, None)
            self._guests.pop(name, None)

    def replace_cookies(self, account: Account) -> None:
        account.replace_cookies()
        self._index()

    def egress(self, name: str) -> Egress:
        if name not in self.egresses:
            self.egresses[name] = Egress(name, self.seed)
        return self.egresses[name]

    def guest(self, egress: Egress) -> Account:
        """The anonymous user behind an egress; named after it, never listed."""
        if egress.name not in self._guests:
            kept = Kept(
                id=f"guest@{egress.name}", tier="free", egress=egress.name, models=(), psid="", psidts=""
            )
            self._guests[egress.name] = Account(kept, egress, self.seed, guest=True)
        return self._guests[egress.name]

    def guests(self) -> list[Account]:
        return list(self._guests.values())

    def by_psid(self, psid: str) -> Account | None:
        return self._by_psid.get(psid)

    def retired(self, psid: str) -> str | None:
        """Id of the account whose dead cookie this is."""
        return self._retired.get(psid)

    def by_push_id(self, push_id: str) -> Account | None:
        everyone = [*self._accounts.values(), *self._guests.values()]
        return next((a for a in everyone if a.push_id == push_id), None)

    def behind(self, egress: Egress) -> list[Account]:
        return [a for a in self._accounts.values() if a.egress is egress]

    def _index(self) -> None:
        self._by_psid = {a.kept.psid: a for a in self._accounts.values()}
        for account in self._accounts.values():
            self._retired.update(dict.fromkeys(account.kept.retired, account.id))


def _digest(seed: bytes, who: str, what: str) -> bytes:
    return hmac.new(seed, f"{who}:{what}".encode(), hashlib.sha256).digest()


def _derive(seed: bytes, who: str, what: str) -> str:
    return _digest(seed, who, what).hex()


def _fresh_psid() -> str:
    return "g.a000" + secrets.token_urlsafe(105)


def _fresh_psidts() -> str:
    return "sidts-CjIB" + secrets.token_urlsafe(45)
