"""The verbs. Each returns an exit code: 0 all well, 1 not all tasks went well, 2 it cannot be done, 130 interrupted.

Results, and what a verb was asked to print, go to standard output; everything else to standard error.
"""

import shlex
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import click
import msgspec
from msgspec import Struct

from access import is_digest
from core.secret import Secret
from gateway.batching import following, ordering, places, prompts
from gateway.batching.following import Back, Lost, Standing, Task, Told
from gateway.batching.places import Kept, Unwritable, say
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


class Ways(Struct, frozen=True):
    """How a batch is taken up by another command with the same options. source: the file that it was made of, as far as there is
    one to be read again."""

    id: str
    source: str
    where: Where
    kept: Kept

    def on(self, *, written: bool = True, ended: bool = False) -> str:
        """Lines for whoever is left without a watcher. written: whether `--out` may hold some of its results.
        ended: whether the batch is known to have ended."""
        url = ["--url", self.where.url] if self.where.url else []
        watch = ["gempool", "batch", "watch", self.id]
        watch += ["--file", self.source] if self.source not in ("", "-") else []
        if self.kept.in_file:
            watch += ["--out", self.kept.out, *(["--overwrite"] if written or self.kept.overwrite else [])]
        watch += ["--save", self.kept.folder] if self.kept.folder else []
        if ended:
            return f"The batch has ended, and the gateway keeps its results:\n  {shlex.join(watch + url)}"
        return (
            "The batch goes on without this command.\n"
            f"  {shlex.join(watch + url)}    shows it and all its results\n"
            f"  {shlex.join(['gempool', 'batch', 'cancel', self.id, *url])}    cancels what has not begun"
        )


class _Listed(Struct):
    batches: list[Standing]
    has_more: bool = False
    next: str | None = None


def run(
    source: str, wanted: ordering.Wanted, where: Where, kept: Kept, key: str, detach: bool, as_json: bool
) -> int:
    """source: a file, `-` for standard input. key: the idempotency key, '' makes one."""

    def verb() -> int:
        ordering.check(wanted.kind, wanted)
        places.check(kept, source)
        name, lines = _lines(source)
        api, progress = _api(where), Progress(sys.stderr)
        ours = key or str(uuid.uuid4())
        with places.sink(kept, as_json or detach) as (out, folder):
            order = ordering.order_of(api, wanted, lines, name)
            try:
                reply = ordering.created(api, order, ours, progress.say)
            except KeyboardInterrupt:
                progress.say(
                    f"The batch may have been made: the same with --idempotency-key {ours} goes on with it."
                )
                return INTERRUPTED
            batch = decoded(api, reply.body, Standing)
            ways = Ways(batch.batch_id, source, where, kept)
            if detach:
                progress.say(ways.on(written=False))
                say(reply.body if as_json else batch.batch_id)
                return ALL_WELL
            progress.say(f"Batch {batch.batch_id}: {batch.total} tasks. Ctrl-C leaves it running.")
            if out is not None:
                out.empty()
            results = Results(api, batch.batch_id, out, folder, lines)
            return _watched(api, ways, results, progress, as_json)

    return _run(verb)


def watch(id: str, source: str, where: Where, kept: Kept, as_json: bool) -> int:
    """source: the file that the batch was made of, '' where it is not at hand."""

    def verb() -> int:
        places.check(kept, source)
        name, lines = _lines(source) if source else ("", [])
        api = _api(where)
        standing = decoded(api, asked(api, api.ask(f"{_path(id)}/status?limit=0")), Standing)
        if source and len(lines) != standing.total:
            raise BatchError(
                f"--file: {name} has prompts for {len(lines)} tasks and the batch has {standing.total}: it was made of another file."
            )
        if kept.folder and standing.kind == "chat":
            raise BatchError("--save is for pictures, and this is a batch of chats. Leave it out.")
        with places.sink(kept, as_json) as (out, folder):
            if out is not None:
                out.empty()
            ways = Ways(id, source, where, kept)
            return _watched(api, ways, Results(api, id, out, folder, lines), Progress(sys.stderr), as_json)

    return _run(verb)


def list_(where: Where, limit: int, after: str, status: str, as_json: bool) -> int:
    def verb() -> int:
        api = _api(where)
        query = {"limit": str(limit), "after": after, "status": status}
        body = asked(api, api.ask(f"/v1/batch?{urlencode({k: v for k, v in query.items() if v})}"))
        listed = decoded(api, body, _Listed)
        if as_json:
            say(msgspec.json.format(body))
            return ALL_WELL
        say(_table(listed.batches))
        if listed.has_more:
            click.echo(f"There are older ones: --after {listed.next}", err=True)
        return ALL_WELL

    return _run(verb)


def cancel(id: str, where: Where, as_json: bool) -> int:
    def verb() -> int:
        api = _api(where)
        body = asked(api, api.ask(_path(id), method="DELETE"))
        standing = decoded(api, body, Standing)
        say(msgspec.json.format(body) if as_json else f"{_counts(standing)} {standing.message or ''}".strip())
        return ALL_WELL

    return _run(verb)


def _run(verb: Callable[[], int]) -> int:
    try:
        return verb()
    except (BatchError, prompts.BadLines, SettingsError) as problem:
        click.echo(str(problem), err=True)
        return CANNOT
    except KeyboardInterrupt:
        return INTERRUPTED


def _api(where: Where) -> Api:
    url, key = where.url, where.key
    if not (url and key):
        settings = from_process(listens=False)
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


def _watched(api: Api, ways: Ways, results: Results, progress: Progress, as_json: bool) -> int:
    last: Told | None = None
    try:
        for event in following.follow(api, ways.id):
            match event:
                case Told(standing):
                    last = event
                    progress.show(standing)
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
        progress.say(ways.on())
        return INTERRUPTED
    except Unwritable as problem:
        ended = last is not None and last.standing.ended == last.standing.total
        raise BatchError(f"{problem}\n{ways.on(ended=ended)}") from None
    finally:
        progress.clear()
    assert last is not None  # noqa: S101  # `follow` ends with one
    standing = last.standing
    progress.say(_counts(standing) + _places(ways.kept, results))
    if as_json:
        say(last.text)
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


def _lines(source: str) -> tuple[str, list[prompts.Line]]:
    """What messages call the file, and its prompts. Raises BatchError and BadLines."""
    name = "standard input" if source == "-" else source
    return name, prompts.lines_of(_read(source), name)


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
