"""What an answer is worth, and what is said to a model whose answer cannot be used. Pure but for the ids of calls."""

import json
import secrets
import string
from typing import Any, TypeAlias

from msgspec import Struct

from core.chat import Shape, Toolbox, ToolCall
from engine.prompt import CALL_FENCE
from engine.shaping.forms import Broken, Call
from engine.shaping.instructions import named, offered
from engine.shaping.values import Kept, Rule, Wrong, found_in

_ID = string.ascii_letters + string.digits
_ID_LENGTH = 24
_NAMES = 20


class Good(Struct, frozen=True):
    """calls: with the prose before them, unless they are bare. json: the answer is this text. Neither: the prose is the
    answer."""

    calls: tuple[ToolCall, ...] = ()
    bare: bool = False
    json: str | None = None
    repaired: bool = False


class Bad(Struct, frozen=True):
    """why: the fault, as the model and the log are told it. calls: those that are right all the same. words: there are only
    words where JSON was wanted. unfit: there is a call or JSON, and it cannot be used."""

    why: str
    remedy: str
    calls: tuple[ToolCall, ...] = ()
    words: bool = False
    unfit: bool = False

    @property
    def correction(self) -> str:
        """The message that goes to the model with its own answer."""
        return f"That answer cannot be used: {self.why}. {self.remedy}"


Verdict: TypeAlias = Good | Bad


class Judge:
    """Holds answers to one ask's toolbox and shape."""

    def __init__(self, toolbox: Toolbox | None, shape: Shape | None) -> None:
        self._toolbox = toolbox
        self._rules = (
            {} if toolbox is None else {t.name: Rule(t.parameters, an_object=True) for t in offered(toolbox)}
        )
        self._shape = None if shape is None else Rule(shape.schema)

    @property
    def names(self) -> frozenset[str]:
        """The functions that may be called."""
        return frozenset(self._rules)

    def judge(self, text: str, found: list[Call | Broken]) -> Verdict:
        """text: the prose of a whole answer, found: what was read in it as calls."""
        if found:
            return self._calls(found)
        box = self._toolbox
        if box is not None and box.required:
            return self._bare(named(box), text)
        return Good() if self._shape is None else self._value(text, self._shape)

    def no_call(self) -> Bad:
        """An answer in words where only the call was asked for again."""
        return Bad("it calls no function", self._how(()))

    def _calls(self, found: list[Call | Broken]) -> Verdict:
        if self._toolbox is not None and not self._toolbox.parallel:
            found = found[:1]
        good: list[ToolCall] = []
        faults: list[tuple[str, str]] = []
        repaired = False
        for piece in found:
            if piece.name not in self._rules:
                faults.append(("", f"it calls the function {piece.name}, which does not exist"))
                continue
            if isinstance(piece, Broken):
                faults.append((piece.name, f"the call of {piece.name} cannot be read as JSON: {piece.why}"))
                continue
            judged = self._rules[piece.name].judge(piece.arguments)
            if isinstance(judged, Wrong):
                why = f"the arguments of {piece.name} break its schema: {judged.why}"
                faults.append((piece.name, why))
            else:
                repaired = repaired or piece.repaired or judged.repaired
                good.append(call(piece.name, judged.value))
        if faults:
            name, why = faults[0]
            return Bad(why, self._how((name,) if name else ()), tuple(good), unfit=True)
        return Good(tuple(good), repaired=repaired)

    def _bare(self, name: str, text: str) -> Verdict:
        """The arguments alone, where one function had to be called."""
        found = found_in(text, self._rules[name]) if name else None
        if isinstance(found, Kept):
            return Good((call(name, found.value),), bare=True, repaired=True)
        if isinstance(found, Wrong):
            why = f"the arguments of {name} break its schema: {found.why}"
            return Bad(why, self._how((name,)), unfit=True)
        return self.no_call()

    def _value(self, text: str, rule: Rule) -> Verdict:
        found = found_in(text, rule)
        if isinstance(found, Kept):
            return Good(json=compact(found.value), repaired=found.repaired)
        remedy = "Answer again with the JSON alone, in one fenced code block with the language json."
        if found is None:
            return Bad("it holds no JSON", remedy, words=True)
        return Bad(f"its JSON breaks the schema: {found.why}", remedy, unfit=True)

    def _how(self, names: tuple[str, ...]) -> str:
        names = names or tuple(sorted(self._rules))[:_NAMES]
        which = f"the function {names[0]}" if len(names) == 1 else f"one of the functions {', '.join(names)}"
        return f"Answer again with nothing but the {CALL_FENCE} block that calls {which}."


def call(name: str, arguments: Any) -> ToolCall:
    """With an id of its own, as OpenAI writes them."""
    id = "".join(secrets.choice(_ID) for _ in range(_ID_LENGTH))
    return ToolCall(f"call_{id}", name, compact(arguments))


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
