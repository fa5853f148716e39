"""StreamGenerate: a prompt in, a stream of growing frames out, and every way that it can go wrong."""

import random
import secrets
from collections.abc import Callable

from simulator.accounts import BUILD_LABEL, Account
from simulator.asks import Ask, BadAsk, BadModel, choose_model, parse_ask
from simulator.chats import Chat, Turn, WrongPlace, going_on
from simulator.faults import Fault
from simulator.frames import XSSI, cut, frame_of
from simulator.http import End, Reply, Request, Step
from simulator.journal import PromptRecord
from simulator.model import told_to_do
from simulator.models import Model
from simulator.pictures import generated_row, rich_block, web_row
from simulator.replies import Framed, Said, candidate, error_frames, refusal_frames, render, say
from simulator.visitors import Visitor, World, check_post

STREAM_TYPE = "application/json; charset=utf-8"
LONG = 86_400.0


def generate(world: World, request: Request, visitor: Visitor) -> Reply:
    account = visitor.account
    account.journal.counts["generate"] += 1
    faults = account.faults
    as_guest = visitor.standing == "guest" or faults.active("guest") is not None
    lax = visitor.standing == "dead" or as_guest or faults.active("expired") is not None
    if visitor.standing == "refused":
        return Reply(status=403, body=b"Forbidden")
    if (refusal := check_post(world, request, visitor, BUILD_LABEL, lax=lax)) is not None:
        return refusal
    form = request.form()
    if not lax and form.get("at") != account.token:
        world.journal.anomaly(account.id, "wrong_token", "at is not the start page's token")
        return Reply(status=400, body=b"xsrf")
    try:
        ask = parse_ask(request, form)
    except BadAsk as error:
        world.journal.anomaly(account.id, "bad_request", str(error))
        return Reply(status=400, body=b"bad request")
    return _Generation(world, account, ask, as_guest).reply(dead=visitor.standing == "dead")


class _Generation:
    """One prompt that was understood: journaled, then answered, refused or spoiled."""

    def __init__(self, world: World, account: Account, ask: Ask, guest: bool) -> None:
        self._world = world
        self._account = account
        self._ask = ask
        self._guest = guest
        self._model: Model | None = None
        self._why_model = ""
        self._chat: Chat | None = None
        self._before: list[Turn] = []
        try:
            self._model = choose_model(ask, account, guest=guest)
        except BadModel as error:
            self._why_model = str(error)
        names = [name for _, name in ask.files]
        category = self._model.category if self._model else "?"
        journal = account.journal
        self._record = world.journal.prompt(
            account.id, ask.prompt, category, ask.temporary, ask.thinking, names
        )
        journal.prompts += 1
        journal.recent.append(self._record)
        seed = world.defaults.cut_seed * 1_000_003 + int(self._record.sha256[:8], 16)
        self._random = random.Random(seed)  # noqa: S311  # cuts are to be repeatable

    def reply(self, *, dead: bool) -> Reply:
        world, account, journal = self._world, self._account, self._account.journal
        hits = account.faults.hits("generate", self._model.names if self._model else ())
        egress_hits = account.egress.faults.hits("generate")
        too_many = journal.running >= world.defaults.max_parallel
        journal.running += 1
        journal.max_running = max(journal.max_running, journal.running)
        if too_many:
            reply = self._refuse(
                "too_parallel", f"more than {world.defaults.max_parallel} at once", Reply(status=429)
            )
        elif dead:
            reply = self._spoiled("dead_cookies", Reply(status=400, body=b"sign in"))
        elif "ip_block" in egress_hits:
            reply = self._spoiled("ip_block", self._stream(error_frames(1060)))
        else:
            reply = self._faulty(hits) or self._checked() or self._answer(hits)
        reply.wait += world.defaults.latency.get("generate", 0.0)
        if "latency" in hits:
            reply.wait += hits["latency"].seconds
        if world.defaults.note_frames:
            reply.on_step = lambda: self._record.sent.append(world.clock.monotonic())
        reply.on_end = self._ended(self._record, reply.on_end)
        return reply

    def _faulty(self, hits: dict[str, Fault]) -> Reply | None:
        """Faults that answer without looking at the prompt."""
        if "drop_before_first" in hits:
            return self._spoiled("drop_before_first", Reply(status=0))
        if "http" in hits:
            status = hits["http"].status
            return self._spoiled(f"http_{status}", Reply(status=status, body=b"<html>error</html>"))
        if "expired" in hits:
            return self._spoiled("expired", Reply(status=hits["expired"].status or 400, body=b"sign in"))
        if "status" in hits and hits["status"].status:
            return self._spoiled("status", Reply(status=hits["status"].status, body=b"refused"))
        if "error" in hits:
            return self._spoiled(
                f"error_{hits['error'].code}", self._stream(error_frames(hits["error"].code))
            )
        if "garbage" in hits:
            return self._spoiled("garbage", self._garbage(hits["garbage"].form))
        return None

    def _checked(self) -> Reply | None:
        """Refusals of a model, a chat or a file that is not the account's."""
        account, ask, accounts = self._account, self._ask, self._world.accounts
        if self._model is None:
            if account.faults.active("guest") is not None:
                # Asked for what the account offered before it fell to a guest: nobody's mistake.
                return self._spoiled("guest", self._stream(error_frames(1052)))
            return self._refuse("bad_model", self._why_model, self._stream(error_frames(1052)))
        if ask.chat[0] and (refusal := self._placed()) is not None:
            return refusal
        for reference, _name in ask.files:
            if reference not in account.uploads:
                owner = next((a.id for a in accounts if reference in a.uploads), "nobody")
                detail = f"upload {reference} belongs to {owner}"
                return self._refuse("foreign_upload", detail, Reply(status=400, body=b"bad file"))
        return None

    def _placed(self) -> Reply | None:
        """Find the chat that the prompt goes on in, or refuse it."""
        account, ask, cid = self._account, self._ask, self._ask.chat[0]
        lost = account.faults.hits("place").get("chat_lost")
        if lost is not None and lost.form == "new":
            return None
        if lost is not None:
            reply = (
                Reply(status=400, body=b"bad chat")
                if lost.form == "400"
                else self._stream(refusal_frames() if lost.form == "7" else error_frames(1050))
            )
            return self._spoiled("chat_lost", reply)
        try:
            self._chat, self._before = going_on(account.chats, ask.chat, ask.context)
        except WrongPlace as error:
            return self._refuse("wrong_place", str(error), self._stream(error_frames(1050)))
        except LookupError:
            reply = self._stream(error_frames(1050))
            if cid in account.erased:
                return self._spoiled("erased", reply)  # the account's owner did it: nobody else's mistake
            owners = (a.id for a in self._world.accounts if cid in a.chats)
            owner = next(owners, "nobody (deleted or never begun)")
            return self._refuse("foreign_chat", f"{cid} is a chat of {owner}", reply)
        if self._chat.temporary != (ask.temporary or self._guest):
            # Such a switch begins a new chat without a word.
            self._chat, self._before = None, []
        return None

    def _answer(self, hits: dict[str, Fault]) -> Reply:
        world, account, ask = self._world, self._account, self._ask
        earlier, before = self._chat, self._before
        cid = earlier.cid if earlier else "c_" + secrets.token_hex(8)
        ids = (cid, "r_" + secrets.token_hex(8), "rc_" + secrets.token_hex(8))
        parent = before[-1].rid if before else ""
        self._record.cid, self._record.rid, self._record.after = cid, ids[1], parent
        uploads = [account.uploads[reference].file for reference, _ in ask.files]
        self._record.uploads = tuple(uploads)
        script = (
            account.scripts.popleft()
            if account.scripts
            else world.scripts.popleft()
            if world.scripts
            else None
        )
        told = told_to_do(world, account, self._record, ask.prompt, before, script)
        said = say(ask.prompt, uploads, len(before) + 1, world.defaults, script, told)
        rich = self._pictures(ids, said)
        # A guest has no history, and a temporary chat leaves none.
        context = None if ask.temporary or self._guest else "AwAAAAAAAAAQ" + secrets.token_urlsafe(24)
        now = world.clock.now()
        framed = render(said, ids, rich, context, now)

        chat = earlier or Chat(cid, ask.prompt[:40], context is None, now, [])
        chat.at = now
        # The chat is there from its first prompt on, whatever becomes of the answer.
        account.keep_chat(chat)

        def keep() -> None:
            if cid in account.chats:
                whole = candidate(ids[2], said, rich)
                chat.turns.append(Turn(ids[1], ids[2], ask.prompt, whole, parent, context or ""))

        return self._play(framed, said, hits, keep)

    def _pictures(self, ids: tuple[str, str, str], said: Said) -> list[object] | None:
        world, account, prompt = self._world, self._account, self._ask.prompt
        if not said.images and not said.web_images:
            return None
        add, style = world.pictures.add, said.style
        made = [add(account.id, ids, n, prompt, style, web=False) for n in range(said.images)]
        found = [add(account.id, ids, n, prompt, style, web=True) for n in range(said.web_images)]
        alt = prompt[:100]
        # The web app uses both forms of the block; an edit takes the sparse one here.
        return rich_block(
            [generated_row(p, alt) for p in made],
            [web_row(p, alt) for p in found],
            sparse=bool(self._ask.files),
        )

    def _play(self, framed: Framed, said: Said, hits: dict[str, Fault], keep: Callable[[], None]) -> Reply:
        first, each = said.first_delay, said.frame_delay
        if "slow_first_token" in hits:
            first += hits["slow_first_token"].seconds
        if "slow_body" in hits:
            each += hits["slow_body"].seconds / (len(framed.content) + 1)
        opening = XSSI + framed.opening
        if "empty" in hits:
            bare = hits["empty"].form == "bare"
            body = XSSI + frame_of([["di", 5]]) if bare else opening
            return self._spoiled("empty", self._steps(first, each, [body], framed.closing))
        broken = next((kind for kind in ("stall", "drop_mid", "truncate") if kind in hits), None)
        if broken is None:
            reply = self._steps(first, each, [opening, *framed.content, framed.final], framed.closing)
            reply.on_end = lambda end: keep() if end == "sent" else None
            return reply
        fault = hits[broken]
        reply = self._steps(first, each, [opening, *framed.content[: fault.frames]], b"")
        if broken == "stall":
            reply.ending = "silence"
        elif broken == "drop_mid":
            reply.ending = "reset"
        elif fault.form == "recoverable":
            keep()
        return self._spoiled(broken, reply)

    def _steps(self, first: float, each: float, frames: list[bytes], closing: bytes) -> Reply:
        """A stream: the opening, then each frame after its delay; without delays, one body cut anywhere."""
        mean = self._world.defaults.cut_size
        if not first and not each:
            return self._stream(b"".join([*frames, closing]))
        bodies = (
            [frames[0], *frames[1:-1], frames[-1] + closing] if len(frames) > 1 else [frames[0] + closing]
        )
        delays = [0.0, first, *[each] * (len(bodies) - 2)] if len(bodies) > 1 else [first]
        if first and each and len(bodies) > 2:
            delays[1] = first
        steps = [Step(d, cut(body, mean, self._random)) for d, body in zip(delays, bodies, strict=True)]
        return Reply(content_type=STREAM_TYPE, steps=steps)

    def _stream(self, body: bytes) -> Reply:
        body = body if body.startswith(XSSI) else XSSI + body
        pieces = cut(body, self._world.defaults.cut_size, self._random)
        return Reply(content_type=STREAM_TYPE, steps=[Step(0.0, pieces)])

    def _garbage(self, form: str) -> Reply:
        if form == "frame":
            return self._stream(XSSI + b'57\n[["wrb.fr",null,"[null,[broken\n\n25\n[["e",4,null,null,131]]\n')
        if form == "bytes":
            return Reply(content_type="application/octet-stream", body=self._random.randbytes(700))
        return Reply(body=b"<!doctype html><html><title>Sorry...</title><body>unusual traffic</body></html>")

    def _spoiled(self, kind: str, reply: Reply) -> Reply:
        self._record.outcome = f"fault:{kind}"
        return reply

    def _refuse(self, kind: str, detail: str, reply: Reply) -> Reply:
        self._world.journal.anomaly(self._account.id, kind, detail)
        self._record.outcome = f"refused:{kind}"
        return reply

    def _ended(self, record: PromptRecord, then: Callable[[End], None] | None) -> Callable[[End], None]:
        journal, clock = self._account.journal, self._world.clock

        def ended(end: End) -> None:
            journal.running -= 1
            record.ended_at = clock.now()
            if end == "aborted":
                journal.aborted.append({"at": record.ended_at, "kind": "generate", "seq": record.seq})
                record.outcome = "aborted" if record.outcome == "running" else record.outcome + ",aborted"
            elif record.outcome == "running":
                record.outcome = "answered"
            if then is not None:
                then(end)

        return ended
