"""Prints every setting as the tables of docs/configuration.md: `python -m gateway.reference FILE` rewrites them."""

import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from gateway.sections import Setting
from gateway.settings import FILE_SECTIONS, SECTIONS, Settings, secret_names, settings_of
from gateway.sources import CONFIG_FILE_NAME, IN_FILE, variable

BEGIN = "<!-- settings: written by `make docs` -->"
END = "<!-- end of settings -->"


def tables() -> str:
    """All settings in Markdown: first what only the environment sets, then each section of the file."""
    lines = ["### Environment only", "", "| name | default | meaning |", "|---|---|---|"]
    lines.append(f"| `{CONFIG_FILE_NAME}` | `config/gateway.yaml` | The configuration file. |")
    lines += _environment_rows(Settings)
    for section, struct in SECTIONS.items():
        if section not in FILE_SECTIONS:
            lines += _environment_rows(struct)
    for section, struct in FILE_SECTIONS.items():
        lines += ["", f"### {section}", "", (struct.__doc__ or "").strip(), ""]
        rows = [
            f"| `{section}.{key}` | {_names(f'{section}.{key}', setting)} | {default} | {setting.doc} |"
            for key, setting, default in _documented(struct)
        ]
        if rows:
            lines += ["| field | in the environment | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines)


def rewritten(page: str) -> str:
    """The page with its tables brought up to date. Raises ValueError where it has no place for them."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN!r} or {END!r}")
    return f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}"


def _environment_rows(struct: type[Struct]) -> list[str]:
    return [
        f"| {_plain_names(setting)} | {default} | {setting.doc} |"
        for _, setting, default in _documented(struct)
    ]


def _documented(struct: type[Struct]) -> Iterator[tuple[str, Setting, str]]:
    defaults = struct()
    for key, setting in settings_of(struct):
        value = getattr(defaults, key)
        # A secret's default is empty, and so is what has none.
        shown = (
            "the shipped table"
            if key == "table"
            else f"`{setting.kind.show(value)}`"
            if _is_set(value)
            else ""
        )
        yield key, setting, shown


def _is_set(value: object) -> bool:
    return value is not None and value != () and str(value) not in ("", "Secret('')")


def _plain_names(setting: Setting) -> str:
    in_file = f", `{setting.env}{IN_FILE}`" if setting.env in secret_names() else ""
    return f"`{setting.env}`{in_file}"


def _names(key: str, setting: Setting) -> str:
    return f"`{variable(key)}`" + (f", `{setting.env}`" if setting.env else "")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(rewritten(target.read_text(encoding="utf-8")), encoding="utf-8")
