"""batchexecute: the RPCs that the library sends, each a function of the account and its payload."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from simulator.accounts import Account
from simulator.faults import Fault
from simulator.frames import XSSI, frame_of
from simulator.models import PLANS
from simulator.visitors import World


class Refused(Struct, frozen=True):
    """The RPC answers with a code instead of a body: 7 permission denied, 5 not found."""

    code: int


class Call(Struct, frozen=True):
    world: World
    account: Account
    payload: Any
    guest: bool
    status: int


Answer: TypeAlias = list[Any] | Refused


def user_status(call: Call) -> Answer:
    account = call.account
    plan = PLANS["free"] if call.guest else account.plan
    body: list[Any] = [None] * 18
    body[14] = 1016 if call.guest else call.status
    body[15] = [m.row() for m in (PLANS["free"].models if call.guest else account.models)]
    body[16], body[17] = plan.tier_flags, plan.capability_flags
    return body


def preferences(call: Call) -> Answer:
    return [[[name, None] for name in call.payload[0][0]]]


def list_chats(call: Call) -> Answer:
    count, _, (pinned, *_rest) = call.payload
    if pinned:
        return [None, None, []]
    chats = [c for c in reversed(call.account.chats.values()) if not c.temporary][:count]
    rows = [[c.cid, c.title, False, None, None, [int(c.at), int(c.at % 1 * 1e9)]] for c in chats]
    return [None, None, rows]


def usage(call: Call) -> Answer:
    now = call.world.clock.now()
    limits = [reset for _, reset in call.account.faults.limits()]
    five_hours = [0, 1.0, 1, [[int(min(limits))]]] if limits else [480, 0.04, 1, [[int(now) + 5 * 3600]]]
    weekly = [9600, 0.04, 2, [[int(now) + 7 * 86400]]]
    credits = [1000, None, 3, None]
    return [call.account.plan.usage_tier, [five_hours, weekly, credits], False]


def quota(call: Call) -> Answer:
    now = call.world.clock.now()
    full: dict[int, int] = {}
    for fault, reset in call.account.faults.limits():
        for model in call.account.models:
            if not fault.model or fault.model.lower() in model.names:
                full[model.action] = int(reset)
    items = []
    for pair in call.payload[0]:
        if (reset_at := full.get(pair[1])) is not None:
            items.append([pair, None, 100, [reset_at], 100, 0])
        else:
            items.append([pair, None, 4, [int(now) + 5 * 3600], 100, 96])
    return [items]


def extra_quota(call: Call) -> Answer:
    return [False, 0.04, [int(call.world.clock.now()) + 86400]]


def abuse_status(call: Call) -> Answer:
    return [None, None]


def _owned(call: Call, cid: str) -> Answer | None:
    """None where the chat is the account's own; else the refusal. A foreign one is an anomaly."""
    if cid in call.account.chats:
        return None
    owner = next((a.id for a in call.world.accounts if a is not call.account and cid in a.chats), None)
    if owner is not None:
        call.world.journal.anomaly(call.account.id, "foreign_chat", f"{cid} is a chat of {owner}")
        return Refused(7)
    return Refused(5)


def read_chat(call: Call) -> Answer:
    cid, limit = call.payload[0], call.payload[1]
    if (refused := _owned(call, cid)) is not None:
        return refused
    chat = call.account.chats[cid]
    if chat.temporary or not chat.turns:
        return Refused(5)
    turns = [[[cid, t.rid], None, [[t.prompt]], [[t.candidate]]] for t in reversed(chat.turns)]
    return [turns[:limit]]


def delete_chat(call: Call) -> Answer:
    cid = call.payload[0]
    if (refused := _owned(call, cid)) is not None:
        return refused
    call.account.delete_chat(cid)
    return []


def tasks_in_chat(call: Call) -> Answer:
    return []


def full_image(call: Call) -> Answer:
    image_id, (rid, rcid, cid, *_rest) = call.payload[0][1][0], call.payload[1]
    anomaly = call.world.journal.anomaly
    if (refused := _owned(call, cid)) is not None:
        if refused == Refused(5):
            anomaly(call.account.id, "deleted_chat", f"the full size of a picture of {cid}, which is gone")
        return refused
    if call.account.chats[cid].temporary:
        anomaly(call.account.id, "temporary_chat", f"the full size of a picture of {cid}, which is temporary")
        return Refused(5)
    picture = call.world.pictures.find(cid, rid, rcid, image_id)
    if picture is None:
        return Refused(5)
    return [f"https://lh3.googleusercontent.com/gg/{picture.token}"]


RPCS: dict[str, Callable[[Call], Answer]] = {
    "otAQ7b": user_status,
    "ESY5D": preferences,
    "MaZiqc": list_chats,
    "jSf9Qc": usage,
    "qpEbW": quota,
    "aPya6c": extra_quota,
    "GPRiHf": abuse_status,
    "hNvQHb": read_chat,
    "c8o8Fe": full_image,
    "GzXR5e": delete_chat,
    "qWymEb": tasks_in_chat,
}
GUEST_RPCS = frozenset({"otAQ7b", "ESY5D", "GPRiHf"})
"""What an anonymous session may ask; the rest is refused."""


class BadBatch(ValueError):
    """The request's f.req is not what the library sends."""


def parse_batch(f_req: str) -> list[tuple[str, Any]]:
    """The (rpc id, payload) pairs of `[[[rpcid, payload, null, "generic"], ...]]`."""
    try:
        (calls,) = msgspec.json.decode(f_req)
        if not calls or any(call[2:] != [None, "generic"] for call in calls):
            raise BadBatch("f.req has no calls, or one that is not [id, payload, null, generic]")
        return [(call[0], msgspec.json.decode(call[1])) for call in calls]
    except BadBatch:
        raise
    except (msgspec.DecodeError, ValueError, TypeError, IndexError, KeyError) as error:
        raise BadBatch(f"f.req does not parse: {error}") from error


def batch(
    world: World,
    account: Account,
    calls: list[tuple[str, Any]],
    *,
    guest: bool,
    dead: bool,
    hits: dict[str, Fault],
) -> bytes:
    """The answer's body. guest: an anonymous session. dead: every call is refused with 7."""
    status = hits["status"].code if "status" in hits else 1000
    refusing = dead or ("rpc_fail" in hits and hits["rpc_fail"].status in (0, 7))
    parts: list[object] = []
    for rpcid, payload in calls:
        answer: Answer
        if refusing or (guest and rpcid not in GUEST_RPCS):
            answer = Refused(7)
        else:
            try:
                answer = RPCS[rpcid](Call(world, account, payload, guest, status))
            except (TypeError, ValueError, IndexError, KeyError) as error:
                raise BadBatch(f"payload of {rpcid}: {error}") from error
        if isinstance(answer, Refused):
            parts.append(["wrb.fr", rpcid, None, None, None, [answer.code], "generic"])
        else:
            parts.append(["wrb.fr", rpcid, msgspec.json.encode(answer).decode(), None, None, None, "generic"])
    noise: list[object] = [["di", 42], ["af.httprm", 41, "6224143291812345678", 8]]
    return XSSI + frame_of([*parts, *noise]) + frame_of([["e", 4, None, None, 148]])
