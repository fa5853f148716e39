"""deploy/backup.sh, with a stand-in for `docker`: what it asks for, and what is left where it is cut short."""

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.deploy.composing import ROOT
from tests.fakes.server import until

# Notes each call; the project's config/ is mounted, the other folders are words. A pipe called `hold` holds certificates up.
DOCKER = """#!/bin/sh
echo "$*" >>calls
case "$*" in
*"$FAILING"*) exit 1 ;;
"compose run"*"-v $PWD/config:/mnt:ro valkey -C /mnt"*) exec tar -C config -cf - . ;;
"compose exec -T caddy tar"*) if [ -p hold ]; then : >held; read -r _ <hold; fi ;;
esac
"""
# Whatever ignores a signal hands that on to its children.
LIKE_A_TERMINAL = """
import os, signal, sys
for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
OFF, ON = (f"config set auto-aof-rewrite-percentage {percentage}" for percentage in (0, 100))


class Project:
    """A folder with the script, some files, and a `docker` that comes first on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("deploy", "config", "secrets", "bin"):
            (folder / name).mkdir()
        (folder / "deploy/backup.sh").write_bytes((ROOT / "deploy/backup.sh").read_bytes())
        (folder / "config/accounts.yaml").write_text("accounts: []\n", encoding="utf-8")
        (folder / "secrets/api_key").write_text("one\n", encoding="utf-8")
        (folder / ".env").write_text("BIND=0.0.0.0\n", encoding="utf-8")
        (folder / "bin/docker").write_text(DOCKER, encoding="utf-8")
        (folder / "bin/docker").chmod(0o755)

    def start(self, environment: Mapping[str, str], beside: str = ".") -> "subprocess.Popen[str]":
        given = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "FAILING": "no such call",
            **environment,
        }
        command = [
            sys.executable,
            "-c",
            LIKE_A_TERMINAL,
            "sh",
            str(self.folder / "deploy/backup.sh"),
            "kept/one/",
        ]
        return subprocess.Popen(
            command,
            cwd=self.folder / beside,
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, **environment: str) -> tuple[int, str]:
        """The exit code, and what was said."""
        with self.start(environment) as child:
            said, _ = child.communicate(timeout=30)
            return child.returncode, said

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text(encoding="utf-8").splitlines()

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "kept").iterdir())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_backup_is_whole_before_it_has_its_name(project: Project) -> None:
    """All four archives, for their owner alone; the store writes its file anew again, and nothing is called .partial."""
    code, said = project.run()
    assert code == 0, said
    assert project.kept == ["one"]
    made = project.folder / "kept/one"
    archives = {"valkey.tar", "config.tar", "files.tar", "certificates.tar"}
    assert {path.name for path in made.iterdir()} == archives
    assert {path.stat().st_mode & 0o077 for path in (made, *made.iterdir())} == {0}
    with tarfile.open(made / "config.tar") as archive:
        assert set(archive.getnames()) == {".", "./accounts.yaml"}
    with tarfile.open(made / "files.tar") as archive:
        assert set(archive.getnames()) == {"secrets", "secrets/api_key", ".env"}
    assert OFF in project.calls[0]
    assert ON in project.calls[-1]


@pytest.mark.parametrize("failing", ["valkey tar", "valkey -C /mnt", "caddy tar", "s3 -C /data"])
def test_a_backup_that_fails_looks_like_none(project: Project, failing: str) -> None:
    """Whatever it could not read: it says so, keeps the name .partial, and the services go on."""
    code, said = project.run(FAILING=failing, PICTURES="yes")
    assert code != 0
    assert "Remove kept/one.partial" in said
    assert project.kept == ["one.partial"]
    assert any(ON in call for call in project.calls)
    stopped = "compose stop s3" in project.calls
    assert stopped is failing.startswith("s3")
    assert ("compose start s3" in project.calls) is stopped


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_ends_it_in_good_order(project: Project, number: signal.Signals) -> None:
    """Also in a shell that leaves out the trap of EXIT for it."""
    os.mkfifo(project.folder / "hold")
    with project.start({}) as child:
        until(lambda: (project.folder / "held").exists() or child.poll() is not None)
        child.send_signal(number)
        hold = os.open(project.folder / "hold", os.O_RDWR)  # does not wait for the reader, and stays for it
        os.write(hold, b"\n")
        said, _ = child.communicate(timeout=30)
        os.close(hold)
    assert child.returncode == 128 + number, said
    assert project.kept == ["one.partial"]
    assert ON in project.calls[-1]


def test_a_folder_is_meant_from_where_one_stands(project: Project) -> None:
    """As with any other command, whatever the script's own place is."""
    (project.folder / "elsewhere").mkdir()
    with project.start({}, beside="elsewhere") as child:
        said, _ = child.communicate(timeout=30)
    assert child.returncode == 0, said
    assert (project.folder / "elsewhere/kept/one/config.tar").is_file()
    assert not (project.folder / "kept").exists()


def test_nothing_is_written_over(project: Project) -> None:
    """A folder that is there, whole or not, is named; nothing is asked of the services."""
    assert project.run()[0] == 0
    before = project.calls
    code, said = project.run()
    assert (code, said.strip()) == (1, "kept/one is there already: remove it, or name another folder.")
    assert project.calls == before
