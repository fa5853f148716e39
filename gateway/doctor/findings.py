"""What an examination has found, and how it is told. Pure."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

Level: TypeAlias = Literal["ok", "warning", "problem"]
CODES: dict[Level, int] = {"ok": 0, "warning": 1, "problem": 2}


class Finding(Struct, frozen=True):
    """part: a bounded word (configuration, files, system, store, accounts, pictures, alerts, clock, gateway). words: what
    was found. remedy: what to do about it, '' where nothing is to be done. about: the account, file or device, where
    the part has several."""

    part: str
    level: Level
    words: str
    remedy: str = ""
    about: str = ""


def ok(part: str, words: str, about: str = "") -> Finding:
    return Finding(part, "ok", words, "", about)


def warning(part: str, words: str, remedy: str, about: str = "") -> Finding:
    return Finding(part, "warning", words, remedy, about)


def problem(part: str, words: str, remedy: str, about: str = "") -> Finding:
    return Finding(part, "problem", words, remedy, about)


class Report(Struct, frozen=True):
    """level: the worst of all."""

    level: Level
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "Report":
        level: Level = "ok"
        for finding in findings:
            if CODES[finding.level] > CODES[level]:
                level = finding.level
        return cls(level, tuple(findings))

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 something should be looked at, 2 something does not work."""
        return CODES[self.level]

    def json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def text(self) -> str:
        lines = []
        for finding in self.findings:
            about = f" {finding.about}:" if finding.about else ""
            lines.append(f"{finding.level:<8} {finding.part}:{about} {finding.words}")
            if finding.remedy:
                lines.append(f"{'':<8} -> {finding.remedy}")
        counts = [sum(finding.level == level for finding in self.findings) for level in CODES]
        _, warnings, problems = counts
        if problems or warnings:
            told = [_count(problems, "problem")] * bool(problems) + [_count(warnings, "warning")] * bool(
                warnings
            )
            lines += ["", ", ".join(told) + "."]
        else:
            lines += ["", "All is well."]
        return "\n".join(lines)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
