"""`gempool doctor`, against real parts that are well and that are not."""

import json
import os
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from access import hashed
from core.clock import SystemClock
from core.secret import Secret
from gateway import check
from gateway import doctor as doctoring
from gateway.client import Reply
from gateway.doctor import Finding, Report, examine
from gateway.doctor.accounts import egress
from gateway.doctor.machine import configuration, files, system
from gateway.doctor.services import PICTURE, linked
from gateway.doctor.store import about, difference, latency, parsed, refusal
from gateway.doctor.upstream import compared
from gateway.settings import Settings, load
from pool import AccountConfig, Shared, load_roster
from simulator import Fault, Simulator
from supervisor.jars import Jars, Seal
from tests.fakes.bark import FakeBark
from tests.fakes.server import serving
from tests.support.ports import free_ports
from tests.support.s3 import ACCESS, BUCKET, SECRET, serving_s3

DAY = "Sun, 22 Nov 2026 02:00:00 GMT"
AT = 1795312800.0


class Patient:
    """A gateway's settings and accounts file over the simulator; `environment` is added to, `ill` is what is not well."""

    def __init__(self, directory: Path, web: Simulator, store: str) -> None:
        self.file = directory / "accounts.yaml"
        self.web = web
        self.list()
        self.environment = {
            "PORT": str(free_ports(1)[0]),
            "API_KEY": "a-key-of-callers",
            "ADMIN_KEY": "the-operators-key",
            "REDIS_URL": store,
            "GEMPOOL_STATE_KEY": "thirty-two words of the state key",
            "GEMPOOL_ACCOUNTS_FILE": str(self.file),
            "GEMPOOL_DATA_DIR": str(directory / "data"),
            "GEMPOOL_UPSTREAM_CA_FILE": str(web.ca_file),
        }

    def list(self, **changes: object) -> None:
        accounts = [
            {key: account[key] for key in ("id", "secure_1psid", "secure_1psidts", "proxy")} | changes
            for account in self.web.accounts
        ]
        self.file.write_text(json.dumps({"accounts": accounts}))
        self.file.chmod(0o600)

    @property
    def settings(self) -> Settings:
        return load(self.environment)

    async def examined(self, push: bool = False) -> Report:
        return await examine(self.settings, SystemClock(), push)


@pytest.fixture
def patient(tmp_path: Path, web: Simulator, empty_valkey: str) -> Patient:
    return Patient(tmp_path, web, empty_valkey)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as url:
        yield url


def ill(report: Report) -> list[Finding]:
    """What is not well, but for what this test's store and machine are like."""
    return [
        finding
        for finding in report.findings
        if finding.level != "ok" and "append-only" not in finding.words and finding.part != "system"
    ]


def of(report: Report, part: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.part == part]


async def test_a_well_gateway(patient: Patient, s3: str) -> None:
    """Every part is looked at, nothing is found, no secret is told, and nothing stays behind."""
    bark = FakeBark("device-1", "device-2")
    with serving(bark) as url:
        patient.environment |= {
            "S3_ENDPOINT": s3,
            "S3_ACCESS_KEY": ACCESS,
            "S3_SECRET_KEY": SECRET,
            "S3_BUCKET": BUCKET,
            "BARK_URL": url,
            "BARK_KEYS": "device-1,device-2",
        }
        report = await patient.examined()
        assert bark.received == []
        assert ill(report) == []
        pushed = await patient.examined(push=True)
    assert [finding.about for finding in of(pushed, "alerts")] == ["device 1", "device 2"]
    assert len(bark.received) == 2
    assert {finding.part for finding in report.findings} == {
        "configuration", "files", "system", "store", "accounts", "pictures", "alerts", "clock", "gateway",
    }  # fmt: skip
    assert {finding.about for finding in of(report, "accounts")} == {
        "",
        "account-1",
        "account-2",
        "account-3",
    }
    text = report.text() + report.json()
    for account in patient.web.accounts:
        for name in ("secure_1psid", "secure_1psidts", "proxy"):
            assert account[name] not in text
    for name in ("API_KEY", "ADMIN_KEY", "GEMPOOL_STATE_KEY", "S3_SECRET_KEY"):
        assert patient.environment[name] not in text
    assert list((patient.settings.data_dir).glob("**/*.png")) == []


async def test_an_ill_account_is_a_warning_while_another_can_serve(patient: Patient) -> None:
    """It is named, with what to do; where all are ill it is a problem."""
    patient.web.set_fault("account-2", Fault("expired"))
    report = await patient.examined()
    (found,) = ill(report)
    assert (found.part, found.about, found.level) == ("accounts", "account-2", "warning")
    assert "expired" in found.words
    assert "by the proxy 127.0.0.1:" in found.words
    assert found.remedy.startswith("Sign in again in a private window")
    for number in (1, 3):
        patient.web.set_fault(f"account-{number}", Fault("expired"))
    assert {finding.level for finding in ill(await patient.examined())} == {"problem"}


async def test_a_certificate_that_nobody_trusts(patient: Patient, tmp_path: Path) -> None:
    """Whatever reads the traffic on its way has a CA of its own: the setting for it is named, by `check` too."""
    patient.environment.pop("GEMPOOL_UPSTREAM_CA_FILE")
    found = [finding for finding in ill(await patient.examined()) if finding.part == "accounts"]
    assert len(found) == 3
    for finding in found:
        assert finding.words.startswith(
            "the TLS certificate is not trusted (curl error 60) (tls); by the proxy"
        )
        assert finding.remedy.startswith("Set GEMPOOL_UPSTREAM_CA_FILE")
    roster = load_roster(patient.file, {})
    assert {look.found for look in await check.check(patient.settings, roster.accounts)} == {"tls"}


async def test_newer_cookies_in_the_store_count(patient: Patient) -> None:
    """The file's have been replaced in the meantime: the doctor asks with those that a gateway would use. What lies there
    under another state key is told."""
    account = patient.web.accounts[0]
    shared = Shared(patient.environment["REDIS_URL"])
    good = {
        "__Secure-1PSID": Secret(account["secure_1psid"]),
        "__Secure-1PSIDTS": Secret(account["secure_1psidts"]),
    }
    patient.list()
    stale = json.loads(patient.file.read_text())
    stale["accounts"] = [stale["accounts"][0] | {"secure_1psidts": "sidts-of-long-ago"}]
    patient.file.write_text(json.dumps(stale))
    config = AccountConfig(account["id"], Secret(account["secure_1psid"]), Secret("sidts-of-long-ago"))
    jars = Jars(shared, Seal(Secret(patient.environment["GEMPOOL_STATE_KEY"])))
    assert await jars.write(config, good, time.time(), "rotation")
    await shared.close()
    assert ill(await patient.examined()) == []

    patient.environment["GEMPOOL_STATE_KEY"] = "thirty-two words of another state key"
    stale["accounts"][0]["enabled"] = False  # the web app never gave out the file's own
    patient.file.write_text(json.dumps(stale))
    told = [finding for finding in ill(await patient.examined()) if "stored cookies" in finding.words]
    assert [(finding.about, finding.level) for finding in told] == [(account["id"], "problem")]
    assert "GEMPOOL_STATE_KEY" in told[0].words


async def test_what_does_not_answer_is_told_part_by_part(patient: Patient) -> None:
    """No store, no object store, no Bark server: each is a problem of its own, and the accounts are looked at all the same."""
    store, objects, bark = free_ports(3)
    patient.environment |= {
        "REDIS_URL": f"redis://:hush@127.0.0.1:{store}/0",
        "S3_ENDPOINT": f"http://127.0.0.1:{objects}",
        "S3_ACCESS_KEY": ACCESS,
        "S3_SECRET_KEY": SECRET,
        "S3_BUCKET": BUCKET,
        "BARK_URL": f"http://user:hush@127.0.0.1:{bark}",
        "BARK_KEYS": "device-hush",
        "GEMPOOL__STORAGE__TIMEOUT": "1s",
    }
    report = await patient.examined()
    assert {finding.part for finding in ill(report)} == {"store", "pictures", "alerts"}
    assert {finding.level for finding in ill(report)} == {"problem"}
    assert all(finding.remedy for finding in ill(report))
    assert f"127.0.0.1:{store}" in ill(report)[0].words
    assert "Connection refused" in ill(report)[0].words
    assert "Errno" not in report.text()
    assert "hush" not in report.text()
    assert [finding.level for finding in of(report, "accounts")] == ["ok"] * 4


async def test_refused_keys_are_told(patient: Patient, s3: str) -> None:
    """The object store is there, and does not know the keys."""
    patient.environment |= {
        "S3_ENDPOINT": s3,
        "S3_ACCESS_KEY": ACCESS,
        "S3_SECRET_KEY": "not-the-secret",
        "S3_BUCKET": BUCKET,
    }
    (found,) = ill(await patient.examined())
    assert (found.part, found.level) == ("pictures", "problem")
    assert "S3_SECRET_KEY" in found.remedy
    assert "not-the-secret" not in found.words + found.remedy


async def test_the_file_of_accounts(patient: Patient) -> None:
    """Others may read it; it is broken; it is empty; it is not there."""
    patient.file.chmod(0o644)
    (found,) = ill(await patient.examined())
    assert (found.part, found.level) == ("files", "warning")
    assert found.remedy == f"Run chmod 600 {patient.file}."
    patient.file.write_text("accounts: [{id: alice, secure_1psid: x, colour: red}]")
    patient.file.chmod(0o600)
    (found,) = ill(await patient.examined())
    assert (found.part, found.level) == ("accounts", "problem")
    assert "colour" in found.words
    patient.file.write_text("accounts: []")
    assert [finding.level for finding in ill(await patient.examined())] == ["problem"]
    patient.file.unlink()
    (found,) = ill(await patient.examined())
    assert found.words == f"{patient.file}: the file does not exist"
    assert "`gempool accounts import FILE --id NAME`" in found.remedy
    patient.file.mkdir()
    (found,) = ill(await patient.examined())
    assert found.words == f"{patient.file}: the file cannot be read: Is a directory"
    assert found.remedy.startswith("Let GEMPOOL_ACCOUNTS_FILE name a file")


async def test_the_embedded_store_is_not_started(patient: Patient) -> None:
    """Where no gateway runs it, it is said so and left alone."""
    patient.environment["REDIS_URL"] = ""
    report = await patient.examined()
    assert ill(report) == []
    folder = patient.settings.data_dir / "store"
    assert of(report, "store")[0].words.endswith(f"none runs in {folder}")
    assert not (patient.settings.data_dir / "store").exists()


class Says:
    """A server that answers everything with one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


async def test_what_answers_in_the_gateways_place(patient: Patient) -> None:
    """Another program on its port is told, and a server that is no Bark server as well."""
    for body in (b'{"status":"ok","accounts":3}', b'{"accounts":null}', b"<html>", b"[]"):
        with serving(Says(body)) as url:
            patient.environment["PORT"] = url.rpartition(":")[2]
            (found,) = ill(await patient.examined())
        assert found.words == f"something else answers on {url} (HTTP 200)"
    bark = FakeBark("device-1")
    with serving(bark) as url:
        patient.environment |= {
            "PORT": url.rpartition(":")[2],
            "BARK_URL": f"{url}/other",
            "BARK_KEYS": "device-1",
        }
        told = {finding.part: finding.words for finding in ill(await patient.examined())}
    assert "something else answers" in told["gateway"]
    assert "no Bark server" in told["alerts"]


async def test_a_bark_server_that_refuses(patient: Patient) -> None:
    """What it answered is told; only 401 asks for a user and a password."""
    bark = FakeBark("device-1")
    with serving(bark) as url:
        patient.environment |= {"BARK_URL": url, "BARK_KEYS": "device-1"}
        for status, words in (
            (403, "refuses (HTTP 403: not for you)"),
            (401, "asks for a user and a password"),
        ):
            bark.turn_away = (status, "not for you")
            (found,) = ill(await patient.examined())
            assert (found.part, found.level) == ("alerts", "problem")
            assert words in found.words


@pytest.mark.parametrize(
    ("key", "warned"), [("root", True), ("x" * 15, True), ("x" * 16, False), (hashed(Secret("root")), False)]
)
def test_an_admin_key_that_might_be_guessed_is_told(key: str, warned: bool) -> None:
    """Without showing it; of a digest nobody knows how long the key is."""
    told = [finding for finding in configuration(load({"ADMIN_KEY": key})) if "ADMIN_KEY" in finding.words]
    assert [finding.level for finding in told] == ["warning"] * warned
    assert all("keys new" in finding.remedy and "root" not in finding.words for finding in told)


def test_settings_that_contradict_nothing_but_should_be_looked_at() -> None:
    """Nobody can sign in, everybody may claim any address, cookies lie open in a shared store, a setting has no effect."""
    settings = load(
        {
            "API_KEY": "one",
            "REDIS_URL": "redis://127.0.0.1:6379",
            "GEMPOOL__SERVER__TRUSTED_PROXIES": "0.0.0.0/0",
            "GEMPOOL__STORAGE__KIND": "local",
            "S3_ENDPOINT": "http://s3:8333",
        }
    )
    told = [finding for finding in configuration(settings) if finding.level == "warning"]
    assert len(told) == 4
    for word, finding in zip(
        ("S3_ENDPOINT", "ADMIN_KEY", "trusted_proxies", "GEMPOOL_STATE_KEY"), told, strict=True
    ):
        assert word in finding.words
        assert finding.remedy
    (short,) = [
        finding
        for finding in configuration(load({"GEMPOOL_STATE_KEY": "hush" * 7}))
        if finding.level == "warning"
    ]
    assert "GEMPOOL_STATE_KEY has fewer than 32 characters" in short.words
    assert "hush" not in short.words + short.remedy
    open_to_all = load({"HOST": "0.0.0.0"}, listens=False)
    assert [finding.level for finding in configuration(open_to_all)] == ["ok", "problem"]
    assert "API_KEY is not set" in configuration(open_to_all)[1].words
    assert configuration(open_to_all)[1].remedy.startswith("Set API_KEY")
    anonymous = load({"HOST": "0.0.0.0", "GEMPOOL_ALLOW_ANONYMOUS": "true"})
    assert "everybody" in configuration(anonymous)[1].words


def test_files_and_folders_of_the_machine(tmp_path: Path) -> None:
    """A secret's file that others may change, and a data folder that is none."""
    key = tmp_path / "key"
    key.write_text("secret")
    environment = {"ADMIN_KEY_FILE": str(key), "GEMPOOL_DATA_DIR": str(key / "data")}
    key.chmod(0o444)
    assert files(load(environment), environment) == []
    key.chmod(0o666)
    (found,) = files(load(environment), environment)
    assert (found.about, found.remedy) == ("ADMIN_KEY_FILE", f"Run chmod go-w {key}")
    data = system(load(environment))[0]
    assert (data.part, data.level) == ("files", "problem")
    assert str(os.getuid()) in data.remedy


def test_a_store_that_will_not_do() -> None:
    """Too old, a replica, forgetful, full, without a disk: each is told with its remedy."""
    well = {"redis_version": "7.2.4", "valkey_version": "9.1.0", "role": "master", "aof_enabled": "1"}
    assert [finding.level for finding in about(well, "s:1")] == ["ok", "ok"]
    assert about(well, "s:1")[0].words == "Valkey 9.1.0 at s:1"
    for change, word in (
        ({"redis_version": "6.2.1", "valkey_version": ""}, "too old"),
        ({"role": "slave"}, "takes no writes"),
        ({"aof_enabled": "0"}, "no append-only file"),
        ({"aof_last_write_status": "err"}, "aof_last_write_status"),
        ({"maxmemory": "100", "maxmemory_policy": "allkeys-lru"}, "throws keys away"),
        ({"maxmemory": "100", "used_memory": "95"}, "95%"),
    ):
        (found,) = [f for f in about(well | change, "s:1") if f.level != "ok"]
        assert word in found.words
        assert found.remedy
    assert parsed("# Server\r\nredis_version:7.2.4\r\n\r\n# Memory\r\nmaxmemory:0\r\n") == {
        "redis_version": "7.2.4",
        "maxmemory": "0",
    }
    assert [latency(seconds).level for seconds in (0.001, 0.05)] == ["ok", "warning"]
    assert "password" in refusal("s:1", "NOAUTH Authentication required.").remedy
    assert "hush" not in refusal("s:1", "ERR unknown command 'hush'").words


def test_clocks_are_compared() -> None:
    """A little is nothing, some seconds are told, minutes are a problem; in both directions."""
    assert [difference(ahead)[0].level for ahead in (0.1, -30, 4000)] == ["ok", "warning", "problem"]
    assert "behind" in difference(-30)[0].words
    assert formatdate(AT, usegmt=True) == DAY
    assert [compared(DAY, AT + ahead).level for ahead in (1, 60, -4000)] == ["ok", "warning", "problem"]
    assert "4000 s behind" in compared(DAY, AT - 4000).words
    assert compared("", AT).level == compared("soon", AT).level == "ok"


def test_links_to_pictures() -> None:
    """Read as callers read them, where that can be told from here."""
    environment = {
        "S3_ENDPOINT": "http://s3:8333",
        "S3_ACCESS_KEY": "a",
        "S3_SECRET_KEY": "b",
        "S3_BUCKET": "pictures",
    }
    outer = load(environment | {"S3_PUBLIC_URL": "https://gateway.example.com/pictures"})
    local = load(environment | {"S3_PUBLIC_URL": "http://localhost:8080/pictures"})
    assert linked(outer, Reply(200, PICTURE)).level == "ok"
    assert linked(outer, Reply(403, b"")).level == "warning"
    assert linked(outer, Reply(0, b"refused")).level == "warning"
    assert linked(local, Reply(0, b"refused")).level == "ok"


def test_a_proxy_is_named_without_its_password() -> None:
    """Where an account's traffic leaves can be shown to anybody."""
    account = AccountConfig("alice", Secret("x"), proxy=Secret("socks5://user:hush@10.0.0.5:1080"))
    assert egress(account) == "by the proxy 10.0.0.5:1080"
    assert egress(structs.replace(account, proxy=None)) == "by this machine's own address"


def test_what_is_printed_and_the_exit_code(tmp_path: Path) -> None:
    """The worst decides: 0, 1 or 2. In JSON everything can be read by a program; wrong settings are findings, too."""
    fine, odd = Finding("store", "ok", "is there"), Finding("files", "warning", "is odd", "Mend it.", "KEY")
    bad = Finding("store", "problem", "is away", "Start it.")
    assert [Report.of(found).exit_code for found in ([fine], [odd, fine], [bad, odd])] == [0, 1, 2]
    assert Report.of([fine]).text() == "ok       store: is there\n\nAll is well."
    assert Report.of([odd, bad]).text().splitlines() == [
        "warning  files: KEY: is odd",
        "         -> Mend it.",
        "problem  store: is away",
        "         -> Start it.",
        "",
        "1 problem, 1 warning.",
    ]
    text, code = doctoring.doctor(
        {"config_file": str(tmp_path / "none.yaml"), "accounts_file": "x"}, True, False
    )
    told = json.loads(text)
    assert (code, told["level"]) == (2, "problem")
    assert "none.yaml" in told["findings"][0]["words"]
