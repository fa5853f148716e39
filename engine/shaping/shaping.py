"""Asks for calls and JSON, and asks again where the answer is neither what was wanted nor near enough."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, Delta, Event, Finish, FinishReason, Message, Picture, Text, ToolCall
from core.errors import AnswerUnfit, DeadlineExceeded, NoAccount, PoolBusy, UpstreamFailed
from core.metrics import Metrics
from engine.asking import Round
from engine.conversing import Thread
from engine.prompt import Frame
from engine.shaping.forms import Broken, Call
from engine.shaping.instructions import Instructions, offered
from engine.shaping.page import Piece
from engine.shaping.reader import Reader
from engine.shaping.verdict import Bad, Good, Judge, Verdict

log = structlog.get_logger("gempool.engine")

_T = TypeVar("_T")
Inner: TypeAlias = Callable[[Ask, Thread, Frame], AsyncGenerator[Event, None]]

_NOBODY_ANSWERED = (UpstreamFailed, PoolBusy, NoAccount, DeadlineExceeded)
_REPLAYED = 30_000
"""Characters of an answer that the model is shown again."""
_WHY = 300
_STRETCH = 2_000
"""Characters in small pieces that are read before others have their turn."""
_MUCH = 20_000
"""Characters from which on an answer is read off the event loop: a hostile one may take long."""


def shaped(ask: Ask) -> bool:
    """Whether the ask wants more than words: functions that may be called, or JSON."""
    return ask.shape is not None or (ask.toolbox is not None and bool(offered(ask.toolbox)))


class Shaping:
    """Stands between a request and its attempts where tools or a shape are asked for. reasks: how often the model is asked
    again whose answer cannot be used."""

    def __init__(self, metrics: Metrics, reasks: int) -> None:
        self._metrics = metrics
        self._reasks = reasks
        self._instructions = Instructions()

    async def stream(
        self, ask: Ask, thread: Thread, round_: Round, inner: Inner
    ) -> AsyncGenerator[Event, None]:
        """The answer with its calls, or its JSON as one delta; ends as `engine.service.ChatService.stream` does.

        inner: asks once, with failover, in this round.
        """
        box = ask.toolbox if ask.toolbox is not None and offered(ask.toolbox) else None
        judge = Judge(box, ask.shape)
        frame = self._instructions.frame(box, ask.shape)
        live = ask.stream and ask.shape is None and not (box is not None and box.required)
        asked = replace(ask, stream=live)
        text_shown = thoughts_shown = False
        prompt: int | None = None
        spare: tuple[_Answer, Verdict] | None = None  # handed out where nobody can be asked again
        fault: Bad | None = None  # of the last answer that cannot be used
        for left in range(self._reasks, -1, -1):
            answer, paused = _Answer(judge.names), 0
            try:
                async with aclosing(inner(asked, thread, frame)) as events:
                    async for event in events:
                        delta = await _aside(answer.work(event), answer.take, event)
                        if answer.length - paused > _STRETCH:
                            paused = answer.length
                            await asyncio.sleep(0)  # deltas may come many at a time
                        if asked.stream and (delta.text or delta.thoughts):
                            text_shown = text_shown or bool(delta.text)
                            thoughts_shown = thoughts_shown or bool(delta.thoughts)
                            yield delta
            except _NOBODY_ANSWERED as error:
                if answer.begun and not text_shown and left and isinstance(error, UpstreamFailed):
                    # None of its text has gone out, so that another answer may take its place.
                    self._again(ask, "the answer broke off", left)
                    asked, thread = replace(asked, stream=False), thread.anew()
                    continue
                if spare is None:
                    if fault is None or not isinstance(error, DeadlineExceeded):
                        raise
                    raise _out_of_time(fault) from error
                answer, verdict = spare
            else:
                verdict = await _aside(answer.length, judge.judge, answer.text, answer.found)
                if text_shown and not asked.stream and verdict == Good():
                    # What was shown led to a call, which is still wanted.
                    verdict = replace(judge.no_call(), unfit=True)
                prompt = answer.finish.usage.prompt if prompt is None else prompt
                if isinstance(verdict, Bad):
                    fault = verdict
                    round_.wrong.add(round_.account)
                if isinstance(verdict, Bad) and left:
                    if _will_do(verdict, answer.text):
                        spare = answer, verdict
                    self._again(ask, verdict.why, left)
                    asked, thread = _corrected(ask, answer.raw, verdict), thread.anew()
                    continue
            finish = answer.finish
            end = self._end(ask, verdict, answer.text, asked=1 + self._reasks - left)
            if not asked.stream:
                # A call that had to be made stands alone, as where decoding is constrained: clients count the parts.
                alone = ask.shape is not None or (box is not None and box.required)
                text = "" if text_shown or (end.calls and alone) else end.text
                thoughts = "" if thoughts_shown else answer.thoughts
                if text or thoughts:
                    yield Delta(text, thoughts)
            for call in end.calls:
                yield call
            for picture in answer.pictures:
                yield picture
            yield replace(
                finish, usage=replace(finish.usage, prompt=prompt or finish.usage.prompt), reason=end.reason
            )
            return

    def _again(self, ask: Ask, why: str, left: int) -> None:
        log.info("an answer is asked for again", request_id=ask.request_id, why=why[:_WHY], left=left)

    def _end(self, ask: Ask, verdict: Verdict, text: str, *, asked: int) -> "_End":
        """What is handed out of the last answer. Raises AnswerUnfit where nothing can be."""
        outcome, end = _ending(verdict, text)
        self._metrics.shaped_answers.labels(
            "reasked" if asked > 1 and outcome in ("ok", "repaired") else outcome
        ).inc()
        if end is None:
            why = verdict.why if isinstance(verdict, Bad) else ""
            times = "once" if asked == 1 else f"{asked} times"
            raise AnswerUnfit(
                f"The model was asked {times} and gave no answer that can be used: {why[:_WHY]}. Make the schema or the"
                " instructions plainer, or ask another model.",
                param="tools" if ask.shape is None else ask.shape_field or None,
            )
        return end


async def _aside(work: int, call: Callable[..., _T], *args: Any) -> _T:
    """Called in a thread where there is much to do."""
    return await asyncio.to_thread(call, *args) if work > _MUCH else call(*args)


class _End(Struct, frozen=True):
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    reason: FinishReason = FinishReason.STOP


def _out_of_time(fault: Bad) -> DeadlineExceeded:
    """Where there were answers, and none that can be used."""
    return DeadlineExceeded(
        "The time for the request was over before the model gave an answer that can be used. The last one could not:"
        f" {fault.why[:_WHY]}. Try again, or make the schema or the instructions plainer."
    )


def _ending(verdict: Verdict, text: str) -> tuple[str, _End | None]:
    """The outcome's name for the metric, and what is handed out; None where that is nothing."""
    if isinstance(verdict, Good):
        outcome = "repaired" if verdict.repaired else "ok"
        if verdict.calls:
            return outcome, _End("" if verdict.bare else text, verdict.calls, FinishReason.TOOL_CALLS)
        return outcome, _End(text if verdict.json is None else verdict.json)
    if verdict.calls:
        return "repaired", _End(text, verdict.calls, FinishReason.TOOL_CALLS)
    if verdict.unfit or not text.strip():
        return "failed", None
    return "refused", _End(text, reason=FinishReason.REFUSAL if verdict.words else FinishReason.STOP)


def _will_do(verdict: Bad, text: str) -> bool:
    """Whether it is better than an error: right calls beside wrong ones, and prose where a call was wanted."""
    _, end = _ending(verdict, text)
    return end is not None and end.reason != FinishReason.REFUSAL


class _Answer:
    """One answer of the model's as it comes: what of it is prose, and what was read as calls."""

    def __init__(self, names: frozenset[str]) -> None:
        self._reader = Reader(names)
        self._texts: list[str] = []
        self._raw: list[str] = []
        self._thoughts: list[str] = []
        self._finish: Finish | None = None
        self.found: list[Call | Broken] = []
        self.pictures: list[Picture] = []
        self.length = 0
        self.begun = False

    def work(self, event: Event) -> int:
        """Characters that may have to be read to take the event."""
        return self._reader.held + (len(event.text) if isinstance(event, Delta) else 0)

    def take(self, event: Event) -> Delta:
        """What of it can be shown."""
        self.begun = True
        if isinstance(event, Delta):
            self._raw.append(event.text)
            self.length += len(event.text)
            self._thoughts.append(event.thoughts)
            return Delta(self._read(self._reader.feed(event.text)), event.thoughts)
        if isinstance(event, Finish):
            self._finish = event
            return Delta(self._read(self._reader.finish()))
        if isinstance(event, Picture):
            self.pictures.append(event)
        return Delta()

    def _read(self, pieces: list[Piece]) -> str:
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        self.found += [piece for piece in pieces if not isinstance(piece, str)]
        self._texts.append(text)
        return text

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def raw(self) -> str:
        return "".join(self._raw)

    @property
    def thoughts(self) -> str:
        return "".join(self._thoughts)

    @property
    def finish(self) -> Finish:
        assert self._finish is not None  # noqa: S101  every answer ends with one or raises
        return self._finish


def _corrected(ask: Ask, raw: str, verdict: Bad) -> Ask:
    """The ask with the answer that cannot be used and what is wrong with it."""
    said = raw if len(raw) <= _REPLAYED else f"{raw[:_REPLAYED]} [...]"
    bad = Message("assistant", (Text(said.strip() or "[no words]"),))
    return replace(
        ask, messages=(*ask.messages, bad, Message("user", (Text(verdict.correction),))), stream=False
    )
