"""Settings: where they come from, which wins, and what a wrong one is answered."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access import OFF, NamedKey, Rate, hashed
from core.secret import Secret
from gateway.settings import FILE_SECTIONS, Settings, SettingsError, all_settings, load
from gateway.sources import variable


def problems(environ: dict[str, str], **overrides: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(environ, {key.replace("__", "."): value for key, value in overrides.items()})
    return str(refused.value)


def from_text(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    return load({"GEMPOOL_CONFIG_FILE": str(file), **(environ or {})})


def file_problems(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as refused:
        from_text(tmp_path, text)
    return str(refused.value).replace(str(tmp_path) + "/", "")


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    """Nothing needs to be set: loopback, port 8100, no keys, an embedded store."""
    settings = load({})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8100)
    assert settings.loopback_only
    assert settings.api_keys == ()
    assert not settings.redis_url
    assert (settings.engine.deadline, settings.engine.attempts) == (300.0, 16)
    assert (settings.pool.queue_size, settings.pool.lease_ttl) == (256, 15.0)
    assert settings.models.default in settings.models.table
    assert settings.without_effect == ()


def test_nearer_sources_win(tmp_path: Path) -> None:
    """Option over GEMPOOL__SECTION__FIELD over the plain name over the file over the default."""
    file = tmp_path / "gateway.yaml"
    file.write_text("server: {port: 1}\n")
    environ = {"GEMPOOL_CONFIG_FILE": str(file)}
    assert load(environ).server.port == 1
    environ["PORT"] = "2"
    assert load(environ).server.port == 2
    environ["GEMPOOL__SERVER__PORT"] = "3"
    assert load(environ).server.port == 3
    assert load(environ, {"server.port": "4"}).server.port == 4


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    """Compose files hand on empty variables; they must not wipe out the file's value."""
    settings = from_text(
        tmp_path, "engine: {deadline: 7s}", {"GEMPOOL__ENGINE__DEADLINE": "", "API_KEY": " "}
    )
    assert settings.engine.deadline == 7.0
    assert settings.api_keys == ()


def test_plain_names_reach_their_fields(tmp_path: Path) -> None:
    """Every plain name of the contract ends in a field."""
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    settings = load(
        {
            "HOST": "::1",
            "PORT": "0",
            "API_KEY": "one, two",
            "ADMIN_KEY": "root",
            "REDIS_URL": "redis://:pw@redis:6379/0",
            "BARK_URL": "https://bark.example",
            "BARK_KEYS": "a,b",
            "S3_ENDPOINT": "http://minio:9000",
            "S3_ACCESS_KEY": "ak",
            "S3_SECRET_KEY": "sk",
            "S3_BUCKET": "pictures",
            "S3_PUBLIC_URL": "https://cdn.example",
            "GEMPOOL_ACCOUNTS_FILE": "a.yaml",
            "GEMPOOL_DATA_DIR": "elsewhere",
            "GEMPOOL_UPSTREAM_CA_FILE": str(ca),
            "GEMPOOL_STATE_KEY": "k",
            "GEMPOOL_ALLOW_ANONYMOUS": "yes",
        }
    )
    assert settings.server.host == "::1"
    assert settings.api_keys == (Secret("one"), Secret("two"))
    assert settings.admin_key == Secret("root")
    assert settings.redis_url == Secret("redis://:pw@redis:6379/0")
    assert (settings.bark.url, settings.bark.keys) == (
        Secret("https://bark.example"),
        (Secret("a"), Secret("b")),
    )
    assert (settings.s3.bucket, settings.s3.secret_key) == ("pictures", Secret("sk"))
    assert (settings.accounts_file, settings.data_dir) == (Path("a.yaml"), Path("elsewhere"))
    assert settings.upstream_ca_file == ca
    assert settings.allow_anonymous


def test_names_that_deployments_rely_on_exist() -> None:
    """The fixed field names of the contract are all settings, each with a variable of its own."""
    fixed = [
        "server.trusted_proxies",
        "server.log_format",
        "server.shutdown_grace",
        "engine.deadline",
        "engine.attempts",
        "engine.connect_timeout",
        "engine.first_content_timeout",
        "engine.silence_timeout",
        "pool.queue_size",
        "pool.queue_timeout",
        "pool.lease_ttl",
        "pool.requests_per_minute",
        "supervisor.probe_interval",
        "supervisor.rotate_interval",
        "supervisor.reprobe_first",
        "supervisor.reprobe_max",
        "limits.enabled",
        "limits.per_caller",
        "limits.per_caller_and_model",
        "alerts.pool_below",
        "alerts.min_interval",
        "conversations.mode",
        "watermark.enabled",
    ]
    assert set(fixed) <= set(all_settings())
    assert variable("supervisor.probe_interval") == "GEMPOOL__SUPERVISOR__PROBE_INTERVAL"
    assert set(FILE_SECTIONS) == {
        "server",
        "engine",
        "pool",
        "supervisor",
        "alerts",
        "limits",
        "access",
        "models",
        "watermark",
        "storage",
        "batches",
        "conversations",
    }


def test_no_secret_is_printed_by_the_settings() -> None:
    """A settings value may end in a log line or a traceback."""
    secrets = {
        "API_KEY": "key-one",
        "ADMIN_KEY": "key-two",
        "REDIS_URL": "redis://:hidden-pw@host",
        "ALICE_1PSID": "g.a000hidden",
    }
    shown = repr(load(secrets))
    assert not [value for value in ("key-one", "key-two", "hidden-pw", "g.a000") if value in shown]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "http", "PORT: 'http' is not a whole number. Write digits only."),
        ("PORT", "70000", "at most 65535"),
        ("GEMPOOL__ENGINE__DEADLINE", "5 parsecs", "Write a number with a unit: 500ms, 2s, 10m or 1h"),
        ("GEMPOOL__ENGINE__DEADLINE", "-1", "is not a duration"),
        ("GEMPOOL__ENGINE__ATTEMPTS", "0", "it must be at least 1"),
        ("GEMPOOL__SERVER__BODY_LIMIT", "lots", "512KiB, 40MiB or 1GiB"),
        ("GEMPOOL__LIMITS__PER_CALLER", "60", "60/hour or 1/5s"),
        ("GEMPOOL__LIMITS__PER_CALLER", "0/hour", "both numbers must be more than 0"),
        ("GEMPOOL__LIMITS__ENABLED", "maybe", "Write true or false."),
        ("GEMPOOL__POOL__ACTIVITY", "always", "one of background, each, off"),
        ("GEMPOOL__SERVER__TRUSTED_PROXIES", "10.0.0.1, nginx", "10.0.0.1, 192.168.0.0/16"),
        ("GEMPOOL__SERVER__CORS_ORIGINS", "chat.example.com", "https://chat.example.com"),
        ("GEMPOOL__MODELS__TABLE", "{", "it is not JSON"),
        ("GEMPOOL__MODELS__TABLE", '{"m": []}', "m needs a list of upstream names"),
        ("GEMPOOL__MODELS__TABLE", '{"m": {"upstream": ["x"], "kind": 1}}', "m.kind is unknown"),
        ("GEMPOOL__MODELS__DEFAULT", "gpt-9", "It has: gemini-3-flash-preview"),
        ("GEMPOOL__MODELS__DEFAULT", "gemini-2.5-flash-image", "Name one for text"),
        ("GEMPOOL_UPSTREAM_CA_FILE", "/nowhere/ca.pem", "there is no such file"),
        ("GEMPOOL_CONFIG_FILE", "/nowhere/gateway.yaml", "there is no file /nowhere/gateway.yaml"),
        ("GEMPOOL__SUPERVISOR__REPROBE_FIRST", "2h", "supervisor.reprobe_max"),
    ],
)
def test_a_wrong_variable_is_named_with_its_remedy(name: str, value: str, says: str) -> None:
    """Each message says which variable, what is wrong with it, and how to write it."""
    said = problems({name: value})
    assert name in said or name.removeprefix("GEMPOOL__").replace("__", ".").lower() in said
    assert says in said


def test_a_wrong_secret_is_not_quoted() -> None:
    """The message names the variable but never shows what may hold a password."""
    said = problems({"REDIS_URL": "http://:hunter2@[redis", "BARK_URL": "hunter3"})
    assert "REDIS_URL" in said
    assert "BARK_URL" in said
    assert "hunter" not in said


def test_all_problems_are_told_at_once() -> None:
    """Nobody wants to start a server five times to find five slips."""
    said = problems({"PORT": "x", "GEMPOOL__ENGINE__ATTEMPTS": "y", "REDIS_URL": "z"})
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GEMPOOL__ENGINE__DEADLIN", "GEMPOOL__ENGINE__DEADLINE"),
        ("GEMPOOL__POOL__QUEUESIZE", "GEMPOOL__POOL__QUEUE_SIZE"),
        ("GEMPOOL_ACCOUNT_FILE", "GEMPOOL_ACCOUNTS_FILE"),
        ("GEMPOOL_DATADIR", "GEMPOOL_DATA_DIR"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(name: str, meant: str) -> None:
    """A slip in a name must not silently mean the default."""
    assert f"{name} is not a setting. Did you mean {meant}?" in problems({name: "1"})


@pytest.mark.parametrize(
    "name", ["GEMPOOL__SERVER__NOSUCH", "GEMPOOL__SUPERVISOR__XYZ", "GEMPOOL__NOSUCH__A"]
)
def test_nothing_is_suggested_that_is_not_near(name: str) -> None:
    """That two names have their section in common makes them no slip of one another."""
    assert problems({name: "1"}) == f"{name} is not a setting. docs/configuration.md lists all."


def test_whoever_listens_on_nothing_may_read_any_address() -> None:
    """The refusal of a public address without a key is the server's alone."""
    assert "API_KEY is not set" in problems({"HOST": "0.0.0.0"})
    assert load({"HOST": "0.0.0.0"}, listens=False).server.host == "0.0.0.0"


def test_variables_that_an_orchestrator_sets_are_nobodys_mistake() -> None:
    """Kubernetes gives every pod such names for a service called `gempool`."""
    load({"GEMPOOL_PORT": "tcp://10.0.0.1:8100", "GEMPOOL_SERVICE_HOST": "x", "GEMPOOL_PORT_8100_TCP": "x"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("serfer: {port: 1}", "gateway.yaml line 1: serfer is not a section. Did you mean server?"),
        (
            "\nserver:\n  prot: 1\n",
            "gateway.yaml line 3: server.prot is not a setting. Did you mean server.port?",
        ),
        ("server:\n  port: x\n", "gateway.yaml line 2: server.port: 'x' is not a whole number."),
        ("server: 8100", "line 1: server must hold fields"),
        ("- server", "must hold sections"),
        ("server: {port: 1", "line 1 is not YAML"),
        ("server: {port: 1}\nserver: {port: 2}", "line 2 is not YAML"),
        ("server: {port: true}", "server.port: True is not a whole number"),
        ("engine: {deadline: .inf}", "engine.deadline: inf is not a duration"),
        ("engine: {deadline: [1]}", "engine.deadline"),
        ("server: {api_key: abc}", "server.api_key is not a setting"),
    ],
)
def test_a_wrong_file_is_told_by_line(tmp_path: Path, text: str, says: str) -> None:
    """The message names file, line and field."""
    assert says in file_problems(tmp_path, text)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """A wrong file is named, not dumped."""
    file = tmp_path / "gateway.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8 text" in problems({"GEMPOOL_CONFIG_FILE": str(file)})


def test_values_as_yaml_reads_them(tmp_path: Path) -> None:
    """Numbers, words, booleans and lists of the file mean what they say."""
    settings = from_text(
        tmp_path,
        """
        server: {trusted_proxies: [10.0.0.0/8, "::1"], metrics_open: yes, body_limit: 1048576}
        engine: {deadline: 90, silence_timeout: 500ms}
        pool: {activity: off}
        limits: {per_caller: 10/minute, per_caller_and_model: 1/5s}
        models: {table: {mine: [gemini-pro], gemini-2.5-pro: null}}
        watermark:
        """,
    )
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.server.metrics_open
    assert settings.server.body_limit == 1024**2
    assert (settings.engine.deadline, settings.engine.silence_timeout) == (90.0, 0.5)
    assert settings.pool.activity == "off"
    assert settings.limits.per_caller == Rate(10, 60.0)
    assert settings.limits.per_caller_and_model == Rate(1, 5.0)
    assert settings.models.table["mine"].upstream == ("gemini-pro",)
    assert "gemini-2.5-pro" not in settings.models.table
    assert "gemini-3.0-pro" in settings.models.table


def test_a_public_address_needs_a_key_or_a_plain_word() -> None:
    """Without a key nobody but this machine is served, unless the operator says so in so many letters."""
    said = problems({"HOST": "0.0.0.0"})
    assert "Set API_KEY" in said
    assert "GEMPOOL_ALLOW_ANONYMOUS=true" in said
    assert not load({"HOST": "0.0.0.0", "API_KEY": "k"}).loopback_only
    assert load({"HOST": "0.0.0.0", "GEMPOOL_ALLOW_ANONYMOUS": "true"}).allow_anonymous
    for loopback in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert load({"HOST": loopback}).loopback_only


KEY = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def test_keys_of_the_file_have_names_and_terms(tmp_path: Path) -> None:
    """Each with a digest, and what it may ask and how often where that is its own; in the environment they are JSON."""
    settings = from_text(
        tmp_path,
        f"""
        server: {{host: 0.0.0.0}}
        access:
          keys:
            - {{name: alice, key: {KEY}}}
            - name: bob
              key: {OTHER}
              models: [gemini-2.5-*, gemini-3-flash-preview]
              per_caller: 100/hour
              per_caller_and_model: off
        """,
    )
    assert settings.access.keys == (
        NamedKey("alice", KEY),
        NamedKey("bob", OTHER, ("gemini-2.5-*", "gemini-3-flash-preview"), Rate(100, 3600.0), OFF),
    )
    listed = json.dumps([{"name": "alice", "key": KEY}])
    assert load({"GEMPOOL__ACCESS__KEYS": listed}).access.keys == (NamedKey("alice", KEY),)
    assert load({}).access.keys == ()


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ("x", "neither a list nor JSON"),
        ("{}", "no list"),
        ("[hunter2]", "entry 1 is no mapping"),
        (f"[{{key: {KEY}}}]", "entry 1 has no name"),
        (f"[{{name: 'a b', key: {KEY}}}]", "entry 1 has a name that will not do"),
        (f"[{{name: 'ip:1', key: {KEY}}}]", "entry 1 has a name that will not do"),
        (f"[{{name: {'a' * 64}, key: {KEY}}}]", "entry 1 has a name that will not do"),
        ("[{name: alice}]", "entry 1 (alice) has no key. `gempool keys hash`"),
        ("[{name: alice, key: hunter2}]", "entry 1 (alice): its key stands there as it is"),
        ("[{name: alice, key: hunter2}]", "gempool keys new"),
        ("[{name: alice, key: sha256:hunter2}]", "entry 1 (alice): its key is no digest"),
        (
            f"[{{name: alice, key: {KEY}, hunter2: 1}}]",
            "entry 1 (alice) has an unknown field. A key has name",
        ),
        (f"[{{name: alice, key: {KEY}, models: []}}]", "entry 1 (alice).models must be"),
        (f"[{{name: alice, key: {KEY}, models: ['a b']}}]", "entry 1 (alice).models must be"),
        (f"[{{name: alice, key: {KEY}, per_caller: often}}]", "entry 1 (alice).per_caller is no rate"),
        (f"[{{name: a, key: {KEY}, per_caller_and_model: 0/h}}]", "must be more than 0"),
        (f"[{{name: a, key: {KEY}}}, {{name: A, key: {OTHER}}}]", "the name A is there twice"),
        (
            f"[{{name: a, key: {KEY}}}, {{name: b, key: {KEY}}}]",
            "access.keys: b is the same key as access.keys: a",
        ),
    ],
)
def test_a_key_that_will_not_do_is_refused_with_the_remedy(tmp_path: Path, entries: str, why: str) -> None:
    """The entry and its name are told, and never what was written for a key."""
    said = file_problems(tmp_path, f"access: {{keys: {entries}}}")
    assert why in said
    assert "hunter2" not in said
    assert KEY[7:] not in said


def test_one_key_in_two_places_is_refused(tmp_path: Path) -> None:
    """A key of the file that API_KEY lists as well, and an admin key that is a caller's."""
    text = "access: {keys: [{name: alice, key: '" + hashed(Secret("hunter2")) + "'}]}"
    for name in ("API_KEY", "ADMIN_KEY"):
        with pytest.raises(SettingsError) as refused:
            from_text(tmp_path, text, {name: "hunter2"})
        assert name in str(refused.value)
        assert "alice" in str(refused.value)
        assert "hunter2" not in str(refused.value)
    assert "ADMIN_KEY is the same key as API_KEY" in problems({"API_KEY": "x,y", "ADMIN_KEY": "y"})


def test_a_broken_file_does_not_show_what_stands_in_it(tmp_path: Path) -> None:
    """The place and the fault; not a value that the parser would quote."""
    for text in ("access:\n  keys: hunter2\n  keys: hunter2\n", "access: {keys: [hunter2\n", "a: 'hunter2"):
        said = file_problems(tmp_path, text)
        assert "is not YAML" in said
        assert "hunter2" not in said


@pytest.mark.parametrize("off", ["off", "0", "none", "false", "OFF"])
def test_a_limit_can_be_off(tmp_path: Path, off: str) -> None:
    """One of the two, without the other."""
    settings = from_text(tmp_path, f"limits: {{per_caller: {off}}}")
    assert settings.limits.per_caller == OFF
    assert settings.limits.per_caller_and_model == Rate(1, 5.0)


@pytest.mark.parametrize("rate", ["100001/hour", "1/32d", "1/0.5ms", "-1/hour", "60", "x"])
def test_a_rate_that_the_store_could_not_hold_is_refused(rate: str) -> None:
    """The count and the time are bounded; the message says how a rate is written."""
    assert "60/hour" in problems({"GEMPOOL__LIMITS__PER_CALLER": rate})


S3 = {
    "S3_ENDPOINT": "https://s3.example.com",
    "S3_ACCESS_KEY": "ak",
    "S3_SECRET_KEY": "sk",
    "S3_BUCKET": "pictures",
}


@pytest.mark.parametrize("missing", S3)
def test_an_object_store_without_its_keys_is_refused(missing: str) -> None:
    """The error names the variables that are missing, and what else could be done."""
    given = {"GEMPOOL__STORAGE__KIND": "s3"} | {name: value for name, value in S3.items() if name != missing}
    said = problems(given)
    assert f"The object store needs {missing} in the environment" in said
    assert "storage.kind: local" in said
    assert "sk" not in said.split()


def test_a_wrong_value_is_not_told_as_a_missing_one() -> None:
    """One problem for one slip: what is set but will not do, by itself or in a file, is not missing besides."""
    (told,) = problems(S3 | {"S3_BUCKET": "p"}).splitlines()
    assert told.startswith("S3_BUCKET: 'p' ")
    keyless = {name: value for name, value in S3.items() if name != "S3_SECRET_KEY"}
    (told,) = problems(keyless | {"S3_SECRET_KEY_FILE": "/nowhere"}).splitlines()
    assert told.startswith("S3_SECRET_KEY_FILE: /nowhere does not exist")
    (told,) = problems({"BARK_URL": "nonsense", "BARK_KEYS": "one"}).splitlines()
    assert told.startswith("BARK_URL: ")


def test_an_object_store_that_is_not_used_is_told() -> None:
    """Its address alone chooses it, unless the folder was asked for."""
    unused = load(S3 | {"GEMPOOL__STORAGE__KIND": "local"})
    assert (unused.stores_in_s3, unused.without_effect) == (False, ("S3_ENDPOINT (storage.kind is local)",))
    for kind in ({}, {"GEMPOOL__STORAGE__KIND": "s3"}, {"GEMPOOL__STORAGE__KIND": "auto"}):
        assert (load(S3 | kind).stores_in_s3, load(S3 | kind).without_effect) == (True, ())
    assert not load({}).stores_in_s3


@pytest.mark.parametrize(
    "endpoint", ["minio:9000", "https://s3.example.com/pictures", "http://s3.example.com:0"]
)
def test_an_endpoint_is_an_address_without_a_path(endpoint: str) -> None:
    """Anything else is refused at the start, not at the first picture."""
    assert "S3_ENDPOINT" in problems(S3 | {"S3_ENDPOINT": endpoint})


def test_a_model_says_how_large_its_pictures_are() -> None:
    """Three sizes, in pixels or by their names; the shipped ones as they are known by."""
    shipped = load({}).models.table
    sizes = {name: model.pixels for name, model in shipped.items() if model.category == "image"}
    assert sizes == {
        "gemini-2.5-flash-image": 1024,
        "gemini-3-pro-image-preview": 2048,
        "gemini-3-pro-image-preview-2k": 2048,
        "gemini-3-pro-image-preview-4k": 4096,
    }
    table = '{"mine": {"upstream": ["gemini-pro"], "category": "image", "pixels": "%s"}}'
    assert load({"GEMPOOL__MODELS__TABLE": table % "4K"}).models.table["mine"].pixels == 4096
    assert "mine.pixels must be 1024, 2048 or 4096" in problems({"GEMPOOL__MODELS__TABLE": table % "8K"})


def test_pictures_have_a_default_model_that_makes_some() -> None:
    """A text model, or one that is not there, is refused with the names of those that do."""
    for wrong in ("gemini-2.5-pro", "nobody"):
        said = problems({"GEMPOOL__MODELS__DEFAULT_IMAGE": wrong})
        assert f"models.default_image: {wrong}" in said
        assert "gemini-2.5-flash-image" in said


@given(st.integers(0, 10**9))
def test_a_duration_reads_as_it_was_written(milliseconds: int) -> None:
    """Writing a duration and reading it again gives the same duration, whatever its unit."""
    duration = all_settings()["engine.silence_timeout"].kind
    seconds = 0.1 + milliseconds / 1000
    written = duration.show(seconds)
    assert re.fullmatch(r"\d+(ms|s|m|h|d)", written)
    assert duration.parse(written) == pytest.approx(seconds, abs=0.0005)


@given(st.integers(1, 10**5), st.sampled_from(["second", "minute", "hour", "day", "5s", "90m"]))
def test_a_rate_reads_as_it_was_written(count: int, per: str) -> None:
    """Writing a rate and reading it again gives the same rate."""
    rate = all_settings()["limits.per_caller"].kind
    parsed = rate.parse(f"{count}/{per}")
    assert rate.parse(rate.show(parsed)) == parsed


@given(st.text(max_size=12))
def test_no_text_makes_the_reader_stumble(text: str) -> None:
    """Whatever stands in a variable, the answer is a value or a message with the key in it."""
    for key in (
        "engine.deadline",
        "server.body_limit",
        "limits.per_caller",
        "access.keys",
        "server.trusted_proxies",
    ):
        try:
            load({variable(key): text})
        except SettingsError as refused:
            assert variable(key) in str(refused)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        (
            "S3_ENDPOINT",
            "http://s3.example.com:99999",
            "S3_ENDPOINT: its value (not shown) is not the address of a server",
        ),
        (
            "S3_ENDPOINT",
            "http://s3.example.com:port",
            "S3_ENDPOINT: its value (not shown) is not the address of a server",
        ),
        ("S3_ENDPOINT", "http://s3.example.com?a=b", "without a user and a path"),
        ("S3_ENDPOINT", "http://user:hunter2@s3.example.com", "S3_ENDPOINT: its value (not shown)"),
        ("S3_BUCKET", "B_AD bucket", "S3_BUCKET: 'B_AD bucket' is not a bucket's name"),
        ("S3_BUCKET", "ab", "S3_BUCKET: 'ab' is not a bucket's name"),
        (
            "GEMPOOL__STORAGE__REGION",
            "bad region!",
            "GEMPOOL__STORAGE__REGION: 'bad region!' is not a region",
        ),
    ],
)
def test_what_no_object_store_can_have_is_refused_at_the_start(name: str, value: str, why: str) -> None:
    """The variable is named, and a password in an address is not repeated."""
    said = problems(S3 | {name: value})
    assert why in said
    assert "hunter2" not in said
