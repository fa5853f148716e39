"""The disk is full, and has room again."""

import json
from pathlib import Path

import httpx
import pytest
import redis

from tests.drills.callers import Callers, faults
from tests.drills.conftest import House
from tests.drills.verdict import store_url
from tests.support.disks import filled, small_disk
from tests.support.processes import Gateway, wait_for

PICTURE = {"prompt": "generate an image of a cat", "response_type": "url"}


def picture(gateway: Gateway) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/generate-images", json=PICTURE, timeout=60)


def on_disk(gateway: Gateway) -> bool:
    with redis.Redis.from_url(store_url(gateway)) as store:
        facts = store.info("persistence")
    return bool(facts["aof_enabled"]) and not facts["aof_rewrite_in_progress"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_disk_is_full(house: House, tmp_path: Path) -> None:
    """Data directory, accounts file and temporary files are on it. Callers of text see nothing; who wants a link to a picture has
    the picture itself; nothing half-written stays; and with room again pictures come, and what the store knows outlives a restart."""
    with small_disk(tmp_path / "disk", 96) as disk:
        accounts = disk / "accounts.yaml"
        accounts.write_bytes(house.gateways.accounts_file().read_bytes())
        accounts.chmod(0o600)
        settings = {"GEMPOOL_DATA_DIR": str(disk / "data"), "ADMIN_KEY": "for-the-operator"}
        gateway = house.start(accounts, **settings)
        assert picture(gateway).status_code == 200
        sound = house.warm(gateway, many=6, answers=100)
        good = accounts.read_bytes()
        with Callers(gateway.url, many=6, pause=0.02) as callers:
            for _ in range(3):
                callers.go_on(30)
                with filled(disk):
                    callers.go_on(100)
                    unkept = picture(gateway)
                    assert unkept.status_code == 200, unkept.text
                    assert unkept.json()["images"][0].startswith("data:image/")
                    refused = httpx.post(
                        f"{gateway.url}/api/cookies",
                        json={"account": "account-1", "cookies": "SID=x"},
                        headers={"x-admin-key": "for-the-operator"},
                        timeout=30,
                    )
                    assert refused.status_code >= 400, refused.text
                    assert accounts.read_bytes() == good
                    assert not [p for p in disk.rglob("*") if p.name.endswith((".part", ".new", ".tmp"))]
                    callers.go_on(60)
                wait_for(lambda: on_disk(gateway))
                assert "/files/" in picture(gateway).json()["images"][0]
        assert faults(callers.answers) == []
        sound.holds()
        before = json.loads(gateway.get("/health").text)["accounts"]
        assert gateway.stop() == 0
        again = house.start(accounts, **settings)
        assert json.loads(again.get("/health").text)["accounts"] == before
        assert again.ask().status_code == 200
        assert again.stop() == 0
