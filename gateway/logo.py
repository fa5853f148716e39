"""The verbs of `gempool watermark`, from files to what is printed and written."""

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.verbs import Outcome
from watermark import (
    CleanedBytes,
    Stars,
    before_and_after,
    calibrate_star,
    clean_bytes,
    declare,
    read_maps,
    read_stars,
    write_stars,
)

_LARGEST = 512 * 1024 * 1024


class Refused(Exception):
    """The command cannot be done; the message says why and what to do."""


class Inspected(Struct, frozen=True):
    """What was decided about one file. `watermark.Verdict` tells what the fields mean; written: the new files."""

    file: str
    found: bool = False
    reason: str = ""
    detail: str = ""
    kind: str = ""
    size: int = 0
    right: int = 0
    bottom: int = 0
    score: float = 0.0
    confidence: float = 0.0
    written: tuple[str, ...] = ()
    error: str = ""


def calibrate(source: str, out: str) -> Outcome:
    """Write the star file `out`, or add to it, from a capture on black."""
    try:
        star = calibrate_star(_read(Path(source)))
        target = Path(out)
        maps = read_maps(_read(target)) if target.exists() else {}
        _write(target, write_stars({**maps, star.size: star.map}))
    except (Refused, ValueError) as problem:
        return Outcome(problem=f"{source}: {problem}" if isinstance(problem, ValueError) else str(problem))
    same = (
        "it is the built-in star"
        if not star.differs
        else f"{star.differs} pixels differ from the built-in star"
    )
    return Outcome(
        f"{star.size} px star, {star.right} px from the right and {star.bottom} from the bottom, "
        f"{star.peak:.2f} opaque; {same}. Written to {out}."
    )


def inspect(sources: Sequence[str], stars: str, as_json: bool) -> Outcome:
    """Tell for each file whether it carries the logo; nothing is written."""
    return _each(sources, stars, as_json, lambda path, data, known: _seen(path, clean_bytes(data, known)))


def clean(
    sources: Sequence[str], stars: str, out: str, in_place: bool, compare: bool, as_json: bool
) -> Outcome:
    """Write each file that carries the logo without it: beside it as NAME.clean.EXT, or into the folder `out`."""
    if in_place and out:
        return Outcome(problem="--in-place and --out contradict each other. Give one of them.")

    def one(path: Path, data: bytes, known: Stars | None) -> Inspected:
        cleaned = clean_bytes(data, known)
        if not cleaned.verdict.found:
            return _seen(path, cleaned)
        folder = Path(out) if out else path.parent
        target = path if in_place else folder / f"{path.stem}.clean{path.suffix}"
        if not in_place and target.exists() and target.samefile(path):
            raise Refused(f"{target} is the picture itself. Use --in-place to write over it.")
        if out:
            _made(folder)
        written = [target]
        _write(target, declare(cleaned.data))
        if compare:
            written.append(folder / f"{path.stem}.compare.png")
            _write(written[1], before_and_after(data, cleaned.data, cleaned.verdict))
        return _seen(path, cleaned, written)

    return _each(sources, stars, as_json, one)


def _each(
    sources: Sequence[str], stars: str, as_json: bool, work: Callable[[Path, bytes, Stars | None], Inspected]
) -> Outcome:
    """Every file has its turn, whatever became of those before it."""
    try:
        known = read_stars(_read(Path(stars))) if stars else None
    except (Refused, ValueError) as problem:
        return Outcome(problem=f"--stars: {problem}")
    told = []
    for source in sources:
        path = Path(source)
        try:
            told.append(work(path, _read(path), known))
        except Refused as refused:
            told.append(Inspected(source, error=str(refused)))
    failed = sum(1 for one in told if one.error)
    ending = f"{failed} of {len(told)} files could not be worked on." if failed else ""
    if as_json:
        return Outcome(msgspec.json.format(msgspec.json.encode(told)).decode(), ending)
    return Outcome("\n".join(_sentence(one) for one in told), ending)


def _seen(path: Path, cleaned: CleanedBytes, written: Sequence[Path] = ()) -> Inspected:
    verdict = cleaned.verdict
    return Inspected(
        file=str(path),
        found=verdict.found,
        reason="logo" if verdict.found and not written else verdict.reason,
        detail=verdict.detail,
        kind=verdict.kind,
        size=verdict.size,
        right=verdict.right,
        bottom=verdict.bottom,
        score=verdict.score,
        confidence=verdict.confidence,
        written=tuple(str(target) for target in written),
    )


_WORDS = {
    "no_logo": "no logo",
    "not_sure": "something looks like the logo, but not surely enough to touch it",
    "too_small": "too small to carry the logo",
    "unsupported": "cannot be looked at",
    "broken": "is damaged",
    "too_many_pixels": "has too many pixels",
    "animated": "is an animation",
    "transparent": "is transparent where the logo would be",
}
_KINDS = {"v1": "V1", "v2": "V2", "strong": "strong", "double": "doubly stamped"}


def _sentence(one: Inspected) -> str:
    if one.error:
        return f"{one.file}: {one.error}"
    if not one.found:
        words = _WORDS.get(one.reason, one.reason)
        return f"{one.file}: {words}{f' ({one.detail})' if one.detail else ''}"
    logo = (
        f"{_KINDS[one.kind]} logo of {one.size} px, {one.right} px from the right and {one.bottom} from the bottom"
        f" (score {one.score:.0f}, confidence {one.confidence:.2f})"
    )
    return f"{one.file}: {logo}" + (f" -> {', '.join(one.written)}" if one.written else "")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > _LARGEST:
        raise Refused(f"{path} has more than {_LARGEST // 1024**2} MiB.")
    return data


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"--out: {folder} cannot be made: {error.strerror}.") from None


def _write(path: Path, data: bytes) -> None:
    """The whole file or none of it; one that is replaced keeps its permissions."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            part.write_bytes(data)
            if path.exists():
                part.chmod(path.stat().st_mode & 0o777)
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}.") from None
