"""Chats: their turns, a tree of them where a chat was gone on with twice from the same one, and who may go on where."""

from collections.abc import Mapping

from msgspec import Struct


class Turn(Struct, frozen=True):
    """One exchange of a chat; `candidate` is JSON as the history RPC sends it. parent: rid of the turn that it goes on
    from, '' for a chat's first. context: the mark that came with the answer, which the next prompt must carry."""

    rid: str
    rcid: str
    prompt: str
    candidate: list[object]
    parent: str = ""
    context: str = ""

    @property
    def answer(self) -> str:
        """The text, as it was sent."""
        said = self.candidate[1]
        return str(said[0]) if isinstance(said, list) else ""


class Chat(Struct):
    """A conversation. Temporary ones go on by their id but never show up in the history."""

    cid: str
    title: str
    temporary: bool
    at: float
    turns: list[Turn]

    def turn(self, rid: str) -> Turn | None:
        return next((turn for turn in self.turns if turn.rid == rid), None)

    def upto(self, rid: str) -> list[Turn]:
        """The turns that lead to `rid`, and that one, oldest first: what the model has in mind when it goes on there."""
        path: list[Turn] = []
        turn = self.turn(rid)
        while turn is not None:
            path.append(turn)
            turn = self.turn(turn.parent) if turn.parent else None
        return path[::-1]


class WrongPlace(ValueError):
    """Nobody may go on there; the message says why."""


def going_on(chats: Mapping[str, Chat], ids: tuple[str, str, str], context: str) -> tuple[Chat, list[Turn]]:
    """The chat that is gone on in, and the turns that stand before the new one.

    ids: cid, rid and rcid as the prompt names them; with the cid alone it goes on after the chat's newest turn.
    Raises LookupError for a chat that is not there, WrongPlace for a turn or context that is not its own.
    """
    cid, rid, rcid = ids
    chat = chats[cid]
    if not rid:
        return chat, chat.upto(chat.turns[-1].rid) if chat.turns else []
    turn = chat.turn(rid)
    if turn is None:
        raise WrongPlace(f"{rid} is no turn of {cid}")
    if turn.rcid != rcid:
        raise WrongPlace(f"{rcid or 'no candidate'} is not the answer of {rid}")
    if turn.context != context:
        raise WrongPlace(f"the context is not the one that came with {rid}")
    return chat, chat.upto(rid)
