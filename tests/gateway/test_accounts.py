"""`gempool accounts` on a file: what is written, what is refused, and that no cookie is ever shown."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

GEMPOOL = Path(sys.executable).with_name("gempool")
FILE = """\
# ours
accounts:
  - id: alice   # the first
    secure_1psid: "g.a000alice"
    proxy: http://user:pass@10.0.0.5:3128
    tags: [images]
  # bob's
  - id: bob
    secure_1psid: file:bob.psid
    secure_1psidts: ${BOB_TS}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.yaml"
    path.write_text(FILE)
    path.chmod(0o600)
    (tmp_path / "bob.psid").write_text("g.a000bob\n")
    return path


def gempool(path: Path, *arguments: str, told: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [GEMPOOL, "accounts", *arguments],
        env={"PATH": "/usr/bin:/bin", "GEMPOOL_ACCOUNTS_FILE": str(path), "BOB_TS": "sidts-bob", **environ},
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert "Traceback" not in shown
    assert not [secret for secret in ("g.a000", "sidts-", "pass@") if secret in shown]
    return done


def test_import_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The first import makes the file, for its owner alone, and finds an id."""
    path = tmp_path / "config" / "accounts.yaml"
    done = gempool(path, "import", "-", told="__Secure-1PSID=g.a000x; __Secure-1PSIDTS=sidts-x")
    assert done.returncode == 0, done.stderr
    assert "account-1" in done.stdout
    assert path.read_text() == (
        "accounts:\n  - id: account-1\n    secure_1psid: g.a000x\n    secure_1psidts: sidts-x\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["accounts.yaml"]


def test_import_renews_whom_it_knows(path: Path, tmp_path: Path) -> None:
    """The same PSID is the same account; values go where the old ones stand, and the rest stays as it is."""
    done = gempool(path, "import", "-", told="__Secure-1PSID=g.a000alice; __Secure-1PSIDTS=sidts-new")
    assert done.stdout.startswith("alice has new cookies."), done.stderr
    assert path.read_text() == FILE.replace(
        '"g.a000alice"\n', '"g.a000alice"\n    secure_1psidts: sidts-new\n'
    )
    export = tmp_path / "export.json"
    cookies = {"__Secure-1PSID": "g.a000newbob", "__Secure-1PSIDTS": "sidts-newbob"}
    export.write_text(
        json.dumps([{"name": n, "value": v, "domain": ".google.com"} for n, v in cookies.items()])
    )
    before = path.read_text()
    done = gempool(path, "import", str(export), "--id", "bob")
    assert done.returncode == 0, done.stderr
    assert "came from ${BOB_TS}" in done.stdout
    assert (tmp_path / "bob.psid").read_text() == "g.a000newbob\n"
    assert path.read_text() == before.replace("${BOB_TS}", "sidts-newbob")


@pytest.mark.parametrize(
    ("arguments", "told", "words"),
    [
        (
            ["import", "-", "--id", "carol"],
            "__Secure-1PSID=g.a000alice",
            "same cookie as that of account alice",
        ),
        (["import", "-", "--id", "a/b"], "__Secure-1PSID=g.a000x", "--id: must be 1 to 63 letters"),
        (["import", "-"], "__Secure-1PSIDTS=sidts-x", "__Secure-1PSID is missing"),
        (["import", "nowhere.json"], "", "nowhere.json cannot be read"),
        (["remove", "nobody"], "", "no account nobody; the file has alice, bob"),
        (["list", "--url", "127.0.0.1"], "", "such as http://127.0.0.1:8100"),
        (["list", "--url", "http://127.0.0.1:1"], "", "no answer"),
    ],
)
def test_what_is_refused_changes_nothing(path: Path, arguments: list[str], told: str, words: str) -> None:
    """The remedy on standard error, exit code 1, the file as it was."""
    done = gempool(path, *arguments, told=told)
    assert done.returncode == 1
    assert words in done.stderr
    assert path.read_text() == FILE


def test_list_tells_no_secret(path: Path) -> None:
    """Id, enabled, whether it has a way out of its own, tags; the same as JSON."""
    assert gempool(path, "disable", "bob").returncode == 0
    lines = [line.split() for line in gempool(path, "list").stdout.splitlines()]
    assert lines == [
        ["id", "enabled", "egress", "tags"],
        ["alice", "yes", "yes", "images"],
        ["bob", "no", "no"],
    ]
    alice, bob = json.loads(gempool(path, "list", "--json").stdout)
    assert (alice["id"], alice["enabled"], alice["egress"]) == ("alice", True, True)
    assert (bob["id"], bob["enabled"], bob["egress"]) == ("bob", False, False)


def test_enable_disable_and_remove_need_no_environment(path: Path) -> None:
    """Variables that only the gateway has are no reason to refuse; the symlink and the comments stay."""
    real = path.rename(path.with_name("real.yaml"))
    path.symlink_to(real.name)
    disabled = gempool(path, "disable", "bob", BOB_TS="")
    assert disabled.returncode == 0, disabled.stderr
    assert gempool(path, "disable", "bob").stdout == "bob is disabled already.\n"
    assert gempool(path, "enable", "bob").returncode == 0
    assert gempool(path, "remove", "alice").returncode == 0
    assert path.is_symlink()
    assert path.read_text() == (
        "# ours\naccounts:\n  # bob's\n  - id: bob\n    secure_1psid: file:bob.psid\n    enabled: true\n"
        "    secure_1psidts: ${BOB_TS}\n"
    )


def test_the_gateway_is_asked_with_a_key_and_not_with_a_digest(path: Path) -> None:
    """Of the keys that are set the first plain one is sent; a digest in any case is none."""
    with telling(b'{"accounts":[{"id":"alice","state":"active"}]}') as (url, sent):
        keys = {"ADMIN_KEY": "SHA256:" + "ab" * 32, "API_KEY": "Sha256:" + "cd" * 32 + ",plain"}
        done = gempool(path, "list", "--url", url, **keys)
    assert done.returncode == 0, done.stderr
    assert "active" in done.stdout
    assert sent == ["Bearer plain"]


def test_a_gateway_elsewhere_is_asked_without_a_file_here(tmp_path: Path) -> None:
    """Then the accounts are the gateway's, with what it tells; what the file alone knows is left out."""
    told = b'{"accounts":[{"id":"alice","state":"quarantined","reason":"expired"},{"id":"bob","state":"active"}]}'
    nowhere = tmp_path / "accounts.yaml"
    with telling(told) as (url, _):
        lines = gempool(nowhere, "list", "--url", url).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["id", "state"],
        ["alice", "quarantined", "(expired)"],
        ["bob", "active"],
    ]
    with telling(told) as (url, _):
        alice, _ = json.loads(gempool(nowhere, "list", "--json", "--url", url).stdout)
    assert (alice["enabled"], alice["egress"], alice["state"]) == (None, None, "quarantined")
    missing = gempool(nowhere, "list")
    assert missing.returncode == 1
    assert str(nowhere) in missing.stderr


def test_check_counts_as_people_do(path: Path) -> None:
    """One account is one."""
    told = "accounts:\n" + "".join(
        f"  - {{id: a{n}, secure_1psid: g.a000{n}, proxy: 'http://127.0.0.1:1'}}\n" for n in range(2)
    )
    path.write_text(told)
    assert gempool(path, "check").stderr.strip() == "2 of 2 accounts are not well."
    path.write_text("".join(told.splitlines(keepends=True)[:2]))
    assert gempool(path, "check", HOST="0.0.0.0").stderr.strip() == "1 of 1 account is not well."


def test_a_public_address_is_no_hindrance(path: Path) -> None:
    """As in the image, where HOST is 0.0.0.0: nothing listens here, so no API_KEY is needed."""
    assert gempool(path, "list", HOST="0.0.0.0").returncode == 0
    assert gempool(path, "disable", "bob", HOST="0.0.0.0").returncode == 0


@contextmanager
def telling(body: bytes) -> Iterator[tuple[str, list[str | None]]]:
    """A server that answers one request with that: its address, and what came as `authorization`."""
    sent: list[str | None] = []

    class States(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(self.headers["authorization"])
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), States) as server:
        asking = Thread(target=server.handle_request)
        asking.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        asking.join(30)
