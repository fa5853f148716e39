"""Results of batches on their way to a caller: piece by piece, however many or large they are."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from msgspec import UNSET

from engine.service import Batch, BatchService, Outcome
from routes.batch import shown, wire
from routes.batch.orders import Part
from routes.exchange import Exchange
from routes.inline import Inline, Pieces, encoded
from routes.links import absolute

PIECE = 64 * 1024
"""Bytes of a status that are sent at a time, where it has no pictures in it."""


class Teller:
    """Tells one exchange of tasks that have ended. Raises what the service does."""

    def __init__(self, exchange: Exchange, batches: BatchService) -> None:
        self._exchange = exchange
        self._batches = batches

    async def task(self, batch: Batch, outcome: Outcome) -> wire.Result | wire.TaskError:
        """Pictures are links."""
        return await self._result(batch, outcome) if outcome.ok else shown.error(batch, outcome)

    async def _result(self, batch: Batch, outcome: Outcome, *, inline: bool = False) -> wire.Result:
        """inline: pictures as data where the batch was ordered so."""
        result = wire.Result(shown.task_id(batch, outcome), outcome.index, outcome.tries)
        if not outcome.ok:
            # It went well, which the books know, and cannot be read.
            result.message = outcome.message
            return result
        if batch.kind == "chat":
            result.text = outcome.text
            return result
        if outcome.width:
            result.size = f"{outcome.width}x{outcome.height}"
        result.watermark = outcome.watermark or UNSET
        if inline and batch.form == "base64":
            data = await self._batches.picture(outcome)
            if data is not None:
                result.image = Inline.data_url(data, outcome.mime)
                return result
            result.image = None
            result.message = "The stored picture cannot be read any more. Ask for it again."
        result.url = absolute(self._exchange, await self._batches.link(outcome))
        return result

    async def status(self, batch: Batch, part: Part) -> AsyncGenerator[bytes, None]:
        """The body of a status. Of results and errors no more is in memory than what one piece needs."""
        piece = bytearray(msgspec.json.encode(shown.page(batch, part)).removesuffix(b"}"))
        for name, ok in ((b"results", True), (b"errors", False)):
            piece += b',"%s":[' % name
            between = b""
            async with aclosing(self._tasks(batch, part, ok=ok)) as tasks:
                async for task in tasks:
                    piece += between
                    between = b","
                    for data in task:
                        piece += data
                        if len(piece) >= PIECE:
                            yield bytes(piece)
                            piece.clear()
            piece += b"]"
        piece += b"}"
        yield bytes(piece)

    async def _tasks(self, batch: Batch, part: Part, *, ok: bool) -> AsyncGenerator[Pieces, None]:
        if part.limit == 0:
            return
        found = self._batches.outcomes(batch, ok=ok, offset=part.offset, limit=part.limit)
        async with aclosing(found) as lists:
            async for outcomes in lists:
                for outcome in outcomes:
                    if ok:
                        yield encoded(await self._result(batch, outcome, inline=True))
                    else:
                        yield encoded(shown.error(batch, outcome))
