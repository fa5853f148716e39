"""The settings of one process, from the command line, the environment and `config/gateway.yaml`.

The only reader of the environment. What is nearer wins: an option of the command line, then
`GEMPOOL__SECTION__FIELD`, then a plain name (`PORT`), then the file, then the default. An empty value in the
environment counts as not set. Secrets come from the environment only, or from the file that `NAME_FILE` names.
"""

import ipaddress
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from msgspec import Struct, field

from access import BadKey, Keys
from core.secret import Secret
from gateway.sections import (
    AccessSettings,
    AlertsSettings,
    BarkSettings,
    BatchesSettings,
    ConversationsSettings,
    EngineSettings,
    LimitsSettings,
    ModelsSettings,
    PoolSettings,
    S3Settings,
    ServerSettings,
    Setting,
    StorageSettings,
    SupervisorSettings,
    WatermarkSettings,
)
from gateway.sources import CONFIG_FILE_NAME, IN_FILE, Given, from_environment, from_file
from gateway.values import BOOLEAN, ENDPOINT, FILE, PATH, SECRET, SECRETS, STORE, WEB_URL, Told

FILE_SECTIONS: Mapping[str, type[Struct]] = {
    "server": ServerSettings,
    "engine": EngineSettings,
    "pool": PoolSettings,
    "supervisor": SupervisorSettings,
    "alerts": AlertsSettings,
    "limits": LimitsSettings,
    "access": AccessSettings,
    "models": ModelsSettings,
    "watermark": WatermarkSettings,
    "storage": StorageSettings,
    "batches": BatchesSettings,
    "conversations": ConversationsSettings,
}
SECTIONS: Mapping[str, type[Struct]] = {"s3": S3Settings, "bark": BarkSettings, **FILE_SECTIONS}
DEFAULT_CONFIG_FILE = Path("config/gateway.yaml")


class SettingsError(Exception):
    """One or more settings are wrong. Each of `problems` names the key, where it stands and the remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Environment(Mapping[str, str]):
    """The environment as it was at the start, for `${NAME}` in the accounts file. Does not print itself."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environment({len(self)} names)"


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set. Durations are seconds, sizes bytes."""

    api_keys: Annotated[
        tuple[Secret, ...],
        Setting(
            SECRETS,
            "Keys that callers use, comma separated; a key or `sha256:` and its digest in hex.",
            env="API_KEY",
        ),
    ] = ()
    admin_key: Annotated[
        Secret,
        Setting(
            SECRET, "The operator's key; no API key, and not limited. Reads `/metrics` too.", env="ADMIN_KEY"
        ),
    ] = Secret("")
    redis_url: Annotated[
        Secret,
        Setting(
            STORE,
            "A Redis (7.0 or newer) or Valkey that all replicas share. Unset: an embedded Valkey.",
            env="REDIS_URL",
        ),
    ] = Secret("")
    accounts_file: Annotated[Path, Setting(PATH, "The accounts.", env="GEMPOOL_ACCOUNTS_FILE")] = Path(
        "config/accounts.yaml"
    )
    data_dir: Annotated[
        Path,
        Setting(PATH, "Where the embedded store, cookie caches and pictures live.", env="GEMPOOL_DATA_DIR"),
    ] = Path("data")
    upstream_ca_file: Annotated[
        Path | None,
        Setting(
            FILE,
            "A CA (PEM) that upstream TLS may be signed by: a company proxy's, the simulator's.",
            env="GEMPOOL_UPSTREAM_CA_FILE",
        ),
    ] = None
    state_key: Annotated[
        Secret,
        Setting(
            SECRET,
            "Encrypts cookies, kept responses and batches in the store; the same for all replicas.",
            env="GEMPOOL_STATE_KEY",
        ),
    ] = Secret("")
    allow_anonymous: Annotated[
        bool,
        Setting(
            BOOLEAN, "Serve callers without a key on a public address too.", env="GEMPOOL_ALLOW_ANONYMOUS"
        ),
    ] = False
    s3: S3Settings = S3Settings()
    bark: BarkSettings = BarkSettings()

    server: ServerSettings = ServerSettings()
    engine: EngineSettings = EngineSettings()
    pool: PoolSettings = PoolSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    alerts: AlertsSettings = AlertsSettings()
    limits: LimitsSettings = LimitsSettings()
    access: AccessSettings = AccessSettings()
    models: ModelsSettings = ModelsSettings()
    watermark: WatermarkSettings = WatermarkSettings()
    storage: StorageSettings = StorageSettings()
    batches: BatchesSettings = BatchesSettings()
    conversations: ConversationsSettings = ConversationsSettings()

    environment: Environment = field(default_factory=lambda: Environment({}))
    without_effect: tuple[str, ...] = ()
    """Settings that were set and that others make pointless, each with the reason."""

    @property
    def loopback_only(self) -> bool:
        return is_loopback(self.server.host)

    @property
    def stores_in_s3(self) -> bool:
        kind = self.storage.kind
        return kind == "s3" or (kind == "auto" and bool(self.s3.endpoint))


def from_process(
    overrides: Mapping[str, str | Path] | None = None, without: Collection[str] = (), *, listens: bool = True
) -> Settings:
    """`load` with this process's environment, but for the names in `without` and the files of theirs."""
    left = {name: value for name, value in os.environ.items() if name.removesuffix(IN_FILE) not in without}
    return load(left, overrides, listens=listens)


def load(
    environ: Mapping[str, str], overrides: Mapping[str, str | Path] | None = None, *, listens: bool = True
) -> Settings:
    """Settings from an environment, the configuration file that it names, and options of the command line.

    overrides: by dotted name (`server.port`, `accounts_file`) or `config_file`; None values are left out by
    the caller. listens: a server is to be started with them, which must not be open to everybody by oversight.
    Raises SettingsError with every problem that was found.
    """
    problems: list[str] = []
    settings = all_settings()
    options = {key: Given(str(value), f"--{_option(key)}") for key, value in (overrides or {}).items()}
    config_file, named_by = _config_file(environ, options)
    in_file = {key for key in settings if key.partition(".")[0] in FILE_SECTIONS}
    plain = {setting.env: key for key, setting in settings.items() if setting.env}
    given = from_file(config_file, named_by, tuple(FILE_SECTIONS), in_file, problems)
    given |= from_environment(environ, plain, in_file, problems, secret_names())
    given |= options

    values: dict[str, Any] = {}
    without_effect: list[str] = []
    for key, setting in settings.items():
        if key not in given:
            continue
        try:
            values[key] = setting.kind.parse(given[key].raw)
        except ValueError as error:
            problems.append(_wrong(given[key], setting, error))

    if "s3.endpoint" in values and values.get("storage.kind") == "local":
        without_effect.append(f"{given['s3.endpoint'].where} (storage.kind is local)")
    loaded = _build(values, Environment(environ), tuple(without_effect))
    # What is set and will not do has been told as that; it is not missing besides.
    refused = {
        setting.env
        for key, setting in settings.items()
        if setting.env
        and key not in values
        and any(environ.get(name, "").strip() for name in (setting.env, setting.env + IN_FILE))
    }
    problems += _contradictions(loaded, refused)
    if listens and "API_KEY" not in refused and (problem := exposure(loaded)):
        problems.append(problem)
    if problems:
        raise SettingsError(problems)
    return loaded


def all_settings() -> dict[str, Setting]:
    """Every setting by its dotted name: `accounts_file`, `s3.bucket`, `server.port`."""
    found = dict(settings_of(Settings))
    for section, struct in SECTIONS.items():
        found |= {f"{section}.{key}": setting for key, setting in settings_of(struct)}
    return found


def secret_names() -> dict[str, bool]:
    """The plain names that a file may hold instead, as `NAME_FILE`; True for lists."""
    return {
        setting.env: setting.kind is SECRETS
        for setting in all_settings().values()
        if setting.env and setting.kind.secret and setting.kind not in (WEB_URL, ENDPOINT)
    }


def settings_of(struct: type[Struct]) -> Iterator[tuple[str, Setting]]:
    for key, hint in get_type_hints(struct, include_extras=True).items():
        for extra in getattr(hint, "__metadata__", ()):
            if isinstance(extra, Setting):
                yield key, extra


def exposure(settings: Settings) -> str:
    """Why a server must not listen with these; '' where it may."""
    closed = settings.api_keys or settings.access.keys
    if settings.loopback_only or closed or settings.allow_anonymous:
        return ""
    return (
        f"HOST: {settings.server.host} is a public address and API_KEY is not set, so anyone could use"
        " your accounts. Set API_KEY, or HOST=127.0.0.1, or (behind a guard of your own)"
        " GEMPOOL_ALLOW_ANONYMOUS=true."
    )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _option(key: str) -> str:
    return key.rpartition(".")[2].removesuffix("_file")


def _config_file(environ: Mapping[str, str], options: dict[str, Given]) -> tuple[Path, str]:
    """The file, and who named it; nobody may have, and then it need not exist."""
    if (option := options.pop("config_file", None)) is not None:
        return Path(str(option.raw)).expanduser(), option.where
    if named := environ.get(CONFIG_FILE_NAME, "").strip():
        return Path(named).expanduser(), CONFIG_FILE_NAME
    return DEFAULT_CONFIG_FILE, ""


def _wrong(given: Given, setting: Setting, error: ValueError) -> str:
    """A parser's plain ValueError may carry a reason; it is not told of a secret, for it may quote it."""
    if isinstance(error, Told):
        return f"{given.where}: {error}"
    if setting.kind.secret:
        fault = f"its value (not shown) is not {setting.kind.name}"
    elif type(error) is ValueError and str(error):
        fault = f"{given.raw!r} will not do, {error}"
    else:
        fault = f"{given.raw!r} is not {setting.kind.name}"
    return f"{given.where}: {fault}. {setting.kind.remedy}"


def _build(values: Mapping[str, Any], environment: Environment, without_effect: tuple[str, ...]) -> Settings:
    sections: dict[str, Any] = {
        section: struct(**{key: values[name] for key, name in _names(section, struct) if name in values})
        for section, struct in SECTIONS.items()
    }
    top = {key: value for key, value in values.items() if "." not in key}
    return Settings(**top, **sections, environment=environment, without_effect=without_effect)


def _names(section: str, struct: type[Struct]) -> Iterator[tuple[str, str]]:
    return ((key, f"{section}.{key}") for key in struct.__struct_fields__)


def _contradictions(settings: Settings, refused: Collection[str]) -> list[str]:
    """refused: plain names that are set to what will not do."""
    problems = []
    try:
        Keys(settings.api_keys, settings.admin_key, settings.access.keys)
    except BadKey as error:
        problems.append(str(error))
    models = settings.models
    if (default := models.table.get(models.default)) is None:
        known = ", ".join(models.table)
        problems.append(f"models.default: {models.default} is not in models.table. It has: {known}.")
    elif default.category != "text":
        problems.append(f"models.default: {models.default} is a model for images. Name one for text.")
    images = [name for name, model in models.table.items() if model.category == "image"]
    if images and models.default_image not in images:
        problems.append(
            f"models.default_image: {models.default_image} is no model for images in models.table. It has:"
            f" {', '.join(images)}."
        )
    problems += _storage_problems(settings, refused)
    if bool(settings.bark.url) != bool(settings.bark.keys) and not {"BARK_URL", "BARK_KEYS"} & set(refused):
        given, missing = ("BARK_URL", "BARK_KEYS") if settings.bark.url else ("BARK_KEYS", "BARK_URL")
        problems.append(
            f"{missing}: {given} is set and this is not, so nobody would be alerted. Set both (the app shows"
            " them as one address, https://api.day.app/<key>), or neither."
        )
    if (key := settings.bark.encryption_key) and len(key.reveal().encode()) not in (16, 24, 32):
        problems.append(
            "BARK_ENCRYPTION_KEY: a key has 16, 24 or 32 characters (AES-128, -192, -256). Copy the one from"
            " the app's encryption settings."
        )
    if settings.supervisor.reprobe_first > settings.supervisor.reprobe_max:
        problems.append(
            "supervisor.reprobe_first is longer than supervisor.reprobe_max. Lower it, or raise the other."
        )
    return problems


def _storage_problems(settings: Settings, refused: Collection[str]) -> list[str]:
    s3, problems = settings.s3, []
    if settings.stores_in_s3:
        given = {
            "S3_ENDPOINT": bool(s3.endpoint),
            "S3_ACCESS_KEY": bool(s3.access_key),
            "S3_SECRET_KEY": bool(s3.secret_key),
            "S3_BUCKET": bool(s3.bucket),
        }
        if missing := [name for name, there in given.items() if not there and name not in refused]:
            problems.append(
                f"The object store needs {', '.join(missing)} in the environment. Set them, or storage.kind: local."
            )
    return problems
