"""Thousands of bodies that nobody should send."""

import asyncio
import json
import re
import time
from collections import Counter

from structlog.testing import capture_logs

from access import Keys
from core.clock import SystemClock
from core.metrics import Metrics
from routes import EdgeSettings, RouteServices, create_app
from routes.openapi import operations
from tests.fakes.batches import FakeBatches
from tests.fakes.cookies import FakeCookies
from tests.fakes.service import FakeChat
from tests.support.asgi import Answered, ask
from tests.support.malformed import Body, Malformer
from tests.support.openapi import contract

N = 3_000
SLOW = 1.0
"""Seconds of computing for one body."""
REMEDY = re.compile(
    r"\b(Send|Add|Use|Encode|Flatten|Leave|Shorten|Name|Write|must|Declare|Invent|Begin|Set)\b|line \d+, column \d+|lists"
)


def complaint(answer: Answered, google: bool) -> str | None:
    """What is wrong with a refusal, None for nothing."""
    if answer.headers.get(b"content-type") != b"application/json" or b"x-request-id" not in answer.headers:
        return "headers"
    error = json.loads(answer.body)["error"]
    name = "Gemini" if google else "OpenAI"
    if contract().faults({"$ref": f"#/components/schemas/{name}ErrorEnvelope"}, {"error": error}):
        return "shape"
    if google and error["code"] != answer.status:
        return "code"
    named = bool(error.get("details")) if google else error["param"] is not None
    return None if named or REMEDY.search(error["message"]) else "neither field nor remedy"


async def test_every_malformed_body_is_refused_in_its_dialect() -> None:
    """4xx at once, with the field or the remedy; never a fault of ours, and nothing is left behind."""
    chat = FakeChat()
    services = RouteServices(
        chat=chat,
        keys=Keys(),
        metrics=Metrics(),
        clock=SystemClock(),
        version="1.2.3",
        started=time.time(),
        settings=EdgeSettings(body_limit=1_000_000),
        cookies=FakeCookies(),
        batches=FakeBatches(),
    )
    app = create_app(services)
    posts = [operation for operation in operations() if operation.examples]
    seen: Counter[tuple[str, int]] = Counter()
    faults: list[tuple[str, str, int, Body, bytes]] = []
    slowest = (0.0, "")
    tasks = asyncio.all_tasks()
    with capture_logs() as logs:
        for operation, body in Malformer(contract(), seed=5).bodies(posts, N):
            path = operation.path.replace("{model}", "gemini-2.5-flash-image")
            began = time.process_time()
            answer = await ask(app, "POST", path, body.data, body.headers)
            slowest = max(slowest, (time.process_time() - began, body.kind))
            seen[body.kind, answer.status] += 1
            wrong: str | None = None
            if answer.status >= 400:
                wrong = complaint(answer, "{model}" in operation.path)
            if answer.status >= 500 or (body.refused and answer.status < 400):
                wrong = "status"
            if wrong:
                faults.append((wrong, path, answer.status, body, answer.body[:300]))
    assert faults == []
    assert seen.total() == N
    assert sum(n for (_, status), n in seen.items() if 400 <= status < 500) > N / 2
    assert slowest[0] < SLOW, slowest
    assert [event for event in logs if event["log_level"] == "error"] == []
    assert chat.running == 0
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
