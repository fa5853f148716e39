"""The verbs. Each returns an exit code: 0 all well, 1 not all tasks went well, 2 it cannot be done, 130 interrupted.

Results, and what a verb was asked to print, go to standard output; everything else to standard error.
"""

import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, urlencode, urlsplit

import click
import msgspec
from msgspec import Struct

from access import is_digest
from core.secret import Secret
from gateway.batching import following, ordering, prompts
from gateway.batching.following import Back, Lost, Standing, Task
from gateway.batching.progress import Progress, printable
from gateway.batching.refusals import BatchError, asked, decoded
from gateway.batching.results import Results
from gateway.client import Api
from gateway.settings import SettingsError, from_process

ALL_WELL, NOT_ALL, CANNOT, INTERRUPTED = 0, 1, 2, 130
LONGEST_FILE = 256 * 1024**2
"""Bytes. More than the gateway would take, and few enough to be read at once."""


class Where(Struct, frozen=True):
    """The gateway as options name it. url: '' takes this machine's own. key: '' takes what the environment has."""

    url: str = ""
    key: Secret = Secret("")


class Kept(Struct, frozen=True):
    """Where results go. out: a file, `-` or '' for standard output. folder: of the pictures, '' for none."""

    out: str = ""
    folder: str = ""

    @property
    def in_file(self) -> bool:
        return self.out not in ("", "-")


class _Listed(Struct):
    batches: list[Standing]
    has_more: bool = False
    next: str | None = None


def run(
    source: str, wanted: ordering.Wanted, where: Where, kept: Kept, key: str, detach: bool, as_json: bool
) -> int:
    """source: a file, `-` for standard input. key: the idempotency key, '' makes one."""

    def verb() -> int:
        if kept.in_file and source != "-" and _same(kept.out, source):
            raise BatchError(f"--out: {source} holds the prompts. Name another file for the results.")
        name = "standard input" if source == "-" else source
        lines = prompts.lines_of(_read(source), name)
        api, progress = _api(where), Progress(sys.stderr)
        order = ordering.order_of(api, wanted, lines, name)
        ours = key or str(uuid.uuid4())
        with _sink(kept, as_json or detach) as (out, folder):
            try:
                reply = ordering.created(api, order, ours, progress.say)
            except KeyboardInterrupt:
                progress.say(
                    f"The batch may have been made: the same with --idempotency-key {ours} goes on with it."
                )
                return INTERRUPTED
            batch = decoded(api, reply.body, Standing)
            if detach:
                click.echo(reply.body if as_json else batch.batch_id)
                return ALL_WELL
            progress.say(f"Batch {batch.batch_id}: {batch.total} tasks. Ctrl-C leaves it running.")
            results = Results(api, batch.batch_id, _emptied(out), folder, lines)
            return _watched(api, batch.batch_id, results, progress, where, kept, as_json)

    return _run(verb)


def watch(id: str, where: Where, kept: Kept, as_json: bool) -> int:
    def verb() -> int:
        api = _api(where)
        # Before anything is written over.
        decoded(api, asked(api, api.ask(f"{_path(id)}/status?limit=0")), Standing)
        with _sink(kept, as_json) as (out, folder):
            results = Results(api, id, _emptied(out), folder)
            return _watched(api, id, results, Progress(sys.stderr), where, kept, as_json)

    return _run(verb)


def list_(where: Where, limit: int, after: str, status: str, as_json: bool) -> int:
    def verb() -> int:
        api = _api(where)
        query = {"limit": str(limit), "after": after, "status": status}
        body = asked(api, api.ask(f"/v1/batch?{urlencode({k: v for k, v in query.items() if v})}"))
        listed = decoded(api, body, _Listed)
        if as_json:
            click.echo(msgspec.json.format(body))
            return ALL_WELL
        click.echo(_table(listed.batches))
        if listed.has_more:
            click.echo(f"There are older ones: --after {listed.next}", err=True)
        return ALL_WELL

    return _run(verb)


def cancel(id: str, where: Where, as_json: bool) -> int:
    def verb() -> int:
        api = _api(where)
        body = asked(api, api.ask(_path(id), method="DELETE"))
        standing = decoded(api, body, Standing)
        click.echo(
            msgspec.json.format(body) if as_json else f"{_counts(standing)} {standing.message or ''}".strip()
        )
        return ALL_WELL

    return _run(verb)


def _run(verb: Callable[[], int]) -> int:
    try:
        return verb()
    except (BatchError, prompts.BadLines, SettingsError) as problem:
        click.echo(str(problem), err=True)
        return CANNOT


def _api(where: Where) -> Api:
    url, key = where.url, where.key
    if not (url and key):
        settings = from_process()
        known = (*settings.api_keys, settings.admin_key)
        key = key or next((each for each in known if each and not is_digest(each)), key)
        host = settings.server.host.strip("[]")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # asked, not listened on
        url = url or f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"
    try:
        address = urlsplit(url)
        right = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        right = False
    if not right or not url.isascii() or not url.isprintable() or " " in url:
        raise BatchError("--url: must be the gateway's address, such as http://127.0.0.1:8100.")
    if not (key.reveal().isascii() and key.reveal().isprintable()):
        raise BatchError("--key: holds characters that no key has.")
    return Api(url, key)


def _watched(
    api: Api,
    id: str,
    results: Results,
    progress: Progress,
    where: Where,
    kept: Kept,
    as_json: bool,
) -> int:
    standing: Standing | None = None
    try:
        for event in following.follow(api, id):
            match event:
                case Standing():
                    standing = event
                    progress.show(event)
                case Task():
                    with progress.aside():
                        said = results.take(event)
                    if said:
                        progress.say(said)
                case Lost(why):
                    progress.say(
                        f"The gateway is away ({printable(why)}). The batch is safe; waiting for it to be back."
                    )
                case Back():
                    progress.say("The gateway is back.")
        progress.clear()
        for said in results.finish():
            progress.say(said)
    except KeyboardInterrupt:
        progress.clear()
        to = f"{id} --url {where.url}" if where.url else id
        progress.say(
            "The batch goes on without this command.\n"
            f"  gempool batch watch {to}    shows it and its results\n"
            f"  gempool batch cancel {to}   cancels what has not begun"
        )
        return INTERRUPTED
    finally:
        progress.clear()
    assert standing is not None  # noqa: S101  # `follow` ends with one
    progress.say(_counts(standing) + _places(kept, results))
    if as_json:
        click.echo(msgspec.json.encode(standing))
    return ALL_WELL if standing.completed == standing.total and not results.unsaved else NOT_ALL


def _path(id: str) -> str:
    return f"/v1/batch/{quote(id, safe='')}"


def _counts(standing: Standing) -> str:
    counts = {"failed": standing.failed, "cancelled": standing.cancelled, "running": standing.running}
    words = [f"{standing.completed} of {standing.total} went well"]
    words += [f"{count} {word}" for word, count in counts.items() if count]
    return f"Batch {standing.batch_id} {standing.status}: {', '.join(words)}."


def _places(kept: Kept, results: Results) -> str:
    words = f" Results: {kept.out}." if kept.in_file else ""
    words += f" Pictures: {kept.folder}." if kept.folder else ""
    return words + (f" Pictures that are not saved: {results.unsaved}." if results.unsaved else "")


def _table(batches: Sequence[Standing]) -> str:
    if not batches:
        return "No batch."
    rows = [("id", "kind", "model", "ended", "failed", "status", "created")]
    rows += [
        (b.batch_id, b.kind, b.model, f"{b.ended}/{b.total}", str(b.failed), b.status, b.created_at or "")
        for b in batches
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _read(source: str) -> bytes:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(LONGEST_FILE + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise BatchError(f"{source} cannot be read: {error.strerror}.") from None
    if len(data) > LONGEST_FILE:
        raise BatchError(
            f"{source} is longer than {LONGEST_FILE // 1024**2} MB. Split it into several batches."
        )
    return data


def _same(one: str, other: str) -> bool:
    with suppress(OSError):
        return Path(one).samefile(other)
    return False


@contextmanager
def _sink(kept: Kept, silent: bool) -> Iterator[tuple[TextIO | None, Path | None]]:
    """What takes the results, and the folder of pictures. silent: standard output is wanted for something else.

    A file keeps what it holds until `_emptied`, so that a batch which cannot be made costs no results of another.
    """
    folder = Path(kept.folder) if kept.folder else None
    with _writable("--save", kept.folder):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    if not kept.in_file:
        yield (None if silent and kept.out != "-" else sys.stdout), folder
        return
    with _writable("--out", kept.out):
        file = Path(kept.out).open("a", encoding="utf-8")  # noqa: SIM115  # what is raised inside is another's
    with file:
        yield file, folder


@contextmanager
def _writable(option: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BatchError(f"{option}: {name} cannot be written: {error.strerror}.") from None


def _emptied(out: TextIO | None) -> TextIO | None:
    if out is not None and out is not sys.stdout:
        with suppress(OSError):  # a pipe or a device holds nothing
            out.truncate(0)
    return out
