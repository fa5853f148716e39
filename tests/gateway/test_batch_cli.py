"""`gempool batch` against a small real server that speaks the gateway's wire forms."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import ssl
import struct
import termios
import time
from pathlib import Path

import pytest
import trustme

from tests.fakes.batchcalls import (
    DROP,
    HANG,
    ID,
    KEY,
    Frame,
    Gateway,
    batch,
    done,
    error,
    progress,
    refusal,
    rows,
    standing,
    started,
    tell,
    text,
)


def test_a_file_of_chats(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """The prompts go out as one batch; each result comes with its line and the caller's own id; all went well: 0."""
    gateway.streams = [[progress(0, 3), text(1, 1), text(2, 0), progress(2, 3), text(3, 2), done(3)]]
    ran = batch(tmp_path, "run", prompts, "--chat", "--concurrency", "3", "--url", gateway.url, API_KEY=KEY)
    assert ran.returncode == 0, ran.stderr
    assert rows(ran.stdout) == [
        {"index": 1, "line": 3, "id": "hare/1", "task_id": "batch_1-1", "tries": 1, "text": "answer 1"},
        {"index": 0, "line": 1, "task_id": "batch_1-0", "tries": 1, "text": "answer 0"},
        {"index": 2, "line": 4, "id": 7, "task_id": "batch_1-2", "tries": 1, "text": "answer 2"},
    ]
    assert gateway.asked[0] == "POST /v1/batch/chat"
    assert gateway.bodies == [{"prompts": ["a fox", "a hare", "雪地"], "concurrency": 3}]
    assert {headers["authorization"] for headers in gateway.headers} == {f"Bearer {KEY}"}
    assert len(gateway.headers[0]["idempotency-key"]) >= 32
    assert "3 of 3 went well" in ran.stderr
    assert "\r" not in ran.stderr
    assert "\x1b" not in ran.stderr


def test_some_have_failed(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """The failed task's line has its error, and the exit code is 1; so it is for cancelled ones."""
    gateway.streams = [[text(1, 0), error(2, 1), text(3, 2), done(3, failed=1)]]
    ran = batch(tmp_path, "run", prompts, "--chat", "--url", gateway.url)
    assert ran.returncode == 1
    assert rows(ran.stdout)[1] == {
        "index": 1, "line": 3, "id": "hare/1", "error": {"code": "content_filter", "message": "Not this."},
        "task_id": "batch_1-1", "tries": 1,
    }  # fmt: skip
    assert "2 of 3 went well, 1 failed" in ran.stderr
    gateway.streams = [[("done", standing(1, 3, cancelled=2, pending=0, status="cancelled"), None)]]
    ran = batch(tmp_path, "run", prompts, "--chat", "--url", gateway.url)
    assert ran.returncode == 1
    assert "1 of 3 went well, 2 cancelled" in ran.stderr


BAD = {
    "a word": (b'"ok"\nfox\n', "standard input:2: is no JSON"),
    "a number": (b"\n\n42\n", "standard input:3: is no prompt"),
    "a list": (b'["a", "b"]', "standard input:1: is no prompt"),
    "an empty prompt": (b'"ok"\n{"prompt": " "}\n', "standard input:2: has no prompt"),
    "no prompt": (b'{"id": 1}', "standard input:1: has no prompt"),
    "another field": (b'{"prompt": "a", "size": "1K"}', "standard input:1: has a field 'size'"),
    "an id of another kind": (b'{"prompt": "a", "id": [1]}', "standard input:1: has an id"),
    "a model of another kind": (b'{"prompt": "a", "model": 3}', "standard input:1: has a model"),
    "no text": (b'"\xff\xfe"', "standard input:1: is no JSON"),
    "nothing": (b" \n\n", "standard input holds no prompt"),
    "nothing at all": (b"", "standard input holds no prompt"),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=list(BAD))
def test_bad_lines_are_named_before_anything_is_sent(
    gateway: Gateway, tmp_path: Path, data: bytes, words: str
) -> None:
    """With their numbers and what to write; the exit code is 2 and the gateway has heard nothing."""
    ran = batch(tmp_path, "run", "-", "--chat", "--url", gateway.url, told=data)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert gateway.asked == []


def test_many_bad_lines_are_not_all_told(gateway: Gateway, tmp_path: Path) -> None:
    """The first ten, and how many more there are."""
    ran = batch(tmp_path, "run", "-", "--chat", "--url", gateway.url, told="x\n" * 25)
    assert [line.split(":")[1] for line in ran.stderr.splitlines()[:10]] == [str(n) for n in range(1, 11)]
    assert "... and 15 more lines." in ran.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_of_other_editors(gateway: Gateway, tmp_path: Path, encoding: str) -> None:
    """A byte order mark, UTF-16 and line ends of Windows are read."""
    gateway.streams = [[text(1, 0), text(2, 1), done(2)]]
    told = '"狐狸"\r\n{"prompt": "b"}\r\n'.encode(encoding)
    assert batch(tmp_path, "run", "-", "--chat", "--url", gateway.url, told=told).returncode == 0
    assert gateway.bodies[0]["prompts"] == ["狐狸", "b"]


MODELS = {"categories": {"text": ["flash"], "image": ["painter"]}, "models": [], "default": "flash"}


@pytest.mark.parametrize(("model", "path"), [("flash", "/v1/batch/chat"), ("painter", "/v1/batch/images")])
def test_the_model_says_what_kind_of_batch_it_is(
    gateway: Gateway, tmp_path: Path, model: str, path: str
) -> None:
    """Named by every line or by --model, it decides where nobody else does."""
    gateway.gets["/api/models"] = (200, {}, MODELS)
    gateway.streams = [[text(1, 0), text(2, 1), done(2)]]
    lines = "".join(json.dumps({"prompt": p, "model": model}) + "\n" for p in ("a", "b"))
    assert batch(tmp_path, "run", "-", "--url", gateway.url, told=lines).returncode == 0
    assert (
        batch(tmp_path, "run", "-", "--model", model, "--url", gateway.url, told='"a"\n"b"').returncode == 0
    )
    assert [asked for asked in gateway.asked if asked.startswith("POST")] == [f"POST {path}"] * 2
    assert [body["model"] for body in gateway.bodies] == [model] * 2


def test_a_batch_is_of_one_kind_and_one_model(gateway: Gateway, tmp_path: Path) -> None:
    """What cannot be told, or contradicts itself, is a usage error that says what to do."""
    gateway.gets["/api/models"] = (200, {}, MODELS)
    for lines, options, words in (
        ('"a"', [], "Say --images or --chat"),
        ('"a"', ["--model", "own"], "has no 'own'"),
        ('{"prompt": "a", "model": "flash"}\n"b"', [], "Line 1 names the model flash, line 2 none"),
        ('"a"\n{"prompt": "b", "model": "flash"}', ["--model", "painter"], "Line 2 names the model flash"),
        ('"a"', ["--chat", "--size", "1K"], "--size is for pictures"),
        ('"a"', ["--chat", "--upscale"], "--upscale is for pictures"),
        ('"a"', ["--chat", "--save", "folder"], "--save is for pictures"),
        ('"a"', ["--model", "flash", "--save", "folder"], "--save is for pictures"),
        ('"a"', ["--images", "--chat"], "--images and --chat"),
        ('"a"', ["--chat", "--concurrency", "0"], "--concurrency"),
    ):
        ran = batch(tmp_path, "run", "-", *options, "--url", gateway.url, told=lines)
        assert ran.returncode == 2
        assert words in ran.stderr
    assert gateway.bodies == []


def test_what_the_gateway_refuses(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """Its own words; a prompt that it names is named by its line; results of another batch stay as they are."""
    out = tmp_path / "results.jsonl"
    out.write_text("precious\n")
    for answer, words in (
        (refusal(413, "'prompts' has 3 items, and at most 2 are taken. Send several batches."), "at most 2"),
        (
            refusal(400, "'prompts[1]' is too long.", param="prompts[1]"),
            f"{prompts}:3: 'prompts[1]' is too long.",
        ),
        (refusal(404, "There is no model 'x'."), "no model 'x'"),
        (refusal(401, "A key is needed."), "A key is needed."),
        (refusal(429, "Too many.", {"retry-after": "1"}, code="too_many_batches"), "Too many."),
        (refusal(429, "Come back tomorrow.", {"retry-after": "7200"}), "tomorrow"),
        (refusal(503, "No account.", {"retry-after": "60", "x-should-retry": "false"}), "No account."),
        (
            (301, {"location": "https://elsewhere.example/"}, b""),
            "leads elsewhere, to https://elsewhere.example/",
        ),
        ((405, {}, b"<html>"), "not as a gateway does"),
        ((200, {}, b"<html>"), "not answer as a gateway does"),
    ):
        gateway.creation = [answer]
        gateway.bodies.clear()
        ran = batch(tmp_path, "run", prompts, "--chat", "--out", out, "--overwrite", "--url", gateway.url)
        assert ran.returncode == 2, ran.stderr
        assert words in ran.stderr
        assert len(gateway.bodies) == 1
    assert out.read_text() == "precious\n"


def test_a_creation_is_asked_for_again_with_the_same_key(gateway: Gateway, tmp_path: Path) -> None:
    """A connection that breaks, a gateway that is starting and a limit that is about to end: one batch in the end."""
    told = {"batch_id": ID, "total": 1, "status": "queued", "message": "..."}
    gateway.creation = [
        DROP,
        refusal(503, "The store does not answer.", {"retry-after": "1"}),
        refusal(429, "One each second.", {"retry-after": "1"}),
        (200, {"Idempotent-Replayed": "true"}, told),
    ]
    gateway.streams = [[text(1, 0), done(1)]]
    ran = batch(tmp_path, "run", "-", "--chat", "--url", gateway.url, told='"a"')
    assert ran.returncode == 0, ran.stderr
    keys = [headers["idempotency-key"] for headers in gateway.headers if "idempotency-key" in headers]
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert ran.stderr.count("Trying again") == 1
    assert "going on with it" in ran.stderr
    batch(tmp_path, "run", "-", "--chat", "--idempotency-key", "mine", "--url", gateway.url, told='"a"')
    assert gateway.headers[-2]["idempotency-key"] == "mine"


def test_events_go_on_where_they_broke_off(gateway: Gateway, tmp_path: Path) -> None:
    """In the middle of an event, at the end of a connection, with a failure: nothing is lost or told twice."""
    gateway.streams = [
        [progress(0, 3), text(1, 2), DROP],
        [progress(1, 3), text(2, 0)],
        [(502, {}, b"bad gateway")],  # type: ignore[list-item]
        [("failure", {"error": {"message": "The store does not answer."}}, None)],
        [progress(2, 3), text(3, 1), done(3)],
    ]
    ran = batch(tmp_path, "run", "-", "--chat", "--url", gateway.url, told='"a"\n"b"\n"c"')
    assert ran.returncode == 0, ran.stderr
    assert [row["index"] for row in rows(ran.stdout)] == [2, 0, 1]
    assert gateway.resumed == ["0", "1", "2", "2", "2"]


def test_a_gateway_that_restarts(gateway: Gateway, tmp_path: Path) -> None:
    """It is gone for a while, then a proxy answers in its place, then it is back: told once each, and the end comes."""
    gateway.streams = [[progress(0, 2), text(1, 0), HANG]]
    with started(tmp_path, "run", "-", "--chat", "--url", gateway.url) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        tell(running, '"a"\n"b"\n')
        assert gateway.reached.wait(60)
        gateway.stop()
        heard = []
        for line in running.stderr:
            heard.append(line)
            if "away" in line:
                break
        again = Gateway(gateway.port)
        again.streams = [
            [(404, {}, b"no backend")],  # type: ignore[list-item]
            [progress(1, 2), text(2, 1), done(2)],
        ]
        rest = running.stderr.read()
        out = running.stdout.read()
        assert running.wait(60) == 0
        again.stop()
    assert [row["index"] for row in rows(out)] == [0, 1]
    assert again.resumed == ["1", "1"]
    assert "".join(heard).count("away") == 1
    assert rest.count("away") == 0
    assert rest.count("back") == 1


def test_a_batch_that_is_gone_ends_the_watch(gateway: Gateway, tmp_path: Path) -> None:
    """What the gateway itself says is believed, in the middle as well."""
    gateway.streams = [[progress(0, 1)], [refusal(404, "There is no batch of this id.")]]  # type: ignore[list-item]
    ran = batch(tmp_path, "run", "-", "--chat", "--url", gateway.url, told='"a"')
    assert ran.returncode == 2
    assert "There is no batch of this id." in ran.stderr


def test_an_interrupt_leaves_the_batch_running(gateway: Gateway, tmp_path: Path) -> None:
    """Ctrl-C: exit code 130, and the commands that watch and cancel it; nothing is cancelled."""
    gateway.streams = [[progress(0, 2), text(1, 0), HANG]]
    with started(tmp_path, "run", "-", "--chat", "--url", gateway.url) as running:
        assert running.stdout is not None
        tell(running, '"a"\n"b"\n')
        assert running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert f"gempool batch watch {ID} --url {gateway.url}" in told
    assert f"gempool batch cancel {ID} --url {gateway.url}" in told
    assert "Traceback" not in told
    assert not [asked for asked in gateway.asked if asked.startswith("DELETE")]


def test_an_interrupt_while_prompts_are_read(gateway: Gateway, tmp_path: Path) -> None:
    """Ctrl-C at standard input: exit code 130, and nothing has been sent."""
    with started(tmp_path, "run", "-", "--chat", "--url", gateway.url) as running:
        assert running.stdin is not None
        tell(running, '"a"\n', end=False)
        deadline = time.monotonic() + 60
        while unread(running.stdin.fileno()) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        out, told = running.communicate()
    assert (out, told) == ("", "")
    assert gateway.asked == []


def unread(pipe: int) -> int:
    """Bytes that nobody has taken out of the pipe yet."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])


def test_watching_shows_all_from_the_first_on(gateway: Gateway, tmp_path: Path) -> None:
    """Into a file, in the place of what it held; --json prints the last status as the gateway told it, and nothing else."""
    gateway.gets[f"/v1/batch/{ID}/status?limit=0"] = (200, {}, standing(2, 2))
    last = done(2, failed=1, a_field_of_later=[1])
    gateway.streams = [[text(1, 0), error(2, 1), last]]
    out = tmp_path / "results.jsonl"
    out.write_text("of before\n" * 100)
    ran = batch(tmp_path, "watch", ID, "--out", out, "--overwrite", "--json", "--url", gateway.url)
    assert ran.returncode == 1
    assert [row["index"] for row in rows(out.read_text())] == [0, 1]
    assert rows(ran.stdout) == [last[1]]
    ran = batch(tmp_path, "watch", "batch_2", "--out", out, "--overwrite", "--url", gateway.url)
    assert (ran.returncode, ran.stderr) == (2, "There is no batch of this id.\n")
    assert len(rows(out.read_text())) == 2


def test_detached(gateway: Gateway, tmp_path: Path) -> None:
    """The id alone on standard output, and no watching."""
    ran = batch(tmp_path, "run", "-", "--chat", "--detach", "--url", gateway.url, told='"a"')
    assert (ran.returncode, ran.stdout) == (0, f"{ID}\n")
    assert f"gempool batch watch {ID} --url {gateway.url}  " in ran.stderr
    assert len(gateway.asked) == 1
    ran = batch(tmp_path, "run", "-", "--chat", "--detach", "--json", "--url", gateway.url, told='"a"')
    assert json.loads(ran.stdout)["batch_id"] == ID


def test_list_and_cancel(gateway: Gateway, tmp_path: Path) -> None:
    """A table for people, the gateway's JSON for programs; what cannot be cancelled says why."""
    listed = {"batches": [standing(1, 3)], "total": 9, "has_more": True, "next": ID}
    gateway.gets |= {
        "/v1/batch?limit=1&status=running": (200, {}, listed),
        "/v1/batch?limit=20": (200, {}, {"batches": [], "total": 0, "has_more": False, "next": None}),
        f"DELETE /v1/batch/{ID}": (
            200,
            {},
            standing(1, 3, status="cancelling", cancelled=1, message="It will end."),
        ),
        "DELETE /v1/batch/over": refusal(409, "It has ended."),
    }
    ran = batch(tmp_path, "list", "--limit", "1", "--status", "running", "--url", gateway.url)
    assert ran.stdout.splitlines()[1].split() == [
        ID, "chat", "m", "1/3", "0", "running", "2026-01-01T00:00:00.000Z"
    ]  # fmt: skip
    assert f"--after {ID}" in ran.stderr
    assert batch(tmp_path, "list", "--url", gateway.url).stdout == "No batch.\n"
    ran = batch(tmp_path, "list", "--limit", "1", "--status", "running", "--json", "--url", gateway.url)
    assert json.loads(ran.stdout) == listed
    ran = batch(tmp_path, "cancel", ID, "--url", gateway.url)
    assert ran.stdout == f"Batch {ID} cancelling: 1 of 3 went well, 1 cancelled. It will end.\n"
    ran = batch(tmp_path, "cancel", "over", "--url", gateway.url)
    assert (ran.returncode, ran.stderr) == (2, "It has ended.\n")


def test_whom_it_asks_and_with_which_key(gateway: Gateway, tmp_path: Path) -> None:
    """By default HOST and PORT, and the first key of the environment that is one; --key goes before it."""
    gateway.gets["/v1/batch?limit=20"] = (200, {}, {"batches": []})
    here = {"HOST": "0.0.0.0", "PORT": str(gateway.port)}
    digest = "sha256:" + "ab" * 32
    for options, environ, sent in (
        ([], {"API_KEY": f"{digest},{KEY}"}, KEY),
        ([], {"API_KEY": digest, "ADMIN_KEY": KEY}, KEY),
        (["--key", KEY], {"API_KEY": "another-key-of-ours"}, KEY),
    ):
        assert batch(tmp_path, "list", *options, **here, **environ).returncode == 0
        assert gateway.headers[-1]["authorization"] == f"Bearer {sent}"
    assert batch(tmp_path, "list", PORT=str(gateway.port)).returncode == 0
    assert "authorization" not in gateway.headers[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "127.0.0.1:8100"], "--url: must be"),
        (["--url", "ftp://x"], "--url: must be"),
        (["--url", "http://"], "--url: must be"),
        (["--url", "http://127.0.0.1:port"], "--url: must be"),
        (["--url", "http://127.0.0.1:1"], "Is the gateway running?"),
        (["--url", "http://no-such-host.invalid", "--key", "k"], "no-such-host.invalid"),
        (["--url", "http://127.0.0.1:1", "--key", "a\nb"], "--key: holds"),
    ],
)
def test_nobody_to_ask(tmp_path: Path, options: list[str], words: str) -> None:
    """One line that says what to look at, and exit code 2."""
    ran = batch(tmp_path, "run", "-", "--chat", *options, told='"a"', no_proxy="*")
    assert ran.returncode == 2
    assert words in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_over_tls(tmp_path: Path) -> None:
    """An https address is checked against the machine's certificates: refused with the reason, or served."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    gateway = Gateway(tls=context)
    gateway.streams = [[text(1, 0), done(1)]]
    ran = batch(tmp_path, "run", "-", "--chat", "--url", gateway.url, told='"a"')
    assert ran.returncode == 2
    assert "certificate" in ran.stderr.lower()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ran = batch(
        tmp_path,
        "run",
        "-",
        "--chat",
        "--url",
        gateway.url,
        told='"a"',
        SSL_CERT_FILE=str(tmp_path / "ca.pem"),
    )
    assert ran.returncode == 0, ran.stderr
    assert rows(ran.stdout)[0]["text"] == "answer 0"
    gateway.stop()


def test_at_a_terminal(gateway: Gateway, tmp_path: Path) -> None:
    """One line that is drawn over: a bar, the counts and why it waits, without what would steer the terminal."""
    why = "every account is \x1b[31mcooling"
    gateway.streams = [
        [
            progress(0, 4, running=2), text(1, 0), error(2, 1),
            progress(2, 4, completed=1, failed=1, running=1, why=why), text(3, 2), text(4, 3), done(4, failed=1),
        ]
    ]  # fmt: skip
    ours, theirs = pty.openpty()
    options = ["--chat", "--out", "out.jsonl", "--url", gateway.url]
    with started(tmp_path, "run", "-", *options, stderr=theirs, COLUMNS="100") as running:
        running.communicate('"a"\n"b"\n"c"\n"d"\n', timeout=60)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # what a terminal says at its end
        while piece := os.read(ours, 65536):
            seen += piece
    os.close(ours)
    drawn = re.findall(rb"\r(\[[^\r]*)", seen)
    assert drawn[0].startswith(b"[------------------------] 0/4  2 running")
    assert (
        b"[############------------] 2/4  1 failed  1 running  waits: every account is  [31mcooling" in seen
    )
    assert b"3 of 4 went well, 1 failed" in seen
    assert seen.count(b"\x1b") == seen.count(b"\x1b[K")
    assert running.returncode == 1


def test_where_nobody_looks_lines_are_few(gateway: Gateway, tmp_path: Path) -> None:
    """A log gets a line at the start, at each change of why it waits, and now and then: not one for each task."""
    frames: list[Frame | str] = [progress(0, 500)]
    for n in range(499):
        frames += [text(n + 1, n), progress(n + 1, 500, why="all busy" if 100 <= n < 200 else None)]
    gateway.streams = [[*frames, text(500, 499), done(500)]]
    ran = batch(
        tmp_path, "run", "-", "--chat", "--out", "out.jsonl", "--url", gateway.url, told='"a"\n' * 500
    )
    assert ran.returncode == 0
    assert len(ran.stderr.splitlines()) < 12, ran.stderr
    assert ran.stderr.count("waits: all busy") <= 2
    assert len(rows((tmp_path / "out.jsonl").read_text())) == 500


def test_a_reader_that_leaves(gateway: Gateway, tmp_path: Path) -> None:
    """`| head -1` ends the command without a word of Python's, and leaves the batch alone."""
    gateway.streams = [[text(1, 0), HANG]]
    began = time.monotonic()
    with started(tmp_path, "run", "-", "--chat", "--url", gateway.url) as running:
        assert running.stdout is not None
        running.stdout.close()
        running.stdout = None
        _, told = running.communicate('"a"\n"b"\n', timeout=60)
    assert "Traceback" not in told
    assert "Exception" not in told
    assert running.returncode == 1
    assert time.monotonic() - began < 15
