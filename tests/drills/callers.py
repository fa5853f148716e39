"""Callers who ask all the time, in both dialects, streamed and whole, some of whom leave; and what they may be told."""

import asyncio
import json
import random
import ssl
import threading
import time
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any

import httpx
from msgspec import Struct

from simulator.replies import filler
from tests.support.processes import wait_for

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MODEL = "gemini-3-flash-preview"


class Question(Struct, frozen=True):
    """What one caller asks. google: in Google's dialect, or else in OpenAI's. words: that the answer has beside the question's."""

    text: str
    google: bool = False
    stream: bool = False
    words: int = 0

    def answer(self) -> str:
        """The only right answer, of a simulator whose default is so many words."""
        return f"You said: {self.text}\n\n" + (
            filler(self.words) if self.words else "That is all there is to say about it."
        )

    def request(self) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        if not self.google:
            messages = [{"role": "user", "content": self.text}]
            return "/v1/chat/completions", {"model": MODEL, "messages": messages, "stream": self.stream}
        verb = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
        return f"/v1beta/models/{MODEL}:{verb}", {"contents": [{"parts": [{"text": self.text}]}]}


class Answered(Struct, kw_only=True):
    """What became of a question. text: its content as far as it came; ended: with all that the dialect ends an answer with.

    code: of the error that was told, before or within the stream. status: 0 where none came. left: the caller did not stay.
    lost: how the connection was lost. again: seconds after which to come back, as told.
    """

    question: Question
    began: float
    seconds: float = 0.0
    status: int = 0
    text: str = ""
    ended: bool = False
    code: str = ""
    again: int = 0
    left: bool = False
    lost: str = ""
    body: str = ""

    def read(self, body: str) -> None:
        """Take the body apart, a whole one or what came of a stream."""
        self.body = body[-500:]
        if self.status == 200 and self.question.stream:
            frames = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
            parsed = [json.loads(frame) for frame in frames if frame != "[DONE]"]
            done = frames[-1:] == ["[DONE]"] or self.question.google
        else:
            parsed, done = [json.loads(body)], True
        for one in parsed:
            self._part(one)
        self.ended = self.ended and done and not self.code

    def _part(self, one: dict[str, Any]) -> None:
        if (error := one.get("error")) is not None:
            self.code = str(error.get("status") if self.question.google else error.get("code"))
        for choice in one.get("choices", ()):
            self.text += choice.get("delta", choice.get("message", {})).get("content") or ""
            self.ended |= choice["finish_reason"] == "stop"
        for candidate in one.get("candidates", ()):
            self.text += "".join(part.get("text", "") for part in candidate["content"]["parts"])
            self.ended |= candidate.get("finishReason") == "STOP"


def fault(one: Answered, allowed: Collection[str] = ()) -> str:
    """What the contract does not allow about it, or ''.

    allowed: codes of errors that this caller may be told (OpenAI's `code`, Google's `status`), and `lost` where its
    connection may be lost. By default none: one account was well all the time.
    """
    told = f"{one.question} after {one.seconds:.2f} s: "
    right = one.question.answer()
    if not right.startswith(one.text):
        return f"{told}text of no answer to it: {one.text[:200]!r}"
    if one.left:
        return ""
    if one.lost:
        return "" if "lost" in allowed else f"{told}connection lost, {one.lost}"
    if one.code or one.status != 200:
        if one.code not in allowed:
            return f"{told}{one.status} {one.code or one.body}"
        if one.status in (429, 503) and one.again < 1:
            return f"{told}{one.status} {one.code} without Retry-After"
        return ""
    if not one.ended or one.text != right:
        return f"{told}an answer that breaks off after {len(one.text)} of {len(right)} characters"
    return ""


def faults(answers: Iterable[Answered], allowed: Collection[str] = ()) -> list[str]:
    """Of all of them, the first ten."""
    return [found for one in answers if (found := fault(one, allowed))][:10]


class Callers:
    """So many callers who ask one question after the other while the block lasts, each on a connection of its own.

    urls: whom they ask, in turn. leave: which share of the questions is not waited for, but left at a moment within
    `within` seconds. words: the simulator's default. pause: seconds before each next question. At the end of the block
    they wait for what runs; `answers` holds all.
    """

    def __init__(
        self,
        *urls: str,
        many: int = 8,
        leave: float = 0.0,
        within: float = 0.5,
        words: int = 0,
        pause: float = 0.0,
        timeout: float = 60.0,
        key: str = "",
        seed: int = 7,
    ) -> None:
        self.answers: list[Answered] = []
        self._urls = urls
        self._many = many
        self._leave = leave
        self._within = within
        self._words = words
        self._pause = pause
        self._timeout = timeout
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._random = random.Random(seed)  # noqa: S311  # the same callers in every run
        self._number = 0
        self._under_way: set[str] = set()
        self._over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="callers")

    def __enter__(self) -> "Callers":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """No more questions; wait for the answers to those that were asked."""
        self._over = True
        self._thread.join(self._timeout + 30)
        assert not self._thread.is_alive(), "callers hang beyond their own timeout"

    def go_on(self, answers: int, seconds: float = 40) -> None:
        """Wait until so many more questions are over."""
        goal = len(self.answers) + answers
        wait_for(
            lambda: len(self.answers) >= goal, seconds, f"only {len(self.answers)} of {goal} answers came"
        )

    def settle(self, seconds: float = 40) -> None:
        """Wait until every question that is under way now is over."""
        before = set(self._under_way)
        wait_for(lambda: not before & set(self._under_way), seconds, "a question did not end")

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(n) for n in range(self._many)))

    async def _one(self, number: int) -> None:
        client = self._client()
        while not self._over:
            self._number += 1
            way = self._random.randrange(4)
            question = Question(f"q{self._number}", way > 1, way % 2 == 1, self._words)
            leaves = self._random.uniform(0, self._within) if self._random.random() < self._leave else None
            url = self._urls[(number + self._number) % len(self._urls)]
            self._under_way.add(question.text)
            self.answers.append(await ask(client, url, question, leaves))
            self._under_way.discard(question.text)
            if self.answers[-1].left:
                # A client that was cancelled now and then forgets a connection, open.
                await client.aclose()
                client = self._client()
            await asyncio.sleep(self._pause)
        await client.aclose()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self._timeout, verify=_NO_TLS, headers=self._headers)


async def ask(
    client: httpx.AsyncClient, url: str, question: Question, leave: float | None = None
) -> Answered:
    """Ask and read all of it, or leave after so many seconds."""
    path, body = question.request()
    one = Answered(question=question, began=time.monotonic())
    received = b""
    try:
        async with asyncio.timeout(leave), client.stream("POST", url + path, json=body) as response:
            one.status = response.status_code
            one.again = int(response.headers.get("retry-after", "0"))
            async for some in response.aiter_bytes():
                received += some
    except TimeoutError:
        one.left = True
    except httpx.HTTPError as error:
        one.lost = type(error).__name__
    one.seconds = time.monotonic() - one.began
    if not one.left and not one.lost:
        one.read(received.decode())
    return one


def same_answers(url: str, words: int = 0) -> list[Answered]:
    """The answers to the same four questions, one in each way."""

    async def all_() -> list[Answered]:
        async with httpx.AsyncClient(timeout=60, verify=_NO_TLS) as client:
            ways = [
                Question("the same?", google, stream, words)
                for google in (False, True)
                for stream in (False, True)
            ]
            return [await ask(client, url, question) for question in ways]

    return asyncio.run(all_())
