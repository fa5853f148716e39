"""What becomes of a batch's results on this machine: lines of JSON, and pictures in a folder."""

import base64
import http.client
import re
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import msgspec
from msgspec import Struct

from core.pictures import EXTENSIONS, sniff
from gateway import client
from gateway.batching.following import Task
from gateway.batching.places import Out, Unwritable
from gateway.batching.prompts import Line
from gateway.batching.refusals import BatchError, decoded, told
from gateway.client import DROPPED, Api

_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between the tries to download a picture."""
_PIECE = 256 * 1024
_PICTURES_AT_ONCE = 2
"""Pictures as data, which may be 20 MB each, that are asked for at a time."""
_UNSAFE = re.compile(r"[^\w.-]+")


class NotSaved(Exception):
    """A picture is not in the folder; the text says why."""


class _Page(Struct):
    results: list[dict[str, Any]]
    next_offset: int | None = None


class Results:
    """Takes one batch's tasks as they end.

    out: gets a line of JSON for each, None for none. folder: gets the pictures, None for none; those of this batch that are there
    are not downloaded again. lines: of the file that the batch was made of, in its order, as far as it is at hand.
    Raises Unwritable where something cannot be written.
    """

    def __init__(
        self,
        api: Api,
        batch: str,
        out: Out | None,
        folder: Path | None,
        lines: Sequence[Line] = (),
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._batch = batch
        self._out = out
        self._folder = folder
        self._lines = lines
        self._pause = pause
        self._inline: bool | None = None
        self._mark = _UNSAFE.sub("-", batch[-6:])
        """Of this batch's pictures, so that one folder can hold those of several."""
        self._saved: dict[int, Path] | None = None
        """By index; None until somebody asks."""
        self.unsaved = 0
        """Pictures that could not be downloaded."""

    def take(self, task: Task) -> str:
        """Returns a sentence where something is to be told to a person."""
        if self._out is None and self._folder is None:
            return ""
        if task.ok and "url" in task.fields:
            if self._inline is None:
                self._inline = self._are_data()
            if self._inline:
                return ""  # `finish` reads them
        return self._kept(task)

    def finish(self) -> Iterator[str]:
        """Take what comes as data and not as links; call it once all tasks have ended."""
        offset: int | None = 0 if self._inline else None
        while offset is not None:
            page = self._page(offset, _PICTURES_AT_ONCE)
            for fields in page.results:
                if said := self._kept(Task(True, fields)):
                    yield said
            offset = page.next_offset
        if self._out is not None:
            self._out.close()

    def _kept(self, task: Task) -> str:
        index = task.fields["index"]
        record: dict[str, Any] = {"index": index}
        if index < len(self._lines):
            line = self._lines[index]
            record["line"] = line.number
            if line.id is not None:
                record["id"] = line.id
        fields = dict(task.fields)
        said = ""
        if not task.ok:
            record["error"] = {name: fields.pop(name, "") for name in ("code", "message")}
        elif self._folder is not None and ("url" in fields or "image" in fields):
            try:
                record["file"] = str(self._save(self._folder, record, fields))
            except NotSaved as error:
                self.unsaved += 1
                said = f"The picture of task {index} is not saved: {error}"
        self._write(record | fields)
        return said

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._out is not None:
            try:
                self._out.write(msgspec.json.encode(record).decode())
            except Unwritable as error:
                raise Unwritable(f"{error} What is missing begins with task {record['index']}.") from None

    def _save(self, folder: Path, record: Mapping[str, Any], fields: Mapping[str, Any]) -> Path:
        if self._saved is None:
            self._saved = _pictures(folder, self._mark)
        if (found := self._saved.get(record["index"])) is None:
            try:
                found = self._saved[record["index"]] = self._fetched(folder, record, fields)
            except Unwritable as error:
                raise Unwritable(f"{error} The picture of task {record['index']} is not saved.") from None
        return found

    def _fetched(self, folder: Path, record: Mapping[str, Any], fields: Mapping[str, Any]) -> Path:
        stem = f"{self._mark}-{record['index']:05d}"
        if name := _UNSAFE.sub("-", str(record.get("id", "")))[:60].strip("-."):
            stem += f"_{name}"
        if (data := fields.get("image")) is not None:
            return _written(folder, stem, iter([base64.b64decode(data.partition(",")[2])]))
        url = fields.get("url", "")
        for wait in (*_PAUSES, None):
            try:
                with client.opened(urljoin(self._api.url + "/", url), {}, timeout=60, follow=True) as answer:
                    return _written(folder, stem, _pieces(answer))
            except urllib.error.HTTPError as error:
                error.close()
                problem = f"its link answers HTTP {error.code}"
                passing = error.code >= 500 or error.code == 429
            except DROPPED as error:
                problem, passing = f"its link does not answer ({client.why(error)})", True
            if wait is None or not passing:
                raise NotSaved(f"{problem}.")
            self._pause(wait)
        raise AssertionError  # the last try returns or raises

    def _are_data(self) -> bool:
        """Whether the batch was ordered with its pictures as data: events tell links in any case."""
        return any("image" in result for result in self._page(0, 1).results)

    def _page(self, offset: int, limit: int) -> _Page:
        path = f"/v1/batch/{quote(self._batch, safe='')}/status?offset={offset}&limit={limit}"
        for wait in (*_PAUSES, None):
            reply = self._api.ask(path)
            if reply.status == 200:
                return decoded(self._api, reply.body, _Page)
            if wait is None or (0 < reply.status < 500 and reply.status != 429):
                break
            self._pause(wait)
        raise BatchError(told(self._api, reply))


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := answer.read(_PIECE):
        yield piece
    if answer.length:  # not told otherwise where pieces are read
        raise http.client.IncompleteRead(b"", answer.length)


def _written(folder: Path, stem: str, pieces: Iterator[bytes]) -> Path:
    """Under its name once it is whole, so that no half of a picture is ever taken for one."""
    first = next(pieces, b"")
    kind = sniff(first)
    if kind not in EXTENSIONS:
        raise NotSaved("its link leads to something that is no picture.")
    path = folder / f"{stem}.{EXTENSIONS[kind]}"
    part = path.with_name(f".{path.name}.part")
    try:
        with _writing(folder), part.open("wb") as file:
            file.write(first)
        for piece in pieces:
            with _writing(folder), part.open("ab") as file:
                file.write(piece)
        with _writing(folder):
            part.replace(path)
    finally:
        with suppress(OSError):  # told already where the folder is at fault
            part.unlink(missing_ok=True)
    return path


def _pictures(folder: Path, mark: str) -> dict[int, Path]:
    """Those of a batch that were saved before, by the index of their tasks."""
    name = re.compile(rf"{re.escape(mark)}-(\d{{5,}})(?:_.*)?\.(?:{'|'.join(EXTENSIONS.values())})")
    with _writing(folder):
        return {
            int(match[1]): path
            for path in folder.iterdir()
            if (match := name.fullmatch(path.name)) and path.stat().st_size
        }


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tells a full disk from a broken connection."""
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{folder} cannot be written: {error.strerror}.") from None
