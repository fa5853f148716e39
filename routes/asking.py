"""Asking the engine on behalf of an exchange."""

from typing import Literal

from msgspec.structs import replace

from core.chat import Answer, Ask, ModelInfo, Trace
from engine.service import ChatService
from routes import quota
from routes.exchange import Exchange
from routes.models import KnownModels
from routes.presence import Presence, all_of


async def wanted(
    exchange: Exchange, models: KnownModels, model: str, *, local: Literal["tokens", "batch", ""] = ""
) -> ModelInfo:
    """What is known of the model that the caller names, before the request is judged by it and `admitted`.

    local: what is wanted of it that the gateway answers without an account.
    Raises `UnknownModel`, or `Forbidden` where it is not for the caller.
    """
    exchange.model = model
    exchange.kind = local or "text"
    info = await models.asked(model, exchange.caller)
    if not local and info.category == "image":
        exchange.kind = "picture"
    return info


async def admitted(
    exchange: Exchange, models: KnownModels, model: str, *, local: Literal["batch", ""] = ""
) -> ModelInfo:
    """What is known of the model that the caller is about to ask, once the caller may ask it now.

    Every route that makes the engine work calls this once, when the request has been understood and before anything is
    done for it: whatever it asks for, that is one request of the caller's limits. From then on the exchange's answer
    says how the caller stands.
    Raises `UnknownModel` or `Forbidden` before anything is counted, `RateLimited`, or `StoreUnavailable`.
    """
    info = await wanted(exchange, models, model, local=local)
    if models.limits is None or exchange.caller is None:
        return info
    standing = await models.limits.admit(exchange.caller, info.id)
    if standing is not None:
        exchange.extra_headers += quota.headers(standing)
        if not standing.admitted:
            exchange.limit = standing.scope
            raise quota.refusal(standing, info.id)
    return info


def choices(exchange: Exchange, ask: Ask, n: int) -> list[Ask]:
    """The ask once for each of `n` choices, each with a trace that the exchange reports."""
    exchange.kind = "text" if ask.picture is None else "picture"
    exchange.traces = [ask.trace, *(Trace() for _ in range(n - 1))]
    return [ask, *(replace(ask, trace=trace) for trace in exchange.traces[1:])]


async def answers(exchange: Exchange, chat: ChatService, asks: list[Ask]) -> list[Answer]:
    """The whole answers, side by side. Raises `CallerLeft`, and stops them all, once the caller hangs up."""
    async with Presence(exchange.receive):
        if len(asks) == 1:
            found = [await chat.answer(asks[0])]
        else:
            found = await all_of([chat.answer(ask) for ask in asks])
    for index, answer in enumerate(found):
        exchange.answered_by(index, answer.finish)
    exchange.first_content_at = exchange.monotonic()
    return found
