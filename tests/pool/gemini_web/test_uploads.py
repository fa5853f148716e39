"""Files on their way up: right name, right type, whole, in order, once; and what their faults mean."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Blob
from core.errors import AccountThrottled, RequestTooLarge, SessionSuspect, UpstreamError, UpstreamUnstable
from pool.gemini_web.uploads import file_name
from pool.upstream import Bounds
from simulator import Simulator, fault
from tests.support.adapter import Open, ask, journal, prompts

ID = "account-1"
TYPES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/avif": ".avif",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
}


def sent(web: Simulator) -> list[dict[str, Any]]:
    """The uploads of the last prompt as they arrived."""
    return list(journal(web, ID)["recent_prompts"][-1]["uploads"])


def arrived(blob: Blob, name: str) -> dict[str, Any]:
    digest = hashlib.sha256(blob.data).hexdigest()
    return {"name": name, "content_type": blob.mime, "size": len(blob.data), "sha256": digest}


async def test_several_files_of_all_types_go_up_whole_and_in_order(
    web: Simulator, open_session: Open
) -> None:
    """Each under its own type, by one name in the upload and in the prompt; each once."""
    session = await open_session()
    files = tuple(
        Blob(bytes((n,)) * (1000 + n) + b"\r\n--x\r\n\0", mime, f"file {n}.bin")
        for n, mime in enumerate(TYPES)
    )
    await ask(session, "What are these?", files=files)
    names = [f"file_{n}{ending}" for n, ending in enumerate(TYPES.values())]
    assert sent(web) == [arrived(blob, name) for blob, name in zip(files, names, strict=True)]
    assert list(journal(web, ID)["recent_prompts"][-1]["files"]) == names
    assert journal(web, ID)["counts"]["upload"] == len(files)
    assert journal(web, ID)["notes"] == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Katze-ä.JPG", "Katze-ä.png"),
        ("漢字 の 写真.webp", "漢字_の_写真.png"),
        ("😀.png", "_.png"),
        ('a"b\r\nc.png', "a_b__c.png"),
        ("../../etc/passwd", "passwd.png"),
        ("", "file.png"),
        (".png", "file.png"),
        ("x" * 300 + ".png", "x" * 60 + ".png"),
    ],
)
async def test_names_of_any_kind(web: Simulator, open_session: Open, given: str, name: str) -> None:
    """Letters of every script stay, what could mean something to a header or a path does not."""
    session = await open_session()
    blob = Blob(b"\x89PNG\r\n\x1a\n", "image/png", given)
    await ask(session, "this?", files=(blob,))
    assert sent(web) == [arrived(blob, name)]


@given(st.text(max_size=100), st.sampled_from(sorted(TYPES)))
def test_a_name_is_safe_and_tells_the_type(given: str, mime: str) -> None:
    """Whatever the caller named it."""
    name = file_name(Blob(b"", mime, given))
    assert name.endswith(TYPES[mime])
    stem = name.removesuffix(TYPES[mime])
    assert 0 < len(stem) <= 60
    assert all(c.isalnum() or c in "-_" for c in stem)


async def test_twenty_megabytes_arrive_whole(web: Simulator, open_session: Open) -> None:
    """To the last byte."""
    session = await open_session()
    blob = Blob(bytes(range(256)) * 80 * 1024, "image/jpeg", "large.jpg")
    await ask(session, "large?", files=(blob,))
    assert sent(web) == [arrived(blob, "large.jpg")]


@pytest.mark.parametrize(
    ("bad", "error", "kind"),
    [
        (fault("http_500", on=("upload",)), UpstreamUnstable, "http_5xx"),
        (fault("http_503", on=("upload",)), UpstreamUnstable, "http_5xx"),
        (fault("http_403", on=("upload",)), SessionSuspect, None),
        (fault("http_401", on=("upload",)), SessionSuspect, None),
        (fault("http_429", on=("upload",)), AccountThrottled, None),
        (fault("latency", seconds=20, on=("upload",)), UpstreamUnstable, "stalled"),
        (fault("drop_before_first", on=("upload",)), UpstreamUnstable, "dropped"),
    ],
)
async def test_a_failed_upload_moves_the_request_on(
    web: Simulator, open_session: Open, bad: object, error: type[UpstreamError], kind: str | None
) -> None:
    """Another account may do better; the prompt is not sent without its file, and one upload was tried."""
    session = await open_session()
    web.set_fault(ID, bad)  # type: ignore[arg-type]
    files = (Blob(b"\x89PNG\r\n\x1a\n", "image/png"), Blob(b"%PDF-1.7", "application/pdf"))
    with pytest.raises(UpstreamError) as raised:
        await ask(session, "x", bounds=Bounds(connect=5, first_content=0.5, silence=5, total=20), files=files)
    assert type(raised.value) is error
    assert getattr(raised.value, "kind", None) == kind
    assert prompts(web, ID) == 0
    assert journal(web, ID)["counts"]["upload"] == 1


async def test_a_file_that_is_too_large_is_the_callers(web: Simulator, open_session: Open) -> None:
    """No other account would take it."""
    session = await open_session()
    web.set_fault(ID, fault("http_413", on=("upload",)))
    with pytest.raises(RequestTooLarge):
        await ask(session, "x", files=(Blob(b"\x89PNG\r\n\x1a\n", "image/png"),))


async def test_uploads_keep_to_the_deadline(web: Simulator, open_session: Open) -> None:
    """Several slow ones do not each get the whole time."""
    session = await open_session()
    web.set_fault(ID, fault("latency", seconds=0.3, on=("upload",)))
    files = (Blob(b"\x89PNG\r\n\x1a\n", "image/png"),) * 8
    with pytest.raises(UpstreamUnstable) as error:
        await ask(session, "x", bounds=Bounds(connect=5, first_content=5, silence=5, total=0.7), files=files)
    assert error.value.kind == "stalled"
    assert journal(web, ID)["counts"]["upload"] <= 3


def test_types_do_not_depend_on_the_machine() -> None:
    """A small system knows few endings; the library asks it, so it is told."""
    code = (
        "import mimetypes; mimetypes.init(files=[]); import pool.gemini_web.uploads as u; from core.chat import Blob\n"
        f"for mime in {sorted(TYPES)}:\n"
        "    assert mimetypes.guess_type(u.file_name(Blob(b'', mime)))[0] == mime, mime\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
