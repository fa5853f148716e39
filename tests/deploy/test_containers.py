"""The image and the services around it, as far as they can be held to something without an engine."""

import ipaddress
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.settings import all_settings, load, secret_names
from gateway.sources import IN_FILE
from tests.deploy.composing import ROOT, faults, make_secrets, read, variables

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES = ("caddy", "gateway", "valkey", "s3", "prometheus", "grafana")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read()


def test_compose_keeps_its_specification(compose: dict[str, Any]) -> None:
    """The schema that `docker compose config` goes by finds nothing, and it does find a slip."""
    assert faults(compose) == []
    assert faults({"services": {"gateway": {"image": "x", "restrat": "always"}}})


def test_nothing_has_to_be_set() -> None:
    """Every variable of compose.yaml has a default, and .env.example explains each one."""
    read({})
    explained = set(
        re.findall(
            r"^#? ?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    assert variables() <= explained


def test_all_services_are_there(compose: dict[str, Any]) -> None:
    """The whole of it: balancer, gateway, store, object store, metrics and dashboards."""
    assert set(compose["services"]) == set(SERVICES)


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    """By a version of three parts or, where its maker names no third, two; never what happens to be the latest."""
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert images.pop("gateway") == "gempool:local"
    images |= {str(n): name for n, name in enumerate(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))}
    for image in images.values():
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z-]+)?", image), image


def test_only_the_balancer_is_published(compose: dict[str, Any]) -> None:
    """And on loopback, unless the operator says otherwise."""
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(ports) == {"caddy"}
    assert all(port.startswith("127.0.0.1:") for port in ports["caddy"])
    opened = read({"BIND": "0.0.0.0", "HTTP_PORT": "80", "HTTPS_PORT": "443"})
    assert opened["services"]["caddy"]["ports"] == ["0.0.0.0:80:80", "0.0.0.0:443:443"]


def test_networks_lead_only_where_they_must(compose: dict[str, Any]) -> None:
    """The gateway alone has a way out to Google beside the balancer; store and object store have none."""
    networks, services = compose["networks"], compose["services"]
    out = {name for name, network in networks.items() if not (network or {}).get("internal")}
    assert out == {"front"}
    assert {name for name, service in services.items() if out & set(service["networks"])} == {
        "caddy",
        "gateway",
    }
    assert {name for name, s in services.items() if "back" in s["networks"]} == {"gateway", "valkey"}


def test_every_service_is_bounded_and_comes_back(compose: dict[str, Any]) -> None:
    """Memory, logs and privileges are bounded, and what dies is started again."""
    for name, service in compose["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service["logging"]["options"]["max-size"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_what_lasts_has_a_volume(compose: dict[str, Any]) -> None:
    """Every named volume is declared, and every declared one is used."""
    mounted = {
        source
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if not (source := volume.partition(":")[0]).startswith(".")
    }
    assert mounted == set(compose["volumes"])


def test_mounted_files_are_there(compose: dict[str, Any]) -> None:
    """An engine makes a folder of a file that is missing, and the service starts with nonsense. Those of the metrics
    are looked at where they are tested."""
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./") and not source.startswith(("./deploy/prometheus", "./deploy/grafana")):
                assert (ROOT / source).exists(), source


def test_the_gateways_settings_are_settings(compose: dict[str, Any], tmp_path: Path) -> None:
    """The gateway starts with what the service and the image give it: every name is known, every value will do."""
    service = compose["services"]["gateway"]
    given = {name: str(value) for name, value in service["environment"].items()}
    mine = make_secrets(tmp_path)
    _hand_out(given, mine, service)
    known = {setting.env for setting in all_settings().values()} | {name + IN_FILE for name in secret_names()}
    assert {name for name in given if not name.startswith("GEMPOOL__")} <= known
    settings = load(image_environment() | given)
    assert settings.server.host == "0.0.0.0"
    assert settings.api_keys
    assert settings.admin_key
    assert settings.state_key
    assert settings.stores_in_s3
    assert settings.server.metrics_open
    assert settings.redis_url.reveal().endswith("@valkey:6379/0")
    assert settings.s3.public_url == "http://localhost:8080/pictures"


def test_alerts_are_as_their_secrets_say(tmp_path: Path) -> None:
    """Without BARK_URL there are none, and their empty files are no fault; with it the devices' keys come from a file, and
    so does the key for encryption where .env asks for it. No key stands in the environment."""
    mine = make_secrets(tmp_path)
    (mine / "bark_keys").write_text("device-1\ndevice-2\n", encoding="utf-8")
    (mine / "bark_encryption_key").write_text("0123456789abcdef\n", encoding="utf-8")
    for environment, keys, encrypted in (
        ({}, 0, False),
        ({"BARK_URL": "https://api.day.app"}, 2, False),
        ({"BARK_URL": "https://api.day.app", "BARK_ENCRYPTED": "yes"}, 2, True),
    ):
        service = read(environment)["services"]["gateway"]
        given = {name: str(value) for name, value in service["environment"].items()}
        assert not {"BARK_KEYS", "BARK_ENCRYPTION_KEY"} & set(given)
        _hand_out(given, mine, service)
        bark = load(image_environment() | given).bark
        assert (len(bark.keys), bool(bark.encryption_key)) == (keys, encrypted)


def _hand_out(given: dict[str, str], mine: Path, service: dict[str, Any]) -> None:
    """Let the environment name the files of this test in the place of those that an engine puts into the container."""
    for name in secret_names():
        if path := given.get(name + IN_FILE):
            assert path.removeprefix("/run/secrets/") in service["secrets"]
            given[name + IN_FILE] = str(mine / Path(path).name)


def test_the_gateway_believes_the_network_of_the_balancer_alone() -> None:
    """Whose word about callers' addresses is taken is said once, for the network and for the gateway."""
    for environment in ({}, {"FRONT_SUBNET": "10.9.8.0/24"}):
        compose = read(environment)
        (subnet,) = compose["networks"]["front"]["ipam"]["config"]
        trusted = compose["services"]["gateway"]["environment"]["GEMPOOL__SERVER__TRUSTED_PROXIES"]
        assert trusted == subnet["subnet"]
        assert ipaddress.ip_network(trusted).is_private


def test_a_stop_leaves_time_to_finish(compose: dict[str, Any]) -> None:
    """An engine waits longer for the gateway than the gateway for its requests, and so does the balancer."""
    grace = load(image_environment() | {"API_KEY": "x"}).server.shutdown_grace
    for name in ("gateway", "caddy"):
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) >= grace + 10
    caddyfile = (ROOT / "deploy/caddy/Caddyfile").read_text(encoding="utf-8")
    assert int(re.findall(r"grace_period (\d+)s", caddyfile)[0]) > grace


def test_the_image_runs_as_nobody_special() -> None:
    """A fixed number other than root's; signals reach the program itself; nobody needs curl for the check of health."""
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert 'ENTRYPOINT ["gempool"]' in DOCKERFILE
    assert 'CMD ["serve"]' in DOCKERFILE
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
    assert 'CMD ["gempool", "health"]' in DOCKERFILE
    assert 'licenses="AGPL-3.0-or-later"' in DOCKERFILE


def test_the_image_is_made_of_what_the_lock_pins() -> None:
    """Wheels alone, by their digests: no compiler, and nothing that is not in requirements.lock."""
    assert "--require-hashes --only-binary :all:" in DOCKERFILE
    assert "apt-get" not in DOCKERFILE
    assert "curl" not in DOCKERFILE


def test_the_image_holds_every_package_and_no_more() -> None:
    """.dockerignore lets in each package of ours, what the installation needs, and the demo's configuration."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    packages = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    assert let_in == packages | {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements.lock",
        "config/demo.yaml",
    }


def test_the_page_knows_every_volume_and_command(compose: dict[str, Any]) -> None:
    """docs/deploy.md tells what each volume holds, and names only commands, services and scripts that are there."""
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    for volume in set(compose["volumes"]) - {"caddy-config"}:
        assert f"`{volume}`" in page
    verbs = set(re.findall(r"gempool ([a-z]+)", page + (ROOT / "docs/doctor.md").read_text(encoding="utf-8")))
    assert verbs <= set(main.commands)
    for script in re.findall(r"\./(deploy/\S+\.sh)", page):
        assert (ROOT / script).stat().st_mode & 0o100, script
    subprocess.run(["sh", "-n", str(ROOT / "deploy/backup.sh")], check=True)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """deploy/secrets.sh makes what compose.yaml names, in a folder for its owner alone, and leaves what is there."""
    mine = make_secrets(tmp_path)
    assert mine.stat().st_mode & 0o777 == 0o700
    made = {path.name: path.read_text(encoding="utf-8") for path in mine.iterdir()}
    assert {f"./secrets/{name}" for name in made} == {s["file"] for s in read()["secrets"].values()}
    assert {path.stat().st_mode & 0o777 for path in mine.iterdir()} == {0o644}
    assert {name for name, content in made.items() if not content} == {"bark_keys", "bark_encryption_key"}
    assert made["valkey_auth"].split()[1] in made["redis_url"]
    assert made["s3_secret_key"].strip() in made["s3.json"]
    assert made["api_key"] != made["admin_key"]

    (mine / "redis_url").unlink()
    assert make_secrets(tmp_path) == mine
    assert {path.name: path.read_text(encoding="utf-8") for path in mine.iterdir()} == made


def image_environment() -> dict[str, str]:
    """What the last ENV of the Dockerfile gives to the program."""
    last = DOCKERFILE.rpartition("\nENV ")[2].partition("\n\n")[0]
    return dict(re.findall(r"\b((?:GEMPOOL_|HOST|PORT)\w*)=(\S+)", last))
