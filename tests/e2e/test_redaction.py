"""Real-looking cookies and keys on every way in: nothing of them comes out anywhere."""

import base64
import json
import secrets
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.support.processes import GEMPOOL, Gateways, Web, simulating, wait_for

BROKEN = "the accounts file is broken; the running accounts are kept"


def psid() -> str:
    return "g.a000" + secrets.token_urlsafe(108)


def psidts() -> str:
    return "sidts-" + secrets.token_urlsafe(60)


class Bag:
    """The secrets of a test, and the places that were looked at."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.seen: list[str] = []

    def put(self, name: str, word: str) -> str:
        """Remember a secret. It is found again by its middle too, and in the spellings that programs give it."""
        self.words[name] = word
        return word

    def found_in(self, text: str) -> set[str]:
        """The secrets of which the text has a telling part."""
        found = set()
        for name, word in self.words.items():
            middle = word[len(word) // 4 : len(word) // 4 + 24]
            encoded = base64.b64encode(word.encode()).decode()[8:32]
            if any(part in text for part in (word, middle, urllib.parse.quote(middle), encoded)):
                found.add(name)
        return found

    def check(self, where: str, text: str) -> None:
        self.seen.append(where)
        assert self.found_in(text) == set(), where


def everything_in(url: str) -> Iterator[tuple[str, str]]:
    """All that a store holds, as text: names and values."""
    with redis.Redis.from_url(url) as store:
        for key in store.scan_iter():
            kind = store.type(key).decode()
            read: Any = {
                "string": store.get,
                "hash": store.hgetall,
                "list": lambda key: store.lrange(key, 0, -1),
                "set": store.smembers,
                "zset": lambda key: store.zrange(key, 0, -1, withscores=True),
                "stream": store.xrange,
                "none": lambda key: "gone meanwhile",
            }[kind]
            yield key.decode(), f"{key!r} {read(key)!r}"


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A simulator of its own: strangers' cookies are what the shared one is to complain of."""
    with simulating(tmp_path_factory.mktemp("web"), accounts=5) as web:
        yield web


def issued(web: Web, bag: Bag) -> dict[str, dict[str, str]]:
    """The accounts' cookies as they are by now."""
    found = web.call("GET", "/accounts")
    accounts = found["accounts"] if isinstance(found, dict) else found
    for account in accounts:
        for field in ("secure_1psid", "secure_1psidts"):
            bag.put(f"{account['id']} {account[field][-6:]}", account[field])
    return {
        account["id"]: {
            "__Secure-1PSID": account["secure_1psid"],
            "__Secure-1PSIDTS": account["secure_1psidts"],
        }
        for account in accounts
    }


def exported(values: dict[str, str]) -> dict[str, Any]:
    """The same cookies as every exporter writes them."""
    listed = [{"name": k, "value": v, "domain": ".google.com", "path": "/"} for k, v in values.items()]
    lines = [f".google.com\tTRUE\t/\tTRUE\t2000000000\t{k}\t{v}" for k, v in values.items()]
    return {
        "list": listed,
        "json text": json.dumps(listed),
        "netscape": "# Netscape HTTP Cookie File\n" + "\n".join(lines),
        "header": "; ".join(f"{k}={v}" for k, v in values.items()),
        "broken json": json.dumps(listed)[:-9],
        "wrong domain": [{**cookie, "domain": "example.com"} for cookie in listed],
        "unknown names": [{**cookie, "name": "other"} for cookie in listed],
        "nonsense": " ".join(values.values()),
    }


@pytest.mark.timeout(300)  # it goes through every door
def test_nothing_secret_comes_out_anywhere(web: Web, empty_valkey: str, tmp_path: Path) -> None:
    """A gateway at debug level, fed through its files, its environment and every door of its API: not in its log, its
    answers, its metrics, the store, or any file but the accounts file."""
    with ExitStack() as closing:
        _feed(web, empty_valkey, tmp_path, closing)


def _feed(web: Web, store: str, folder: Path, closing: ExitStack) -> None:
    gateways = Gateways(folder, web)
    closing.callback(gateways.end)
    bag = Bag()
    for account in web.accounts:
        bag.put(f"{account['id']} psid", account["secure_1psid"])
        bag.put(f"{account['id']} psidts", account["secure_1psidts"])
        password = urllib.parse.urlsplit(account["proxy"]).password
        assert password
        bag.put(f"{account['id']} proxy", password)
    accounts = gateways.accounts_file(3)
    entries = json.loads(accounts.read_text())["accounts"]
    dead = bag.put("dead proxy", secrets.token_urlsafe(24))
    entries.append(
        {
            "id": "nowhere",
            "secure_1psid": bag.put("nowhere psid", psid()),
            "secure_1psidts": bag.put("nowhere psidts", psidts()),
            "proxy": f"http://user:{dead}@127.0.0.1:1",
        }
    )
    stranger = {"id": "stranger", "proxy": entries[0]["proxy"]}
    stranger |= {
        "secure_1psid": bag.put("strange psid", psid()),
        "secure_1psidts": bag.put("strange psidts", psidts()),
    }
    accounts.write_text(json.dumps({"accounts": [*entries, stranger]}))
    api, admin = (
        bag.put("api key", secrets.token_urlsafe(32)),
        bag.put("admin key", secrets.token_urlsafe(32)),
    )
    gateway = gateways.start(
        accounts,
        REDIS_URL=store,
        API_KEY=api,
        ADMIN_KEY=admin,
        GEMPOOL_STATE_KEY=bag.put("state key", secrets.token_urlsafe(32)),
        BARK_URL=f"http://bark:{bag.put('bark password', secrets.token_urlsafe(24))}@127.0.0.1:1",
        BARK_KEYS=bag.put("bark key", secrets.token_urlsafe(24)),
        S3_ENDPOINT="http://127.0.0.1:1",
        S3_BUCKET="pictures",
        S3_ACCESS_KEY=bag.put("s3 access key", secrets.token_urlsafe(24)),
        S3_SECRET_KEY=bag.put("s3 secret key", secrets.token_urlsafe(24)),
        gempool__server__log_level="debug",
        gempool__supervisor__probe_interval="1s",
        gempool__supervisor__rotate_interval="1s",
        gempool__supervisor__reprobe_first="1s",
    ).listening()
    http = closing.enter_context(httpx.Client(base_url=gateway.url, timeout=30))
    wait_for(lambda: http.get("/ready").status_code == 200, what=gateway.log)

    def send(where: str, method: str, path: str, **options: Any) -> httpx.Response:
        answer = http.request(method, path, **options)
        bag.check(f"{where}: {answer.status_code}", f"{answer.headers!r}\n{answer.text}")
        return answer

    operator, caller = {"x-admin-key": admin}, {"authorization": f"Bearer {api}"}
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    # keys, right and wrong, wherever one can be
    wrong = bag.put("wrong key", "gp-" + secrets.token_urlsafe(32))
    for headers in (
        {"authorization": f"Bearer {wrong}"},
        {"authorization": f"Basic {base64.b64encode(f'u:{wrong}'.encode()).decode()}"},
        {"authorization": wrong},
        {"x-api-key": wrong},
        {"x-goog-api-key": wrong},
        {"x-admin-key": wrong},
        {"cookie": f"__Secure-1PSID={bag.put('callers psid', psid())}"},
        {"x-request-id": wrong},
    ):
        for path in ("/v1/models", "/v1beta/models", "/metrics", "/health", "/nope"):
            answer = http.get(path, headers=headers)
            told = dict(answer.headers)
            if "x-request-id" in headers:
                told.pop("x-request-id")  # what the caller chose for it is handed back
            bag.check(f"{path} with {next(iter(headers))}", f"{told!r}\n{answer.text}")
    for path in ("/v1/models", "/v1beta/models", "/v1/chat/completions", "/metrics", "/nope", "/health"):
        for key in (wrong, api, admin):
            send(f"{path}?key=", "GET", path, params={"key": key})
            send(f"POST {path}?key=", "POST", path, params={"key": key}, json=chat)
    # cookies, good and bad, in every form
    jar = {
        name: bag.put(f"jar {name}", secrets.token_urlsafe(40))
        for name in ("SAPISID", "HSID", "SSID", "__Secure-3PSID")
    }
    fresh = {
        "__Secure-1PSID": bag.put("bad psid", psid()),
        "__Secure-1PSIDTS": bag.put("bad psidts", psidts()),
    }
    one = web.accounts[0]
    for headers in (operator, caller):
        for name, form in exported({**fresh, **jar}).items():
            send(
                f"new cookies, {name}",
                "POST",
                "/api/cookies",
                headers=headers,
                json={"account": "account-1", "cookies": form},
            )
        for body in (
            {"account": "account-1", "secure_1psid": fresh["__Secure-1PSID"]},
            {"account": "account-1", "secure_1psid": fresh["__Secure-1PSID"] + "; x", "secure_1psidts": "\n"},
            {"account": fresh["__Secure-1PSID"], "secure_1psid": "x"},
            {"account": "account-1", "secure_1psid": [fresh["__Secure-1PSID"]]},
            {"account": "account-1", fresh["__Secure-1PSID"]: "x"},
            {"account": "account-1", "secure_1psid": fresh["__Secure-1PSID"], "cookies": jar},
            [fresh],
        ):
            send("new cookies, malformed", "POST", "/api/cookies", headers=headers, json=body)
        raw = json.dumps({"account": "account-1", **fresh})
        for text in (raw[:-1], raw.replace(":", ""), raw[10:], f'"{raw}"'):
            send("new cookies, no JSON", "POST", "/api/cookies", headers=headers, content=text)
    send(
        "another's cookies",
        "POST",
        "/api/cookies",
        headers=operator,
        json={"account": "account-1", "cookies": exported(issued(web, bag)["account-4"])["header"]},
    )
    kept = send(
        "new cookies",
        "POST",
        "/api/cookies",
        headers=operator,
        json={"account": "account-1", "cookies": exported({**issued(web, bag)["account-1"], **jar})["list"]},
    )
    assert kept.json()["kept"] is True, kept.text
    # answers, whole and streamed, well and failing
    for fault in ("ok", "http_429", "error_1013", "expired", "garbage"):
        if fault != "ok":
            web.fault("account-2", fault)
        for stream in (False, True):
            send(
                f"chat, {fault}",
                "POST",
                "/v1/chat/completions",
                headers=caller,
                json={**chat, "stream": stream},
            )
        send(
            f"picture, {fault}",
            "POST",
            "/v1/images/generations",
            headers=caller,
            json={"prompt": "a cat", "response_format": "url", "size": "1024x1024"},
        )
    # secrets of the operator's in places where a caller's text goes
    for path, body in (
        ("/v1/chat/completions", {"model": one["secure_1psid"], **chat}),
        ("/v1/generate", {"prompt": "x", "model": wrong}),
        ("/v1/images/edits", {"prompt": "x", "image": f"http://u:{dead}@127.0.0.1/a.png"}),
        (
            f"/v1beta/models/{one['secure_1psid']}:generateContent",
            {"contents": [{"parts": [{"text": "hi"}]}]},
        ),
    ):
        answer = send(f"{path}, a secret in a field", "POST", path, headers=caller, json=body)
        assert answer.status_code in (400, 404)
    send("a secret in the path", "GET", f"/nope/{one['secure_1psid']}", headers=caller)
    # a broken accounts file, seen by the running gateway and by the commands
    whole = accounts.read_text()
    cookie = fresh["__Secure-1PSID"]
    for text in (
        whole[:-20],
        f"accounts:\n  - id: a\n    secure_1psid: {cookie}\n    secure_1psid: {cookie}\n",
        f"accounts:\n  - id: {cookie}\n    secure_1psid: {dead}: {dead}\n",
        f"accounts:\n  - id: a\n    proxy: ftp://u:{dead}@x\n    secure_1psid: '{cookie}'\n",
    ):
        told = len(gateway.lines(BROKEN))
        accounts.write_text(f"{text}\n")
        wait_for(lambda n=told: len(gateway.lines(BROKEN)) > n, what=gateway.log[-2000:])
        for verb in (["accounts", "list"], ["accounts", "check"], ["serve"]):
            environ = {"PATH": "/usr/bin:/bin", "GEMPOOL_ACCOUNTS_FILE": str(accounts), "PORT": "0"}
            done = subprocess.run(
                [GEMPOOL, *verb], env=environ, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 1
            bag.check(f"gempool {verb}", done.stdout + done.stderr)
    accounts.write_text(whole)
    for path in ("/metrics", "/health", "/ready", "/api/cookies/status", "/api/info", "/v1/models"):
        for headers in ({}, caller, operator):
            send(f"{path} with {next(iter(headers), 'nothing')}", "GET", path, headers=headers)
    for name, text in everything_in(store):
        bag.check(f"store: {name}", text)
    assert gateway.stop() == 0
    issued(web, bag)
    for line in gateway.log.splitlines():
        bag.check(f"log: {line[:200]}", line)
    for file in folder.rglob("*"):
        if file.is_file() and file != accounts:
            bag.check(f"file: {file.relative_to(folder)}", file.read_bytes().decode("utf-8", "replace"))
    # It was looked where there is something to see, by eyes that see it.
    assert any("session opened" in where for where in bag.seen)
    assert any("store: " in where and "account-1" in where for where in bag.seen)
    assert bag.found_in(whole) >= {"account-1 psid", "account-1 proxy", "dead proxy", "nowhere psidts"}


@pytest.mark.parametrize(
    "given",
    [
        {
            "REDIS_URL": "http://user:{}@x",
            "BARK_URL": "ftp://user:{}@x",
            "S3_ENDPOINT": "http://user:{}@x",
            "S3_PUBLIC_URL": "http://user:{}@x",
            "GEMPOOL__ACCESS__KEYS": '[{{"name": "a", "key": "{}"}}]',
            "GEMPOOL__SERVER__PUBLIC_URL": "http://user:{}@x",
            "GEMPOOL__ALERTS__ADMIN_URL": "http://user:{}@x",
        },
        {
            "REDIS_URL": "redis://user:{}@127.0.0.1:port/0",
            "BARK_ENCRYPTION_KEY": "{}!",
            "API_KEY": "sha256:{}",
            "GEMPOOL__ACCESS__KEYS": '[{{"name": "a", "key": "{}"',
        },
        {"REDIS_URL": "redis://user:{}@127.0.0.1:1/zero", "ADMIN_KEY": "sha256:{}"},
    ],
)
def test_a_start_that_fails_on_secrets_does_not_show_them(tmp_path: Path, given: dict[str, str]) -> None:
    """The variables are named, their values are not, and there is no traceback."""
    secret = "Kq7" + secrets.token_urlsafe(24)
    environ = {"PATH": "/usr/bin:/bin", "PORT": "0", "GEMPOOL_DATA_DIR": str(tmp_path / "data")}
    environ |= {name: value.format(secret) for name, value in given.items()}
    done = subprocess.run(
        [GEMPOOL, "serve"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert [name for name in given if f"{name}: " not in said] == []
    assert secret[3:20] not in said
    assert "Traceback" not in said
