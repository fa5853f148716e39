"""`access.keys`: the API keys of the configuration file, each with its name and terms."""

import json
import re
from collections.abc import Mapping

from access import NamedKey, Rate
from access.keys import ANY, HASHED, NAME
from gateway.values import RATE, Kind, Told, parse_list

_FIELDS_OF_THE_FILE = ("name", "key", "models", "per_caller", "per_caller_and_model")
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*._:/-]{0,127}")
_HASH = "`gempool keys hash` reads a key and prints what to write here"


def parse_keys(raw: object) -> tuple[NamedKey, ...]:
    """The entries, with the digests as they stand. Raises Told, which never quotes a key."""
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise Told(
                'it is neither a list nor JSON of one. Write it as [{"name": "alice", "key": "sha256:..."}].'
            ) from None
    if not isinstance(raw, list):
        raise Told("it is no list. Write each key as `- name: alice` with its `key: sha256:...` below.")
    found = [_entry(entry, f"entry {number}") for number, entry in enumerate(raw, 1)]
    seen: set[str] = set()
    for key in found:
        if key.name.lower() in seen:
            raise Told(f"the name {key.name} is there twice. Give each key a name of its own.")
        seen.add(key.name.lower())
    return tuple(found)


def show_keys(keys: tuple[NamedKey, ...]) -> str:
    return ", ".join(key.name for key in keys)


def _entry(raw: object, where: str) -> NamedKey:
    if not isinstance(raw, Mapping):
        raise Told(f"{where} is no mapping. Write it as {{name: alice, key: sha256:...}}.")
    name = raw.get("name")
    if name is None:
        raise Told(f"{where} has no name. Give it one: it is what logs call the caller.")
    if not isinstance(name, str | int) or isinstance(name, bool) or not NAME.fullmatch(str(name)):
        raise Told(
            f"{where} has a name that will not do. Begin with a letter or digit; letters, digits, _ . and - may follow,"
            " 63 characters in all."
        )
    where = f"{where} ({name})"
    if any(key not in _FIELDS_OF_THE_FILE for key in raw):
        # Not quoted: a key may have been written in the field's place.
        raise Told(f"{where} has an unknown field. A key has {', '.join(_FIELDS_OF_THE_FILE)}.")
    return NamedKey(
        name=str(name),
        digest=_digest(raw.get("key"), where),
        models=_models(raw.get("models"), where),
        per_caller=_rate(raw.get("per_caller"), f"{where}.per_caller"),
        per_caller_and_model=_rate(raw.get("per_caller_and_model"), f"{where}.per_caller_and_model"),
    )


def _digest(raw: object, where: str) -> str:
    if raw is None:
        raise Told(f"{where} has no key. {_HASH}.")
    text = str(raw).strip().lower()
    if not text.startswith("sha256:"):
        raise Told(
            f"{where}: its key stands there as it is, and the file is no place for that. {_HASH}; if others could"
            " read the file meanwhile, make a new one with `gempool keys new`."
        )
    if not HASHED.fullmatch(text):
        raise Told(f"{where}: its key is no digest: 'sha256:' and 64 hex digits. {_HASH}.")
    return text


def _models(raw: object, where: str) -> tuple[str, ...]:
    if raw is None:
        return ANY
    try:
        patterns = parse_list(raw)
    except ValueError:
        patterns = ()
    if not patterns or not all(_PATTERN.fullmatch(pattern) for pattern in patterns):
        raise Told(
            f"{where}.models must be a list of models' names, in which * stands for anything, as in [gemini-2.5-*]."
            " Leave it out for all of them."
        )
    return patterns


def _rate(raw: object, where: str) -> Rate | None:
    if raw is None:
        return None
    try:
        return RATE.parse(raw)
    except ValueError as error:
        raise Told(f"{where} is no rate{f': {error}' if str(error) else ''}. {RATE.remedy}") from None


KEYS: Kind[tuple[NamedKey, ...]] = Kind(
    "a list of keys",
    "Write each as {name: alice, key: sha256:...}; `gempool keys new` prints one.",
    parse_keys,
    show_keys,
)
