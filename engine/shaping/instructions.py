"""What the model is told about tools and about the shape of its answer. Pure; rendered once for the same content.

`docs/tools.md` shows the whole of it, and the simulator's model reads it: the tags and sentences here are a protocol.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from core.chat import Shape, Tool, Toolbox
from engine.prompt import CALL_FENCE, Frame

_NOISE = ("$schema", "$id", "$comment", "title")
"""Keywords that mean nothing to a reader of the schema."""
_KEPT = 4 * 1024 * 1024
"""Characters of rendered instructions that are kept."""

_FUNCTIONS = """\
You can call functions. They are listed between <functions> and </functions>, one JSON object a line: the name, what it \
does, and as "parameters" the JSON Schema of its arguments.
<functions>
{functions}
</functions>

To call a function, write a fenced code block with the language {fence}. It holds one JSON object with the keys "name" \
and "arguments" and nothing else:

```{fence}
{{"name": <name of the function>, "arguments": {{<its arguments>}}}}
```

The arguments keep the schema of the function's parameters. It is strict JSON: double quotes, no comments, line breaks in \
strings written as \\n. {number} Say before it in words what has to be said, and end the answer after the last block: \
the results come in <tool_result> tags with the next message. Never write a result yourself, and use these \
functions rather than tools of your own."""
_SEVERAL = "To make several calls, write one block for each, one after another."
_SINGLE = "Write one block at most."

_SCHEMA = """\
Answer with one JSON value that keeps the following JSON Schema{meant}. Write it in one fenced code block with the language \
json, and nothing before or after the block. It is strict JSON: double quotes, no comments, line breaks in strings \
written as \\n.
<json_schema>
{schema}
</json_schema>"""
_OBJECT = """\
Answer with one JSON object. Write it in one fenced code block with the language json, and nothing before or after \
the block. It is strict JSON: double quotes, no comments, line breaks in strings written as \\n."""
_EITHER = "Whenever the answer is no function call, the following holds. "

_MAY_CALL = f"Where a function helps, call it with a {CALL_FENCE} block; otherwise answer in words."
_MUST_CALL = f"You must call at least one of the functions now: answer with its {CALL_FENCE} block."
_MUST_CALL_ONE = 'You must call the function "{name}" now: answer with its %s block.' % CALL_FENCE  # noqa: UP031
_JSON_ALONE = "Answer with the JSON alone, in one fenced code block with the language json."
_CALL_OR_JSON = (
    f"Where a function helps, call it with a {CALL_FENCE} block; otherwise answer with the JSON alone, in one fenced"
    " code block with the language json."
)


class Instructions:
    """Renders frames and remembers the last of them."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._room = kept
        self._rendered: OrderedDict[bytes, str] = OrderedDict()

    def frame(self, toolbox: Toolbox | None, shape: Shape | None) -> Frame:
        """The preamble and the closing for an ask with these. At least one is given."""
        parts = []
        if toolbox is not None:
            parts.append(self._kept(b"tools", (offered(toolbox), toolbox.parallel), _functions))
        if shape is not None and not (toolbox is not None and toolbox.required):
            lead = "" if toolbox is None else _EITHER
            parts.append(lead + self._kept(b"shape", shape, _shape))
        return Frame("\n\n".join(parts), _closing(toolbox, shape))

    def _kept(self, kind: bytes, content: Any, render: Any) -> str:
        key = kind + msgspec.json.encode(content)
        text = self._rendered.get(key)
        if text is None:
            text = render(content)
            self._rendered[key] = text
            self._room -= len(key) + len(text)
            while self._room < 0:
                old, gone = self._rendered.popitem(last=False)
                self._room += len(old) + len(gone)
        else:
            self._rendered.move_to_end(key)
        return text


def offered(toolbox: Toolbox) -> tuple[Tool, ...]:
    """The tools that may be called."""
    return tuple(tool for tool in toolbox.tools if not toolbox.allowed or tool.name in toolbox.allowed)


def named(toolbox: Toolbox) -> str:
    """The one function that must be called; '' where there is a choice."""
    names = offered(toolbox)
    return names[0].name if toolbox.required and len(names) == 1 else ""


def _functions(content: tuple[tuple[Tool, ...], bool]) -> str:
    tools, parallel = content
    lines = "\n".join(_line(tool) for tool in tools)
    return _FUNCTIONS.format(functions=lines, fence=CALL_FENCE, number=_SEVERAL if parallel else _SINGLE)


def _line(tool: Tool) -> str:
    # With a description, also where it is empty, a declaration that is repeated has not the form of a call.
    parameters = without_noise(tool.parameters or {"type": "object", "properties": {}})
    return _json({"name": tool.name, "description": tool.description, "parameters": parameters})


def _shape(shape: Shape) -> str:
    if shape.schema is None:
        return _OBJECT
    said = " ".join(filter(None, (shape.name, f"({shape.description})" if shape.description else "")))
    meant = f' of "{_line_of(said)}"' if said else ""
    return _SCHEMA.format(meant=meant, schema=_json(without_noise(shape.schema)))


def _closing(toolbox: Toolbox | None, shape: Shape | None) -> str:
    if toolbox is None:
        return _JSON_ALONE
    if not toolbox.required:
        return _MAY_CALL if shape is None else _CALL_OR_JSON
    name = named(toolbox)
    return _MUST_CALL_ONE.format(name=name) if name else _MUST_CALL


def _json(value: Any) -> str:
    """On one line, and without the beginning of any closing tag in it."""
    return msgspec.json.encode(value).decode().replace("</", "<\\/")


def _line_of(text: str) -> str:
    return " ".join(text.replace("</", "< /").split())


def without_noise(schema: Any, depth: int = 128) -> Any:
    """The schema without what says nothing. Names of properties are no keywords."""
    if isinstance(schema, list | tuple):
        return [without_noise(sub, depth - 1) for sub in schema]
    if not isinstance(schema, Mapping) or not depth:
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in (
            "properties",
            "$defs",
            "definitions",
            "patternProperties",
            "dependentSchemas",
        ) and isinstance(value, Mapping):
            out[key] = {name: without_noise(sub, depth - 1) for name, sub in value.items()}
        elif key in ("enum", "const", "default", "examples", "required"):
            out[key] = value
        elif not (key in _NOISE and isinstance(value, str)):
            out[key] = without_noise(value, depth - 1)
    return out
