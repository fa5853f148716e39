"""A web app without a network that keeps chats: strict about places, and it remembers what its model has in mind."""

import itertools
from collections.abc import AsyncGenerator

from msgspec import Struct

from core.chat import Delta
from core.errors import GatewayError, PlaceLost
from pool.upstream import Bounds, Credentials, Done, Prompt, UpstreamEvent
from tests.fakes.sessions import FLASH, PRO, FakeSession, FakeWeb


class Turn(Struct, frozen=True):
    """One exchange; before: what stands before it in the chat."""

    account: str
    cid: str
    before: tuple[tuple[str, str], ...]
    prompt: str
    answer: str
    context: str
    temporary: bool


class ChatWeb(FakeWeb):
    """`errors` holds what an account raises for its next prompts; `answered` every turn, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: dict[str, list[GatewayError]] = {}
        self.turns: dict[str, Turn] = {}
        self.answered: list[Turn] = []
        self.numbers = itertools.count(1)

    def erase(self, account: str) -> None:
        """The account's owner empties its history."""
        self.turns = {rid: turn for rid, turn in self.turns.items() if turn.account != account}

    async def open(
        self, account: str, credentials: Credentials, proxy: str | None, timeout: float
    ) -> FakeSession:
        await super().open(account, credentials, proxy, timeout)
        return ChatSession(self, account, self.offered.get(account, (FLASH, PRO)), credentials)


class ChatSession(FakeSession):
    _web: ChatWeb

    async def generate(self, prompt: Prompt, bounds: Bounds) -> AsyncGenerator[UpstreamEvent, None]:
        web, place = self._web, prompt.place
        web.asked.append((self.account, prompt, bounds))
        number = next(web.numbers)
        before: tuple[tuple[str, str], ...] = ()
        cid = f"c_{number}"
        if place is not None:
            assert place.account == self.account
            turn = web.turns.get(place.rid)
            if turn is None or (turn.account, turn.cid) != (self.account, place.cid):
                raise PlaceLost("no such turn")
            assert (turn.context, f"rc_{place.rid}", turn.temporary) == (
                place.context,
                place.rcid,
                prompt.temporary,
            )
            before, cid = (*turn.before, (turn.prompt, turn.answer)), turn.cid
        if errors := web.errors.get(self.account):
            raise errors.pop(0)
        answer = f"  answer {number % 3}\n"
        turn = Turn(
            self.account,
            cid,
            before,
            prompt.text,
            answer,
            "" if prompt.temporary else f"x{number}",
            prompt.temporary,
        )
        web.turns[f"r{number}"] = turn
        web.answered.append(turn)
        yield Delta(answer[:5])
        yield Delta(answer[5:])
        yield Done(cid, f"r{number}", f"rc_r{number}", context=turn.context)
