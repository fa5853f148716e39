"""Where the results of a batch go on this machine: a file or standard output, and a folder of pictures."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import click
from msgspec import Struct

from gateway.batching.refusals import BatchError


class Unwritable(BatchError):
    """A place took what it was given no longer. The text says what is not in it."""


class Kept(Struct, frozen=True):
    """Where results go. out: a file, `-` or '' for standard output. folder: of the pictures, '' for none.
    overwrite: whether a file that holds something may be written over."""

    out: str = ""
    folder: str = ""
    overwrite: bool = False

    @property
    def in_file(self) -> bool:
        return self.out not in ("", "-")


def check(kept: Kept, source: str) -> None:
    """Whether the file of results may be written. source: the file of the prompts, '' or `-` for none. Raises BatchError."""
    if not kept.in_file:
        return
    with suppress(OSError):  # there is no such file; `sink` tells of everything else
        file = Path(kept.out)
        if source not in ("", "-") and file.samefile(source):
            raise BatchError(f"--out: {source} holds the prompts. Name another file for the results.")
        found = file.stat()
        if not kept.overwrite and stat.S_ISREG(found.st_mode) and found.st_size:
            raise BatchError(
                f"--out: {kept.out} is there and not empty. Name another file, or say --overwrite to have it written over."
            )


class Out:
    """Takes the lines of the results. name: what messages call it. Raises Unwritable."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._linked = stream is not sys.stdout and _is_linked(stream)

    def empty(self) -> None:
        """A file loses what it held."""
        if self._stream is not sys.stdout:
            with suppress(OSError):  # a pipe or a device holds nothing
                self._stream.truncate(0)

    def write(self, line: str) -> None:
        with self._told():
            self._stream.write(line + "\n")
            self._stream.flush()
            if self._linked and not _is_linked(self._stream):
                raise FileNotFoundError(0, "it has been removed")

    def close(self) -> None:
        if self._stream is not sys.stdout:
            with self._told():
                self._stream.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._stream is sys.stdout:
                _give_up(error)
            raise Unwritable(f"The results cannot be written to {self._name}: {error.strerror}.") from None


@contextmanager
def sink(kept: Kept, silent: bool) -> Iterator[tuple[Out | None, Path | None]]:
    """What takes the results, and the folder of pictures. silent: standard output is wanted for something else.

    A file keeps what it holds until `Out.empty`, so that a batch which cannot be made costs no results of another. Whoever
    wants to know that all of it was written closes it.
    """
    folder = Path(kept.folder) if kept.folder else None
    with _writable("--save", kept.folder):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    if not kept.in_file:
        yield (None if silent and kept.out != "-" else Out(sys.stdout, "standard output")), folder
        return
    with _writable("--out", kept.out):
        file = Path(kept.out).open("a", encoding="utf-8")  # noqa: SIM115  # what is raised inside is another's
    try:
        yield Out(file, kept.out), folder
    finally:
        with suppress(OSError):  # of a write that has failed and was told
            file.close()


def say(text: str | bytes) -> None:
    """What a verb was asked to print, on standard output. Raises Unwritable."""
    try:
        click.echo(text)
    except OSError as error:
        _give_up(error)
        raise Unwritable(f"Standard output cannot be written: {error.strerror}.") from None


def _is_linked(stream: TextIO) -> bool:
    """Whether a folder knows the file; some file systems say so of none."""
    return os.fstat(stream.fileno()).st_nlink > 0


def _give_up(error: OSError) -> None:
    """What standard output still holds cannot be written, and Python shall not try it at its end. Raises the error where nobody
    reads any more, which is nothing to tell."""
    if isinstance(error, BrokenPipeError):
        raise error
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextmanager
def _writable(option: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BatchError(f"{option}: {name} cannot be written: {error.strerror}.") from None
