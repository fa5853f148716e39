"""`gempool batch` and the places of its results: files, folders of pictures, standard output."""

import base64
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes.batchcalls import (
    GEMPOOL,
    HANG,
    ID,
    KEY,
    PNG,
    Gateway,
    batch,
    done,
    environment,
    link,
    progress,
    rows,
    standing,
    text,
)


def test_pictures_are_saved(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """Under the batch's mark, the task's number and the caller's id with the ending that they are; the key does not go along. One that is gone is
    told, costs the others nothing, and makes the exit code 1."""
    broken = iter([(200, {"content-length": str(len(PNG) + 9)}, PNG), (503, {}, b""), (200, {}, PNG)])
    gateway.gets |= {
        f"/v1/batch/{ID}/status?offset=0&limit=1": (
            200,
            {},
            standing(3, 3, results=[{"url": "x"}], errors=[]),
        ),
        "/files/a.png": PNG,
        "/files/b.png": lambda: next(broken),
    }
    urls = [f"{gateway.url}/files/{name}.png" for name in "abc"]
    gateway.streams = [[link(n + 1, n, url) for n, url in enumerate(urls)] + [done(3)]]
    folder = tmp_path / "new" / "pictures"
    out = tmp_path / "out.jsonl"
    ran = batch(
        tmp_path, "run", prompts, "--images", "--size", "1024x1024", "--upscale", "--save", folder, "--out", out,
        "--url", gateway.url, API_KEY=KEY,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["atch_1-00000.png", "atch_1-00001_hare-1.png"]
    assert all(path.read_bytes() == PNG for path in folder.iterdir())
    assert [row.get("file") for row in rows(out.read_text())] == [
        str(folder / "atch_1-00000.png"), str(folder / "atch_1-00001_hare-1.png"), None,
    ]  # fmt: skip
    assert "The picture of task 2 is not saved: its link answers HTTP 404." in ran.stderr
    assert gateway.bodies[0]["size"] == "1024x1024"
    assert gateway.bodies[0]["upscale"] is True
    assert all(
        "authorization" not in headers
        for asked, headers in zip(gateway.asked, gateway.headers, strict=True)
        if "/files/" in asked
    )


def test_pictures_as_data(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """Events tell links of them; the data are read in small pages once all is done, one line each, and can be saved."""
    data = "data:image/png;base64," + base64.b64encode(PNG).decode()
    results = [{"task_id": f"{ID}-{n}", "index": n, "tries": 1, "image": data} for n in range(2)] + [
        {
            "task_id": f"{ID}-2",
            "index": 2,
            "tries": 1,
            "image": None,
            "url": "/gone",
            "message": "It is gone.",
        }
    ]
    status = f"/v1/batch/{ID}/status"
    gateway.gets |= {
        f"{status}?offset=0&limit=1": (200, {}, standing(1, 3, results=results[:1], errors=[])),
        f"{status}?offset=0&limit=2": (
            200,
            {},
            standing(3, 3, results=results[:2], errors=[], next_offset=2),
        ),
        f"{status}?offset=2&limit=2": (200, {}, standing(3, 3, results=results[2:], errors=[])),
    }
    gateway.streams = [[link(n + 1, n, f"{gateway.url}/files/{n}.png") for n in range(3)] + [done(3)]]
    folder = tmp_path / "pictures"
    ran = batch(
        tmp_path,
        "run",
        prompts,
        "--images",
        "--response-type",
        "base64",
        "--save",
        folder,
        "--url",
        gateway.url,
    )
    assert gateway.bodies[0]["response_type"] == "base64"
    assert [row["image"] for row in rows(ran.stdout)] == [data, data, None]
    assert sorted(path.name for path in folder.iterdir()) == ["atch_1-00000.png", "atch_1-00001_hare-1.png"]
    assert ran.returncode == 1
    assert "The picture of task 2 is not saved" in ran.stderr


def test_what_is_no_picture_is_not_saved(gateway: Gateway, tmp_path: Path) -> None:
    """A page that a proxy puts in a picture's place leaves no file."""
    gateway.gets |= {
        f"/v1/batch/{ID}/status?offset=0&limit=1": (
            200,
            {},
            standing(1, 1, results=[{"url": "x"}], errors=[]),
        ),
        "/files/a.png": b"<html>sign in</html>",
    }
    gateway.streams = [[link(1, 0, f"{gateway.url}/files/a.png"), done(1)]]
    ran = batch(tmp_path, "run", "-", "--images", "--save", "here", "--url", gateway.url, told='"a"')
    assert ran.returncode == 1
    assert "no picture" in ran.stderr
    assert list((tmp_path / "here").iterdir()) == []


def test_places_that_cannot_be_written(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """Told with the option before anything is sent; the file of prompts is never written over."""
    before = prompts.read_text()
    (tmp_path / "file").write_text("in the way")
    for options, words in (
        (["--out", prompts], "holds the prompts"),
        (["--out", tmp_path / "nowhere" / "out.jsonl"], "--out: "),
        (["--save", tmp_path / "file"], "--save: "),
    ):
        ran = batch(tmp_path, "run", prompts, "--images", *options, "--url", gateway.url)
        assert ran.returncode == 2
        assert words in ran.stderr
    ran = batch(tmp_path, "run", tmp_path / "missing.jsonl", "--chat", "--url", gateway.url)
    assert (ran.returncode, "cannot be read" in ran.stderr) == (2, True)
    assert prompts.read_text() == before
    assert gateway.asked == []


def stored(gateway: Gateway, *names: str) -> None:
    """Links to pictures in the events, one a task, that are there to be downloaded."""
    told = standing(1, 1, results=[{"url": "x"}], errors=[])
    gateway.gets |= {f"/v1/batch/{ID}/status?offset=0&limit=1": (200, {}, told)}
    gateway.gets |= {f"/files/{name}.png": PNG for name in names}
    urls = [f"{gateway.url}/files/{name}.png" for name in names]
    gateway.streams = [[link(n + 1, n, url) for n, url in enumerate(urls)] + [done(len(names))]]
    gateway.gets[f"/v1/batch/{ID}/status?limit=0"] = (200, {}, standing(0, len(names), kind="images"))


def downloads(gateway: Gateway) -> list[str]:
    return [asked for asked in gateway.asked if "/files/" in asked]


def test_one_folder_holds_pictures_of_several_batches(gateway: Gateway, tmp_path: Path) -> None:
    """Those of another batch are left alone; those of this one that are there are not downloaded again, whatever id they bear."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "0f3fa9-00000.png").write_bytes(b"another's")
    (folder / "00000.png").write_bytes(b"somebody's")
    (folder / "atch_1-00001.png").write_bytes(b"")  # of a machine that lost its power
    stored(gateway, "a", "b")
    told = '{"prompt": "a", "id": "fox"}\n"b"'
    ran = batch(tmp_path, "run", "-", "--images", "--save", "pictures", "--url", gateway.url, told=told)
    assert ran.returncode == 0, ran.stderr
    ours = ["pictures/atch_1-00000_fox.png", "pictures/atch_1-00001.png"]
    assert [row["file"] for row in rows(ran.stdout)] == ours
    assert [(tmp_path / name).read_bytes() == PNG for name in ours] == [True, True]
    assert (folder / "0f3fa9-00000.png").read_bytes() == b"another's"
    assert (folder / "00000.png").read_bytes() == b"somebody's"
    ran = batch(tmp_path, "watch", ID, "--save", "pictures", "--url", gateway.url)
    assert [row["file"] for row in rows(ran.stdout)] == ours
    assert downloads(gateway) == ["GET /files/a.png", "GET /files/b.png"]


def test_results_are_not_written_over_unasked(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """A file that holds something is refused before anything is sent, and --overwrite lets it be used; an empty one is no loss."""
    out = tmp_path / "results.jsonl"
    out.write_text("precious\n")
    gateway.streams = [[text(1, 0), text(2, 1), text(3, 2), done(3)]]
    gateway.gets[f"/v1/batch/{ID}/status?limit=0"] = (200, {}, standing(3, 3))
    for verb in (["run", prompts, "--chat"], ["run", prompts, "--model", "m"], ["watch", ID]):
        ran = batch(tmp_path, *verb, "--out", out, "--url", gateway.url)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert f"--out: {out} is there and not empty" in ran.stderr
        assert "--overwrite" in ran.stderr
    assert gateway.asked == []
    assert out.read_text() == "precious\n"
    again = ["run", prompts, "--chat", "--idempotency-key", "mine", "--url", gateway.url]
    for _ in range(2):
        assert batch(tmp_path, *again, "--out", out, "--overwrite").returncode == 0
        assert [row["index"] for row in rows(out.read_text())] == [0, 1, 2]
    (tmp_path / "empty").touch()
    assert batch(tmp_path, *again, "--out", "empty").returncode == 0
    assert batch(tmp_path, *again, "--out", os.devnull).returncode == 0


@pytest.mark.parametrize("to", ["file", "standard output"])
def test_results_that_cannot_be_written(gateway: Gateway, prompts: Path, tmp_path: Path, to: str) -> None:
    """A full disk: what is missing, that the batch goes on, and how it is taken up; exit code 2 and nothing of Python's."""
    gateway.streams = [[progress(0, 3), text(1, 2), text(2, 0), HANG]]
    command = [GEMPOOL, "batch", "run", prompts, "--chat", "--url", gateway.url]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*command, "--out", "/dev/full"] if to == "file" else command,
            env=environment(), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False, text=True,
        )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    name = "/dev/full" if to == "file" else to
    assert (
        f"cannot be written to {name}: No space left on device. What is missing begins with task 2."
        in ran.stderr
    )
    assert "The batch goes on without this command." in ran.stderr
    options = "--out /dev/full --overwrite " if to == "file" else ""
    assert f"  gempool batch watch {ID} --file {prompts} {options}--url {gateway.url}  " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception" not in ran.stderr


@pytest.mark.parametrize("verb", ["list", "cancel", "detach", "json"])
def test_what_a_verb_prints_cannot_be_written(gateway: Gateway, tmp_path: Path, verb: str) -> None:
    """One sentence and exit code 2; the id of a batch that was made is told all the same."""
    gateway.gets |= {
        "/v1/batch?limit=20": (200, {}, {"batches": []}),
        f"DELETE /v1/batch/{ID}": (200, {}, standing(0, 1)),
    }
    gateway.streams = [[text(1, 0), done(1)]]
    run = ["run", "-", "--chat"]
    arguments = {
        "list": ["list"],
        "cancel": ["cancel", ID],
        "detach": [*run, "--detach"],
        "json": [*run, "--json"],
    }
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [GEMPOOL, "batch", *arguments[verb], "--url", gateway.url], env=environment(), cwd=tmp_path,
            input='"a"', stdout=full, stderr=subprocess.PIPE, timeout=60, check=False, text=True,
        )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.splitlines()[-1] == "Standard output cannot be written: No space left on device."
    assert "Traceback" not in ran.stderr
    assert (f"gempool batch watch {ID}" in ran.stderr) == (verb == "detach")


def test_a_disk_that_fills_up_with_pictures(gateway: Gateway, tmp_path: Path) -> None:
    """No half of a picture stays; the picture is named with what the folder's fault is, and how the batch is taken up."""
    stored(gateway, "a")
    (tmp_path / "one.jsonl").write_text('"a"')
    ran = subprocess.run(
        ["bash", "-c", 'ulimit -f 64; exec "$@"', "bash", GEMPOOL, "batch", "run", "one.jsonl", "--images",
         "--save", "here", "--url", gateway.url],
        env=environment(), cwd=tmp_path, capture_output=True, timeout=60, check=False, text=True,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    assert "here cannot be written: File too large. The picture of task 0 is not saved." in ran.stderr
    assert f"  gempool batch watch {ID} --file one.jsonl --save here --url {gateway.url}  " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list((tmp_path / "here").iterdir()) == []


def test_places_that_are_removed_meanwhile(gateway: Gateway, tmp_path: Path) -> None:
    """A folder or a file that goes while the batch runs is told, not written past."""
    stored(gateway, "a")

    def swept() -> tuple[int, dict[str, str], bytes]:
        shutil.rmtree(tmp_path / "here")
        return 200, {}, PNG

    gateway.gets["/files/a.png"] = swept
    ran = batch(tmp_path, "run", "-", "--images", "--save", "here", "--url", gateway.url, told='"a"')
    assert ran.returncode == 2
    assert (
        "here cannot be written: No such file or directory. The picture of task 0 is not saved." in ran.stderr
    )

    def swept_before() -> tuple[int, dict[str, str], bytes]:
        (tmp_path / "out.jsonl").unlink()
        return 200, {}, PNG

    gateway.gets["/files/a.png"] = swept_before
    options = ["--save", "here", "--out", "out.jsonl"]
    ran = batch(tmp_path, "run", "-", "--images", *options, "--url", gateway.url, told='"a"')
    assert ran.returncode == 2
    assert "The results cannot be written to out.jsonl: it has been removed." in ran.stderr


def test_pictures_as_data_that_cannot_be_written(gateway: Gateway, tmp_path: Path) -> None:
    """They are written when the batch has ended, so nothing of it goes on; its results are kept."""
    stored(gateway, "a")
    data = "data:image/png;base64," + base64.b64encode(PNG).decode()
    results = [{"task_id": f"{ID}-0", "index": 0, "tries": 1, "image": data}]
    told = (200, {}, standing(1, 1, results=results, errors=[]))
    gateway.gets |= {f"/v1/batch/{ID}/status?offset=0&limit={n}": told for n in (1, 2)}
    ran = batch(tmp_path, "watch", ID, "--out", "/dev/full", "--url", gateway.url)
    assert ran.returncode == 2
    assert (
        f"The batch has ended, and the gateway keeps its results:\n  gempool batch watch {ID} " in ran.stderr
    )


def test_lines_and_ids_are_taken_from_the_file_again(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """What --detach and Ctrl-C name for a file of prompts gives the results that watching all along would have given."""
    gateway.gets[f"/v1/batch/{ID}/status?limit=0"] = (200, {}, standing(0, 3))
    gateway.streams = [[text(1, 1), text(2, 0), text(3, 2), done(3)]]
    named = prompts.rename(tmp_path / "my prompts.jsonl").name
    options = ["--chat", "--out", "out.jsonl", "--url", gateway.url]
    ran = batch(tmp_path, "run", named, *options, "--detach")
    assert (ran.returncode, ran.stdout) == (0, f"{ID}\n")
    (hint,) = [line for line in ran.stderr.splitlines() if "batch watch" in line]
    command = shlex.split(hint.rpartition("    ")[0])
    assert command[:8] == ["gempool", "batch", "watch", ID, "--file", named, "--out", "out.jsonl"]
    assert "--overwrite" not in command
    assert batch(tmp_path, *command[2:]).returncode == 0
    assert [(row["index"], row["line"], row.get("id")) for row in rows((tmp_path / "out.jsonl").read_text())] == [
        (1, 3, "hare/1"), (0, 1, None), (2, 4, 7),
    ]  # fmt: skip


def test_a_file_that_the_batch_was_not_made_of(gateway: Gateway, prompts: Path, tmp_path: Path) -> None:
    """Another number of prompts, bad lines, none at all: said, and nothing is written over."""
    gateway.gets[f"/v1/batch/{ID}/status?limit=0"] = (200, {}, standing(0, 2))
    out = tmp_path / "out.jsonl"
    out.write_text("of before\n")
    (tmp_path / "bad.jsonl").write_text("fox\n")
    for file, words in (
        (prompts, f"--file: {prompts} has prompts for 3 tasks and the batch has 2"),
        ("bad.jsonl", "bad.jsonl:1: is no JSON"),
        ("missing.jsonl", "missing.jsonl cannot be read"),
    ):
        ran = batch(tmp_path, "watch", ID, "--file", file, "--out", out, "--overwrite", "--url", gateway.url)
        assert ran.returncode == 2
        assert words in ran.stderr
    ran = batch(
        tmp_path, "watch", ID, "--file", prompts, "--out", prompts, "--overwrite", "--url", gateway.url
    )
    assert (ran.returncode, "holds the prompts" in ran.stderr) == (2, True)
    ran = batch(tmp_path, "watch", ID, "--save", "here", "--url", gateway.url)
    assert (ran.returncode, "--save is for pictures" in ran.stderr) == (2, True)
    assert out.read_text() == "of before\n"
