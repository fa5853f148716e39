"""What happened: counts and prompts per account, prompts in global order, anomalies. No cookie values."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterable

from msgspec import Struct, to_builtins

from core.clock import Clock

KEPT_PROMPTS = 20_000
KEPT_PER_ACCOUNT = 200


class SentFile(Struct, frozen=True):
    """An upload as it arrived. size: bytes, of which sha256 is the digest."""

    name: str
    content_type: str
    size: int
    sha256: str


class PromptRecord(Struct, kw_only=True):
    """One prompt that arrived. outcome: running, answered, aborted (left by the client),
    `fault:<kind>` or `refused:<anomaly>`. at, ended_at: wall clock seconds. sent: when each frame was sent, in seconds of the
    machine's monotonic clock, where that is noted; the first has no content yet. files: the names that the prompt gives
    them; uploads: what had been uploaded, in the same order. cid, rid: the chat and the turn that the answer stands in; after: the rid of the
    turn that it goes on from, '' for a chat's first."""

    seq: int
    at: float
    account: str
    sha256: str
    length: int
    text: str
    model: str
    temporary: bool
    thinking: bool
    files: tuple[str, ...]
    uploads: tuple[SentFile, ...] = ()
    cid: str = ""
    rid: str = ""
    after: str = ""
    outcome: str = "running"
    ended_at: float | None = None
    sent: list[float] = []


class Anomaly(Struct, frozen=True):
    """Something that a correct client never does. account: whose cookies or egress; may be empty."""

    at: float
    account: str
    kind: str
    detail: str


class AccountJournal:
    """One account's counts. `note` keeps oddities that are no anomalies."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.prompts = 0
        self.recent: deque[PromptRecord] = deque(maxlen=KEPT_PER_ACCOUNT)
        self.running = 0
        self.max_running = 0
        self.aborted: deque[dict[str, object]] = deque(maxlen=KEPT_PER_ACCOUNT)
        self.notes: deque[dict[str, object]] = deque(maxlen=KEPT_PER_ACCOUNT)

    def shown(self) -> dict[str, object]:
        return {
            "counts": dict(self.counts),
            "prompts": self.prompts,
            "recent_prompts": to_builtins(list(self.recent)),
            "running": self.running,
            "max_running": self.max_running,
            "aborted": list(self.aborted),
            "notes": list(self.notes),
        }

    def clear(self) -> None:
        """Forget all but what runs now."""
        running = self.running
        self.__init__()  # type: ignore[misc]  # the same fresh state as at the start
        self.running = self.max_running = running


class Journal:
    """The global record."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seq = 0
        self.prompts: deque[PromptRecord] = deque(maxlen=KEPT_PROMPTS)
        self.anomalies: deque[Anomaly] = deque(maxlen=KEPT_PROMPTS)

    def anomaly(self, account: str, kind: str, detail: str) -> None:
        self.anomalies.append(Anomaly(self._clock.now(), account, kind, detail))

    def prompt(
        self, account: str, text: str, model: str, temporary: bool, thinking: bool, files: Iterable[str]
    ) -> PromptRecord:
        """A record for a prompt that has just arrived, kept in the global order."""
        self._seq += 1
        record = PromptRecord(
            seq=self._seq,
            at=self._clock.now(),
            account=account,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            length=len(text),
            text=text[:200],
            model=model,
            temporary=temporary,
            thinking=thinking,
            files=tuple(files),
        )
        self.prompts.append(record)
        return record

    def clear_prompts(self) -> None:
        self.prompts.clear()
        self._seq = 0

    def clear_anomalies(self) -> None:
        self.anomalies.clear()
