"""The whole service, wired from settings: who signs in to the page, for how long, and where the session is good."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from access import hashed
from core.secret import Secret
from gateway.app import create_app
from gateway.settings import SettingsError, load
from tests.fakes.server import serving
from tests.fakes.sessions import FakeWeb

SESSION, VIEW = "/admin/api/session", "/admin/api/view"
KEYS = {"API_KEY": "one", "ADMIN_KEY": "root"}
S3 = {"S3_ENDPOINT": "http://127.0.0.1:9", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "s", "S3_BUCKET": "pics"}

Start = Callable[..., httpx.Client]


@pytest.fixture
def start(empty_valkey: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a replica with these names in its environment; a browser for it."""
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(json.dumps({"accounts": [{"id": "a0", "secure_1psid": "g.a000one"}]}))
    accounts.chmod(0o600)
    with ExitStack() as running:

        def begin(**environment: str) -> httpx.Client:
            environment |= {
                "REDIS_URL": empty_valkey,
                "GEMPOOL_ACCOUNTS_FILE": str(accounts),
                "GEMPOOL_DATA_DIR": str(tmp_path / "data"),
                "GEMPOOL__STORAGE__TIMEOUT": "500ms",
            }
            url = running.enter_context(serving(create_app(load(environment), FakeWeb())))
            client = httpx.Client(base_url=url, headers={"x-gempool-page": "1"}, timeout=20)
            return running.enter_context(client)

        yield begin


def sign_in(page: httpx.Client, key: str = "root") -> float:
    """Seconds that the session will last."""
    answer = page.post(SESSION, json={"key": key})
    assert answer.status_code == 200, answer.text
    return float(answer.json()["expires_at"]) - time.time()


def status(page: httpx.Client, other: httpx.Client) -> int:
    """What another replica says to the page's cookie."""
    return other.get(
        VIEW, headers={"cookie": f"gempool_session={page.cookies['gempool_session']}"}
    ).status_code


def test_a_session_lasts_as_long_as_is_set_and_is_good_in_every_replica(start: Start) -> None:
    """Twelve hours where nothing is set; another ADMIN_KEY, as after a rotation, ends it."""
    one, two, rotated = start(**KEYS), start(**KEYS), start(**KEYS | {"ADMIN_KEY": "another"})
    assert 12 * 3600 - 10 < sign_in(one) <= 12 * 3600
    assert one.get(VIEW).status_code == 200
    assert (status(one, two), status(one, rotated)) == (200, 401)
    short = start(**KEYS, GEMPOOL__SERVER__ADMIN_SESSION="90s")
    assert 80 < sign_in(short) <= 90


def test_a_hashed_admin_key_needs_a_state_key_for_several_replicas(start: Start) -> None:
    """Or else whoever reads the configuration could sign."""
    digest = KEYS | {"ADMIN_KEY": hashed(Secret("root"))}
    one, two = start(**digest), start(**digest)
    sign_in(one)
    assert (one.get(VIEW).status_code, status(one, two)) == (200, 401)
    sealed = digest | {"GEMPOOL_STATE_KEY": "correct horse battery staple"}
    three, four = start(**sealed), start(**sealed)
    sign_in(three)
    assert status(three, four) == 200


@pytest.mark.parametrize(
    ("environment", "origin"),
    [
        ({}, ""),
        (S3, " http://127.0.0.1:9"),
        (S3 | {"S3_PUBLIC_URL": "https://pics.example/a"}, " https://pics.example"),
        ({"GEMPOOL__SERVER__PUBLIC_URL": "https://gw.example"}, " https://gw.example"),
    ],
    ids=["folder", "s3", "s3 under an address of its own", "public address"],
)
def test_the_page_may_show_pictures_from_where_they_are_kept(
    start: Start, environment: dict[str, str], origin: str
) -> None:
    """As its Content-Security-Policy says."""
    policy = start(**environment).get("/admin").headers["content-security-policy"]
    assert f"img-src 'self' data: blob:{origin};" in policy


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("forever", "Write a number with a unit"),
        ("-1h", "Write a number with a unit"),
        ("0s", "at least 1"),
        ("91d", "at most 90d"),
    ],
)
def test_a_wrong_length_is_named_with_its_remedy(value: str, says: str) -> None:
    """The start stops with the variable's name."""
    with pytest.raises(SettingsError) as raised:
        load({"GEMPOOL__SERVER__ADMIN_SESSION": value})
    assert "GEMPOOL__SERVER__ADMIN_SESSION" in str(raised.value)
    assert says in str(raised.value)
