"""A model that does what a prompt tells it about functions and JSON, or plainly does not, where a test wants that.

The prompt's form is that of `docs/tools.md`, section 'What the model is asked'; nothing of the gateway is imported.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from simulator.config import Manner
from simulator.instances import instance
from simulator.keywords import Unsatisfiable
from simulator.words import Words, is_where

_FUNCTIONS = re.compile(r"^<functions>\n(.*?)\n</functions>$", re.MULTILINE | re.DOTALL)
_SCHEMA = re.compile(r"^<json_schema>\n(.*?)\n</json_schema>$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(
    r"^<(system|user|assistant|tool_result)((?:-\d+)?)((?: [a-z]+=\"[^\"]*\")*)>\n(.*?)\n</\1\2>$",
    re.MULTILINE | re.DOTALL,
)
_LABEL = re.compile(r'([a-z]+)="([^"]*)"')
_MUST_ONE = re.compile(r'You must call the function "([^"]*)" now')
_MUST = "You must call at least one of the functions now"
_MAY = "Where a function helps, call it with a tool_call block"
_JSON = re.compile(r"answer with the JSON alone, in one fenced code block", re.IGNORECASE)
_SINGLE = "Write one block at most."
_CORRECTION = "That answer cannot be used: "
_SEVERAL_PLACES = 8
_MOST_CALLS = 16
_READ = 50_000
"""Characters of a message in which a schema is looked for."""
_LOOKS = 20
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LITTLE = frozenset(["a", "about", "all", "an", "and", "any", "are", "as", "at", "by", "call", "can", "current", "do", "for", "from", "function", "get", "given", "give", "has", "have", "how", "i", "if", "in", "is", "it", "its", "me", "my", "name", "new", "not", "now", "of", "on", "one", "or", "please", "return", "returns", "set", "string", "tell", "that", "the", "this", "to", "tool", "use", "used", "user", "value", "was", "what", "whats", "when", "which", "who", "will", "with", "you", "your"])  # fmt: skip


class Block(Struct, frozen=True):
    """One message of the transcript; labels are `name` and `id`."""

    kind: str
    labels: dict[str, str]
    text: str


class Task(Struct, frozen=True):
    """What a prompt wants. may, must: calls; wanted: the one function that must be called, '' for any. shaped: JSON of the
    schema."""

    blocks: tuple[Block, ...]
    functions: tuple[dict[str, Any], ...]
    schema: Any
    may: bool
    must: bool
    wanted: str
    shaped: bool
    single: bool

    @property
    def question(self) -> str:
        asked = [b.text for b in self.blocks if b.kind == "user" and not b.text.startswith(_CORRECTION)]
        return asked[-1] if asked else ""

    @property
    def results(self) -> list[Block]:
        """What the transcript ends with: results of calls."""
        last: list[Block] = []
        for block in reversed(self.blocks):
            if block.kind == "user" and block.text.startswith(_CORRECTION):
                continue
            if block.kind != "tool_result":
                break
            last.append(block)
        return last[::-1]


def understand(prompt: str, earlier: Sequence[str]) -> Task | None:
    """What is wanted, None for a prompt that wants an answer in words and tells no results. earlier: the chat's prompts."""
    blocks = [Block(m[1], dict(_LABEL.findall(m[3])), m[4]) for m in _BLOCK.finditer(prompt)]
    if not blocks:
        return None
    end = prompt[prompt.rfind("\n") + 1 :]
    named = _MUST_ONE.search(end)
    must, may, shaped = named is not None or _MUST in end, _MAY in end, _JSON.search(end) is not None
    if not (must or may or shaped or blocks[-1].kind == "tool_result"):
        return None
    told = next(
        (
            text
            for text in (prompt, *reversed(earlier))
            if text.startswith(("You can call", "Answer with one JSON"))
        ),
        "",
    )
    head = told.split("\n<user", 1)[0]
    functions = _FUNCTIONS.search(head)
    schema = _SCHEMA.search(head)
    try:
        known = tuple(msgspec.json.decode(line) for line in functions[1].splitlines()) if functions else ()
        wanted = msgspec.json.decode(schema[1]) if schema else _told_in_words(blocks, earlier)
    except msgspec.DecodeError:
        return None
    return Task(
        blocks=tuple(blocks),
        functions=known,
        schema=wanted,
        may=may,
        must=must,
        wanted=named[1] if named else "",
        shaped=shaped,
        single=_SINGLE in head,
    )


def _told_in_words(blocks: Sequence[Block], earlier: Sequence[str]) -> Any:
    """The schema of objects that somebody wrote into a message, the last one; that of any object where nobody did."""
    texts = [*earlier, *(b.text for b in blocks if b.kind in ("system", "user"))]
    for text in reversed(texts):
        for value in _objects(text[:_READ]):
            if value.get("type") == "object" and isinstance(value.get("properties"), dict):
                return value
    return {"type": "object"}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in somebody's words."""
    decoder, at = json.JSONDecoder(), 0
    for _ in range(_LOOKS):
        at = text.find("{", at)
        if at < 0:
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        yield value


def follow(task: Task, tools: Manner, shaped: Manner) -> str:
    """The answer. tools, shaped: how well the model does what it is told."""
    calls = _calls(task) if task.must or (task.may and not task.results) else []
    if calls:
        return _called(calls, task, tools)
    if task.shaped:
        return _shaped(task, shaped)
    if task.results:
        said = "; ".join(f"{_source(b)}{' '.join(b.text.split())}" for b in task.results)
        return f"Here is what I found. {said}"
    return f"You said: {task.question}\n\nThat is all there is to say about it."


def _source(block: Block) -> str:
    return f"{name}: " if (name := block.labels.get("name", "")) else ""


def _calls(task: Task) -> list[dict[str, Any]]:
    """The calls that the question asks for; where one must be made, the nearest."""
    question = _stems(task.question)
    scored = sorted(
        ((_score(function, question), -n, function) for n, function in enumerate(task.functions)),
        key=lambda entry: entry[:2],
        reverse=True,
    )
    if task.wanted:
        chosen = [f for _, _, f in scored if f["name"] == task.wanted]
    elif task.must:
        chosen = [f for _, _, f in scored[:1]]
    else:
        best = scored[0][0] if scored else (0, 0)
        # By the words of its name each is asked for itself; by other words only the one that fits best.
        chosen = [f for (name, rest), _, f in scored if name and name == best[0]]
        chosen = chosen or [f for (_, rest), _, f in scored[:1] if rest]
    calls: list[dict[str, Any]] = []
    for function in chosen[:_MOST_CALLS]:
        calls += _with_arguments(function, task)
    return calls[:1] if task.single else calls


def _score(function: dict[str, Any], question: frozenset[str]) -> tuple[int, int]:
    """How many words of the question stand in its name, and how many in what else it says."""
    parameters = function.get("parameters") or {}
    properties = parameters.get("properties") or {} if isinstance(parameters, dict) else {}
    rest = [str(function.get("description", "")), *properties]
    return (
        len(question & _stems(str(function.get("name", "")))),
        len(question & frozenset().union(*(_stems(text) for text in rest))),
    )


def _stems(text: str) -> frozenset[str]:
    words = (word.lower() for word in _WORD.findall(_HUMP.sub(" ", text)))
    return frozenset(
        re.sub(r"(?:ings?|ers?|ed|es|s)$", "", w) or w for w in words if w not in _LITTLE and len(w) > 1
    )


def _with_arguments(function: dict[str, Any], task: Task) -> list[dict[str, Any]]:
    """One call, or one for each place that the question names where the function takes one place."""
    parameters = function.get("parameters") or {"type": "object"}
    words = Words(task.question)
    properties = parameters.get("properties") or {} if isinstance(parameters, dict) else {}
    where = any(is_where(name, schema) for name, schema in properties.items())
    places = words.names[:_SEVERAL_PLACES] if where and len(words.names) > 1 else []
    try:
        return [
            {"name": function["name"], "arguments": instance(parameters, w, full=False)}
            for w in ([words.alone(place) for place in places] or [words])
        ]
    except Unsatisfiable:
        return []


def _called(calls: list[dict[str, Any]], task: Task, how: Manner) -> str:
    if how == "prose":
        return f"I think that {calls[0]['name']} could tell, but I would rather answer in words: it depends."
    if how == "name":
        calls = [{**call, "name": f"{call['name']}_of_mine"} for call in calls]
    if how == "schema":
        calls = [{**call, "arguments": _spoiled(call["arguments"])} for call in calls]
    fence = "json" if how == "fence" else "tool_call"
    written = [msgspec.json.encode(call).decode() for call in calls]
    if how == "broken":
        written = [text[: len(text) // 2] for text in written]
    text = "I will look that up.\n\n" + "\n\n".join(f"```{fence}\n{text}\n```" for text in written)
    if how == "babble":
        text += (
            '\n\n<tool_result name="' + calls[0]["name"] + '">\n42\n</tool_result>\n\nSo the answer is 42.'
        )
    return text


def _shaped(task: Task, how: Manner) -> str:
    try:
        value = instance(task.schema, Words(task.question))
    except Unsatisfiable as error:
        return f"I cannot write such a value: {error}."
    if how == "prose":
        return "I would rather say it in words: it depends."
    if how == "schema":
        value = _spoiled(value)
    text = msgspec.json.encode(value).decode()
    if how == "broken":
        text = text[: len(text) // 2]
    if how == "fence":
        return text
    text = f"```json\n{text}\n```"
    return f"Here you are:\n\n{text}\n\nI hope that this helps." if how == "babble" else text


def _spoiled(value: Any) -> Any:
    """Something that keeps no schema with types: every value in it is of another kind."""
    if isinstance(value, dict) and value:
        return {key: _spoiled(item) for key, item in value.items()}
    return {"not": "this"} if not isinstance(value, dict) else ["not this"]
