"""The whole service, wired from settings: pictures are made, kept and fetched as they say."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.watermark_samples import encode, stamp, texture
from core.chat import Delta, Picture
from gateway.app import create_app
from gateway.settings import SettingsError, load
from pool.upstream import Done
from tests.fakes.server import serving, until
from tests.fakes.sessions import FakeWeb
from tests.support.metrics import metric
from watermark import write_stars
from watermark.star import coverage

MARKED = encode(stamp(texture("fractal", 1, 300, 400), "v1", 48, (32, 32)), "png")
ASK = {"prompt": "a fox", "response_format": "url"}

Start = Callable[..., str]


@pytest.fixture
def web() -> FakeWeb:
    web = FakeWeb()
    web.anybody = [[Delta("Here."), Picture(MARKED, "image/png"), Done()]]
    return web


@pytest.fixture
def start(empty_valkey: str, tmp_path: Path, web: FakeWeb) -> Iterator[Start]:
    """Starts the service with these names in its environment; the address of it."""
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(json.dumps({"accounts": [{"id": "a0", "secure_1psid": "g.a000one"}]}))
    accounts.chmod(0o600)
    with ExitStack() as running:

        def begin(**environment: str) -> str:
            environment |= {
                "REDIS_URL": empty_valkey,
                "GEMPOOL_ACCOUNTS_FILE": str(accounts),
                "GEMPOOL_DATA_DIR": str(tmp_path / "data"),
            }
            url = running.enter_context(serving(create_app(load(environment), web)))
            until(lambda: httpx.get(f"{url}/ready").status_code == 200)
            return url

        yield begin


def drawn(url: str, **changes: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/v1/images/generations", json=ASK | changes, timeout=20)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"][0])


async def one_picture(scope: Any, receive: Any, send: Any) -> None:
    """A server of the operator's own network that has a picture."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": MARKED})


def counted(url: str, name: str, **labels: str) -> float | None:
    return metric(httpx.get(f"{url}/metrics").text, name, **labels)


def test_a_link_is_made_without_any_setting(start: Start, tmp_path: Path, web: FakeWeb) -> None:
    """The folder under the data folder, the logo off, the default model's size, the chat to be deleted."""
    url = start()
    item = drawn(url)
    stored = httpx.get(item["url"])
    assert item["url"].startswith(f"{url}/files/")
    assert [path.read_bytes() for path in (tmp_path / "data" / "pictures").iterdir()] == [stored.content]
    assert item["watermark"] == "removed"
    ((_, prompt, bounds),) = web.asked
    assert (prompt.originals, prompt.forget, bounds.silence) == (True, True, 180.0)
    assert httpx.get(f"{url}/health").json()["watermark_removal"] is True
    assert counted(url, "gempool_pictures_total", outcome="ok") == 1
    assert counted(url, "gempool_watermark_total", verdict="removed") == 1
    assert counted(url, "gempool_pictures_stored_total", outcome="ok", store="local") == 1


def test_settings_reach_what_they_are_about(start: Start, tmp_path: Path, web: FakeWeb) -> None:
    """Each field changes what it says."""
    url = start(
        GEMPOOL__STORAGE__DIRECTORY=str(tmp_path / "shared"),
        GEMPOOL__WATERMARK__ENABLED="false",
        GEMPOOL__CONVERSATIONS__DELETE_PICTURE_CHATS="false",
        GEMPOOL__MODELS__DEFAULT_IMAGE="gemini-3-pro-image-preview-4k",
        GEMPOOL__ENGINE__PICTURE_TIMEOUT="99s",
        GEMPOOL__SERVER__PUBLIC_URL="https://pictures.example.com",
    )
    item = drawn(url)
    assert item["url"].startswith("https://pictures.example.com/files/")
    assert len(list((tmp_path / "shared").iterdir())) == 1
    assert item["watermark"] == "kept"
    ((_, prompt, bounds),) = web.asked
    assert (prompt.originals, prompt.forget, bounds.first_content) == (True, False, 99.0)
    assert httpx.get(f"{url}/health").json()["watermark_removal"] is False


def test_an_object_store_that_is_away_is_stood_in_for(start: Start) -> None:
    """The service starts, says so, and gives links to the folder."""
    url = start(
        GEMPOOL__STORAGE__TIMEOUT="500ms",
        S3_ENDPOINT="http://127.0.0.1:9",
        S3_ACCESS_KEY="ak",
        S3_SECRET_KEY="sk",
        S3_BUCKET="pictures",
    )
    item = drawn(url)
    assert httpx.get(item["url"]).status_code == 200
    assert counted(url, "gempool_pictures_stored_total", outcome="failed", store="s3") == 1
    assert counted(url, "gempool_pictures_stored_total", outcome="fallback", store="local") == 1


def test_a_folder_that_cannot_be_written_gives_the_picture_inline(start: Start, tmp_path: Path) -> None:
    """A wanted link that cannot be had becomes a data URL: nothing is lost."""
    blocked = tmp_path / "blocked"
    blocked.write_text("this is no folder")
    item = drawn(start(GEMPOOL__STORAGE__DIRECTORY=str(blocked)))
    assert base64.b64decode(item["url"].partition("base64,")[2]).startswith(b"\x89PNG")


def test_a_calibrated_logo_is_what_is_looked_for(start: Start, tmp_path: Path) -> None:
    """The file of `gempool watermark calibrate` takes the place of the formula's star."""
    file = tmp_path / "star"
    file.write_bytes(write_stars({48: coverage(48)[::-1, :24].repeat(2, 1)}))
    assert drawn(start(GEMPOOL__WATERMARK__STARS_FILE=str(file)))["watermark"] != "removed"


def test_a_file_that_is_no_logo_stops_the_start(start: Start, tmp_path: Path) -> None:
    """The error names the setting and the file."""
    file = tmp_path / "star"
    file.write_bytes(b"no star")
    with pytest.raises(SettingsError, match=r"watermark\.stars_file: .*star cannot be used"):
        start(GEMPOOL__WATERMARK__STARS_FILE=str(file))


def test_the_folder_is_swept(start: Start, tmp_path: Path) -> None:
    """From the start on, by the size that is set."""
    folder = tmp_path / "data" / "pictures"
    folder.mkdir(parents=True)
    old = folder / f"20200101T000000Z_fox_{'0' * 32}.png"
    old.write_bytes(MARKED)
    start(GEMPOOL__STORAGE__MAX_BYTES="1KiB")
    until(lambda: not old.exists())


@pytest.mark.parametrize(
    ("allow", "status"), [({}, 400), ({"GEMPOOL__SERVER__FETCH_ALLOW": "127.0.0.0/8"}, 200)]
)
def test_pictures_by_web_address_stay_out_of_our_own_network(
    start: Start, allow: dict[str, str], status: int, web: FakeWeb
) -> None:
    """Unless the operator opens a part of it."""
    url = start(**allow)
    with serving(one_picture) as elsewhere:
        edit = {"prompt": "make it blue", "image": f"{elsewhere}/fox.png"}
        assert httpx.post(f"{url}/v1/images/edits", json=edit, timeout=20).status_code == status
    assert [prompt.files[0].data for _, prompt, _ in web.asked] == [MARKED] * (status == 200)


def test_fetching_can_be_switched_off(start: Start) -> None:
    """A caller is told."""
    url = start(GEMPOOL__SERVER__FETCH_REMOTE="false", GEMPOOL__SERVER__FETCH_ALLOW="127.0.0.0/8")
    edit = {"prompt": "make it blue", "image": "http://127.0.0.1:9/fox.png"}
    answer = httpx.post(f"{url}/v1/images/edits", json=edit, timeout=20)
    assert answer.status_code == 400
    assert "image" in answer.json()["error"]["message"]
