"""Where settings stand: finds the raw values in a YAML file and in an environment, each with its place.

A file and an environment may hold anything; names that are not settings become problems here, values are
judged by `gateway.settings`.
"""

import difflib
import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

CONFIG_FILE_NAME = "GEMPOOL_CONFIG_FILE"
OUR_PREFIX = "GEMPOOL_"
FIELD_PREFIX = "GEMPOOL__"
IN_FILE = "_FILE"
"""Added to the plain name of a secret: the file that holds it."""
LONGEST_SECRET = 64 * 1024


_QUOTED = re.compile(r"""["'].*["']""")


class Given(NamedTuple):
    """A raw value and where it stands: `PORT`, `config/gateway.yaml line 3: server.port`, or `API_KEY_FILE
    (/run/secrets/api_key)`."""

    raw: object
    where: str


def variable(key: str) -> str:
    """The name in the environment of a field of the file: `server.port` -> `GEMPOOL__SERVER__PORT`."""
    return FIELD_PREFIX + key.replace(".", "__").upper()


def from_environment(
    environ: Mapping[str, str],
    plain: Mapping[str, str],
    in_file: Iterable[str],
    problems: list[str],
    secrets: Mapping[str, bool] = MappingProxyType({}),
) -> dict[str, Given]:
    """Raw values by dotted name. `plain` maps plain names to dotted ones; empty values are not set.

    secrets: those of the plain names that may also be given as `NAME_FILE`, and whether each is a list, whose file
    may have a line for each word.
    """
    long = {variable(key): key for key in in_file}
    given = {key: Given(environ[name], name) for name, key in plain.items() if environ.get(name, "").strip()}
    given |= _from_secret_files(environ, plain, secrets, problems)
    files = [name + IN_FILE for name in secrets]
    names = [name for name in (*plain, *files, CONFIG_FILE_NAME) if name.startswith(OUR_PREFIX)]
    ours = {name.removeprefix(OUR_PREFIX): name for name in names}
    for name, raw in environ.items():
        if name.startswith(FIELD_PREFIX):
            if name not in long:
                problems.append(f"{name} is not a setting.{_nearest(name, long, '__')}")
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
        reader = YAML(typ="rt")
        reader.composer.warn_double_anchors = False  # what it says goes to stderr and quotes the line
        document = reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        # The parser's words may quote what was written there, and with it something that is secret.
        reason = _QUOTED.sub("...", " ".join((error.problem or "it cannot be read").split()))
        problems.append(f"{path}{line} is not YAML: {reason}. Correct it there.")
        return {}
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
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
                problems.append(f"{where} is not a setting.{_nearest(key, known, '.')}")
            elif raw is not None:
                given[key] = Given(raw, where)
    return given


def _from_secret_files(
    environ: Mapping[str, str], plain: Mapping[str, str], secrets: Mapping[str, bool], problems: list[str]
) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for name, is_list in secrets.items():
        variable, path = name + IN_FILE, environ.get(name + IN_FILE, "").strip()
        if not path:
            continue
        if environ.get(name, "").strip():
            problems.append(f"{name} and {variable} are both set. Keep one of them.")
            continue
        try:
            given[plain[name]] = Given(_secret_in(Path(path).expanduser(), is_list), f"{variable} ({path})")
        except ValueError as reason:
            problems.append(f"{variable}: {path} {reason}")
    return given


def _secret_in(path: Path, is_list: bool) -> str:
    """What a secret's file holds, without the line's end. Raises ValueError with the rest of a sentence, which shows
    nothing of the file."""
    try:
        # A pipe would keep the start waiting for a writer; opened so, it does not.
        with open(path, "rb", opener=_without_waiting) as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            raw = file.read(LONGEST_SECRET + 1) if regular else b""
    except FileNotFoundError:
        raise ValueError("does not exist. Make the file, or name another.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(
            f"cannot be read ({reason}). Make it a file that the gateway's own user may read."
        ) from None
    if not regular:
        raise ValueError("is no regular file. Write the secret into a file, and name that.")
    if len(raw) > LONGEST_SECRET:
        raise ValueError(f"has more than {LONGEST_SECRET} bytes. Name the file that holds the secret alone.")
    try:
        lines = [line.strip() for line in raw.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text. Write the secret into it as text.") from None
    if not lines:
        raise ValueError("is empty. Write the secret into it, or take the variable away.")
    if len(lines) > 1 and not is_list:
        raise ValueError(f"has {len(lines)} lines. Write the secret into it as one line.")
    return ",".join(lines)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _slip(name: str, ours: Mapping[str, str]) -> str:
    """The name that was meant, where one is very near: orchestrators set names such as
    GEMPOOL_PORT_8100_TCP by themselves, and these are nobody's mistake."""
    close = difflib.get_close_matches(name.removeprefix(OUR_PREFIX), ours, n=1, cutoff=0.8)
    return ours[close[0]] if close else ""


def _nearest(name: str, known: Collection[str], between: str = "") -> str:
    """between: what parts a section from its field. Of a section that there is, its fields are compared alone, or any two
    of them would be near."""
    section = "".join(name.rpartition(between)[:2]) if between else ""
    inside = {other.removeprefix(section): other for other in known if section and other.startswith(section)}
    if inside:
        close = difflib.get_close_matches(name.removeprefix(section), inside, n=1, cutoff=0.6)
        close = [inside[field] for field in close]
    else:
        close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75 if between else 0.6)
    return f" Did you mean {close[0]}?" if close else " docs/configuration.md lists all."
