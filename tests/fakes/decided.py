"""A chat service whose answers wait until a test decides them."""

import asyncio
from collections.abc import Callable

from core.chat import Answer, Ask, Finish, Picture, Usage
from core.errors import UpstreamFailed
from tests.fakes.service import FakeChat
from tests.support.files import PNG

FINISH = Finish(Usage(1, 1), "gemini-flash")


def words(text: str = "words") -> Answer:
    return Answer(text, "", (), FINISH)


def pictures(*links: str) -> Answer:
    """Stored under these links; '' for one that was not stored."""
    found = (
        Picture(PNG, "image/png", width=640, height=480, watermark="removed", link=link) for link in links
    )
    return Answer("", "", tuple(found), FINISH)


class DecidedChat(FakeChat):
    """`open` holds what is asked and not yet answered, by request id. `decide` answers everything that comes, where it is set;
    what it returns is raised where it is an exception."""

    def __init__(self) -> None:
        super().__init__()
        self.decide: Callable[[Ask], Answer | Exception | None] = lambda ask: None
        self.open: dict[str, asyncio.Future[Answer]] = {}
        self.most = 0
        self.cancelled = 0

    async def answer(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        ask.trace.attempts = 1
        future = self.open[ask.request_id] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.open))
        try:
            decided = self.decide(ask)
            if isinstance(decided, Exception):
                ask.trace.failed += isinstance(decided, UpstreamFailed)
                raise decided
            return decided or await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            del self.open[ask.request_id]

    def end(self, request_id: str, answer: Answer | Exception) -> None:
        """Decide this one."""
        future = self.open[request_id]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def end_all(self, answer: Answer | None = None) -> None:
        """Decide all that is open."""
        for future in self.open.values():
            if not future.done():
                future.set_result(answer or words())
