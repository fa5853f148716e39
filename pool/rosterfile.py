"""Changes of an accounts file's text that leave every other character as it is.

The text is taken apart only to find the places; what is there is never written anew, so comments, order,
quotes and line ends stay. Every change is proved by reading the new text: where it does not say exactly what
was meant, the change is refused. Pure.
"""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pool.roster import UNREADABLE, RosterError, yaml

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


class RosterText:
    """The text of an accounts file, and changes of it; each returns the whole new text.

    path: for messages. Raises RosterError where the text cannot be understood or a change cannot be made.
    """

    def __init__(self, text: str, path: Path) -> None:
        self._path = path
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        self._text = text.removeprefix("\ufeff")
        self._end = "\r\n" if "\r\n" in text else "\n"
        try:
            self._root = yaml("safe").compose(self._text)
            self._data = _load(self._text)
        except UNREADABLE:
            raise RosterError(path, None, "", "this is not valid YAML; correct it first") from None
        if self._data is None:
            self._data = {}
        entries = self._data.get("accounts") if isinstance(self._data, dict) else ""
        if not isinstance(entries, list | None) or not all(isinstance(e, dict) for e in entries or ()):
            raise RosterError(path, None, "accounts", "must be a list of accounts; correct it first")
        self._entries: list[dict[str, Any]] = entries or []

    @property
    def ids(self) -> list[str]:
        return [str(entry.get("id")) for entry in self._entries]

    def raw(self, id: str) -> Mapping[str, Any]:
        """The entry's fields as they stand in the file: `${NAME}` and `file:` not followed."""
        return self._entries[self._index(id)]

    def with_fields(self, id: str, fields: Mapping[str, str | bool]) -> str:
        """The entry with these fields set."""
        index, text = self._index(id), self._text
        expected = copy.deepcopy(self._data)
        for name, value in reversed(list(fields.items())):  # each comes right behind the cookie
            expected["accounts"][index][name] = value
            text = RosterText(text, self._path)._with_field(index, name, value)
        return self._proved(text, expected)

    def with_entry(self, fields: Mapping[str, str | bool]) -> str:
        """A new entry behind the last."""
        expected = copy.deepcopy(self._data)
        expected["accounts"] = [*self._entries, dict(fields)]
        return self._proved(self._appended(fields), expected)

    def without(self, id: str) -> str:
        """The entry gone, with the comments inside of it; those above it stay."""
        index = self._index(id)
        expected = copy.deepcopy(self._data)
        del expected["accounts"][index]
        expected["accounts"] = expected["accounts"] or None
        return self._proved(self._removed(index), expected)

    def _index(self, id: str) -> int:
        found = [i for i, entry in enumerate(self._entries) if str(entry.get("id")) == id]
        if len(found) == 1:
            return found[0]
        if found:
            message = f"{id} is used {len(found)} times; give each account an id of its own first"
            raise RosterError(self._path, None, "id", message)
        known = ", ".join(self.ids) or "none"
        raise RosterError(self._path, None, "id", f"there is no account {id}; the file has {known}")

    def _proved(self, text: str, expected: Any) -> str:
        try:
            found = _load(text)
        except UNREADABLE:
            found = text
        if found is None or (isinstance(found, dict) and not found.get("accounts")):
            found = {**(found or {}), "accounts": None}
        if found != expected:
            raise RosterError(
                self._path,
                None,
                "",
                "it is written in a way that this command cannot change; edit it by hand",
            )
        return self._mark + text

    # places

    def _list(self) -> tuple[Node | None, Node | None]:
        """The key `accounts` and its value."""
        if isinstance(self._root, MappingNode):
            for key, value in self._root.value:
                if key.value == "accounts":
                    return key, value
        return None, None

    def _entry(self, index: int) -> tuple[SequenceNode, MappingNode]:
        _, entries = self._list()
        if isinstance(entries, SequenceNode) and isinstance(entries.value[index], MappingNode):
            return entries, entries.value[index]
        raise AssertionError("the data has an entry that the nodes do not")

    def _with_field(self, index: int, name: str, value: str | bool) -> str:
        _, entry = self._entry(index)
        for key, old in entry.value:
            if key.value == name:
                return self._with_value(key, old, value)
        key, old = entry.value[0]
        for pair in entry.value:
            if pair[0].value in ("id", "secure_1psid"):
                key, old = pair
        if entry.flow_style:
            name = json.dumps(name) if key.style == '"' else name
            return self._spliced(old.end_mark.index, f", {name}: {_scalar(value, old.style)}")
        line = f"{' ' * entry.value[0][0].start_mark.column}{name}: {_scalar(value, None)}"
        return self._with_lines(self._line_end(max(_end(old), key.end_mark.index)), line)

    def _with_value(self, key: Node, old: Node, value: str | bool) -> str:
        if not isinstance(old, ScalarNode):
            return self._text  # refused when it is proved
        start, end = old.start_mark.index, old.end_mark.index
        if start == end:  # an empty value stands wherever the next thing begins
            after = self._text.index(":", key.end_mark.index) + 1
            return self._spliced(after, f" {_scalar(value, None)}")
        new = _scalar(value, old.style)
        if old.style in ("|", ">"):
            new += self._end
        return self._text[:start] + new + self._text[end:]

    def _appended(self, fields: Mapping[str, str | bool]) -> str:
        key, entries = self._list()
        flow = "{" + ", ".join(f"{json.dumps(n)}: {_scalar(v, chr(34))}" for n, v in fields.items()) + "}"
        if (
            isinstance(entries, SequenceNode)
            and entries.flow_style
            and (entries.value or self._root.flow_style)
        ):
            if entries.value:
                return self._spliced(entries.value[-1].end_mark.index, f", {flow}")
            return self._spliced(entries.start_mark.index + 1, flow)
        if isinstance(entries, SequenceNode) and entries.value:
            dash, place = entries.start_mark.column, self._entry_end(entries, entries.value[-1])
            return self._with_lines(place, *_lines(fields, dash))
        if key is None or entries is None:
            place = len(self._text.rstrip()) and self._line_end(len(self._text.rstrip()))
            return self._with_lines(place, "accounts:", *_lines(fields, 2))
        # `accounts:` with nothing, `null` or `[]` behind it
        colon = self._text.index(":", key.end_mark.index) + 1
        start, end = entries.start_mark.index, entries.end_mark.index
        cut = self._text
        if start != end:
            cut = self._text[:colon] + self._text[end:]
        return RosterText._at(cut, self._line_end(colon, cut), self._end, _lines(fields, 2))

    def _removed(self, index: int) -> str:
        entries, entry = self._entry(index)
        start, end = entry.start_mark.index, entry.end_mark.index
        if entries.flow_style:
            if after := re.compile(r"\s*,\s*").match(self._text, end):
                end = after.end()
            elif before := re.search(r"\s*,\s*$", self._text[:start]):
                start = before.start()
            return self._text[:start] + self._text[end:]
        dash = self._text.rindex("-", entries.start_mark.index, start)
        end = min(self._entry_end(entries, entry) + len(self._end), len(self._text))
        start = self._text.rfind("\n", 0, dash) + 1
        return self._text[:start] + self._text[end:]

    def _entry_end(self, entries: SequenceNode, entry: MappingNode) -> int:
        """The end of the entry's last line; comments below that are indented like its fields belong to it."""
        place = self._line_end(_end(entry))
        inside = re.compile(rf"\r?\n {{{entries.start_mark.column + 1},}}#[^\r\n]*")
        while more := inside.match(self._text, place):
            place = more.end()
        return place

    def _line_end(self, index: int, text: str | None = None) -> int:
        """The end of the line that the character before `index` stands in, without its line break."""
        text = self._text if text is None else text
        if index and text[index - 1] == "\n":
            index -= 1
            return index - 1 if index and text[index - 1] == "\r" else index
        found = re.compile(r"\r?\n|\Z").search(text, index)
        return found.start() if found else len(text)

    # splices

    def _spliced(self, index: int, new: str) -> str:
        return self._text[:index] + new + self._text[index:]

    def _with_lines(self, index: int, *lines: str) -> str:
        return RosterText._at(self._text, index, self._end, lines)

    @staticmethod
    def _at(text: str, index: int, end: str, lines: tuple[str, ...]) -> str:
        """The lines behind the line that ends at `index`."""
        new = end.join(lines)
        if index:
            new = end + new
        if index == len(text) or not index:
            new += end
        return text[:index] + new + text[index:]


def _load(text: str) -> Any:
    return yaml("safe").load(text)


def _end(node: Node) -> int:
    """Where the node's last character stands; a block's own mark is where the next thing begins."""
    if isinstance(node, ScalarNode):
        return int(node.end_mark.index) if node.end_mark.index > node.start_mark.index else 0
    if not isinstance(node, MappingNode | SequenceNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    return max(_end(part) for part in parts)


def _scalar(value: str | bool, style: str | None) -> str:
    """The value in the style of what it replaces."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)


def _lines(fields: Mapping[str, str | bool], dash: int) -> tuple[str, ...]:
    lines = [f"{' ' * (dash + 2)}{name}: {_scalar(value, None)}" for name, value in fields.items()]
    return (f"{' ' * dash}- {lines[0].lstrip()}", *lines[1:])
