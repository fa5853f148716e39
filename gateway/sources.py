"""Where settings stand: finds the raw values in a YAML file and in an environment, each with its place.

A file and an environment may hold anything; names that are not settings become problems here, values are
judged by `gateway.settings`.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

CONFIG_FILE_NAME = "GEMPOOL_CONFIG_FILE"
OUR_PREFIX = "GEMPOOL_"
FIELD_PREFIX = "GEMPOOL__"


_QUOTED = re.compile(r"""["'].*["']""")


class Given(NamedTuple):
    """A raw value and where it stands: `PORT`, or `config/gateway.yaml line 3: server.port`."""

    raw: object
    where: str


def variable(key: str) -> str:
    """The name in the environment of a field of the file: `server.port` -> `GEMPOOL__SERVER__PORT`."""
    return FIELD_PREFIX + key.replace(".", "__").upper()


def from_environment(
    environ: Mapping[str, str], plain: Mapping[str, str], in_file: Iterable[str], problems: list[str]
) -> dict[str, Given]:
    """Raw values by dotted name. `plain` maps plain names to dotted ones; empty values are not set."""
    long = {variable(key): key for key in in_file}
    given = {key: Given(environ[name], name) for name, key in plain.items() if environ.get(name, "").strip()}
    names = [name for name in (*plain, CONFIG_FILE_NAME) if name.startswith(OUR_PREFIX)]
    ours = {name.removeprefix(OUR_PREFIX): name for name in names}
    for name, raw in environ.items():
        if name.startswith(FIELD_PREFIX):
            if name not in long:
                problems.append(f"{name} is not a setting.{_nearest(name, long)}")
            elif raw.strip():
                given[long[name]] = Given(raw, name)
        elif name.startswith(OUR_PREFIX) and name not in names and (slip := _slip(name, ours)):
            problems.append(f"{name} is not a setting. Did you mean {slip}?")
    return given


def from_file(
    path: Path, named_by: str, sections: Collection[str], known: Collection[str], problems: list[str]
) -> dict[str, Given]:
    """Raw values by dotted name. A file that nobody named (`named_by` empty) need not exist."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named_by:
            problems.append(f"{named_by}: there is no file {path}. Create it or name another.")
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        problems.append(f"{path} cannot be read: {reason}. Make it a readable text file.")
        return {}
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        # The parser's words may quote what was written there, and with it something that is secret.
        reason = _QUOTED.sub("...", " ".join((error.problem or "it cannot be read").split()))
        problems.append(f"{path}{line} is not YAML: {reason}. Correct it there.")
        return {}
    except YAMLError as error:
        problems.append(f"{path} is not YAML ({type(error).__name__}). Correct it.")
        return {}
    if document is None:
        return {}
    if not isinstance(document, CommentedMap):
        problems.append(f"{path} must hold sections ({', '.join(sections)}), as in server: {{port: 8100}}.")
        return {}
    return _from_document(document, path, sections, known, problems)


def _from_document(
    document: CommentedMap,
    path: Path,
    sections: Collection[str],
    known: Collection[str],
    problems: list[str],
) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for section, fields in document.items():
        where = f"{path} line {document.lc.key(section)[0] + 1}"
        if section not in sections:
            problems.append(f"{where}: {section} is not a section.{_nearest(str(section), sections)}")
            continue
        if fields is None:
            continue
        if not isinstance(fields, CommentedMap):
            problems.append(f"{where}: {section} must hold fields, as in {section}: {{name: value}}.")
            continue
        for name, raw in fields.items():
            key = f"{section}.{name}"
            where = f"{path} line {fields.lc.key(name)[0] + 1}: {key}"
            if key not in known:
                problems.append(f"{where} is not a setting.{_nearest(key, known)}")
            elif raw is not None:
                given[key] = Given(raw, where)
    return given


def _slip(name: str, ours: Mapping[str, str]) -> str:
    """The name that was meant, where one is very near: orchestrators set names such as
    GEMPOOL_PORT_8100_TCP by themselves, and these are nobody's mistake."""
    close = difflib.get_close_matches(name.removeprefix(OUR_PREFIX), ours, n=1, cutoff=0.8)
    return ours[close[0]] if close else ""


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else " docs/configuration.md lists all."
