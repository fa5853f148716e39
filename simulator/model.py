"""The model behind a chat: what it says to a prompt that tells it what to do."""

from collections.abc import Sequence
from typing import cast

import structlog

from simulator.accounts import Account
from simulator.chats import Turn
from simulator.config import Manner, Script
from simulator.following import follow, understand
from simulator.journal import PromptRecord
from simulator.visitors import World

log = structlog.get_logger("gempool.simulator")

TOO_MUCH = "I cannot do that: it is too much for me. Please ask for something simpler."


def told_to_do(
    world: World,
    account: Account,
    record: PromptRecord,
    prompt: str,
    before: Sequence[Turn],
    script: Script | None,
) -> str | None:
    """The answer to a prompt that tells about functions, JSON or results, None for any other. What the model cannot follow
    is answered in words and noted."""
    try:
        return _followed(world, account, prompt, [turn.prompt for turn in before], script or Script())
    except (
        Exception
    ) as error:  # a border: without an answer the connection would be lost, and the account blamed
        log.error("the model could not follow a prompt", account=account.id, seq=record.seq, exc_info=error)
        account.journal.notes.append(
            {
                "at": world.clock.now(),
                "kind": "not_followed",
                "seq": record.seq,
                "error": type(error).__name__,
            }
        )
        return TOO_MUCH


def _followed(
    world: World, account: Account, prompt: str, earlier: Sequence[str], script: Script
) -> str | None:
    task = understand(prompt, earlier)
    if task is None:
        return None
    faults, defaults = account.faults, world.defaults
    tools, json = script.tool_reply or defaults.tool_reply, script.json_reply or defaults.json_reply
    if (task.may or task.must) and (hit := faults.hits("tools").get("tool_reply")):
        tools = cast(Manner, hit.form)
    if task.shaped and (hit := faults.hits("json").get("json_reply")):
        json = cast(Manner, hit.form)
    return follow(task, tools, json)
