"""Every setting of `config/gateway.yaml`: one struct a section, each field with its kind and its meaning.

`gateway.settings` reads them, `gateway.reference` prints them into docs/configuration.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Struct, field

from access import NamedKey, Rate
from core.secret import Secret
from gateway.keytable import KEYS
from gateway.modeltable import MODELS, SHIPPED_MODELS, Model
from gateway.values import (
    BOOLEAN,
    ENDPOINT,
    FILE,
    NETWORKS,
    ORIGINS,
    PATH,
    RATE,
    SECRET,
    SECRETS,
    TEXT,
    WEB_URL,
    Kind,
    choice,
    duration,
    matching,
    secret_url,
    size,
    whole,
)

HOUR = 3600.0
DAY = 24 * HOUR

LogFormat: TypeAlias = Literal["auto", "json", "text"]
Activity: TypeAlias = Literal["background", "each", "off"]
BarkMode: TypeAlias = Literal["gcm", "cbc"]
BUCKET = matching(
    "a bucket's name",
    "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "It has 3 to 63 lower case letters, digits, dots and hyphens, and begins and ends with a letter or digit.",
)
REGION = matching(
    "a region", "[A-Za-z0-9_-]{1,63}", "It has letters, digits, _ and -, as in us-east-1 or auto."
)
StorageKind: TypeAlias = Literal["auto", "local", "s3"]


class Setting(Struct, frozen=True):
    """What stands beside a field's type.

    env: a further, plain name in the environment.
    """

    kind: Kind[Any]
    doc: str
    env: str = ""


class ServerSettings(Struct, frozen=True):
    """The listening side."""

    host: Annotated[
        str,
        Setting(TEXT, "Address to listen on. A public one needs `API_KEY` or `access.keys`.", env="HOST"),
    ] = "127.0.0.1"
    port: Annotated[
        int, Setting(whole(0, 65535), "Port to listen on; 0 takes a free one, named in the log.", env="PORT")
    ] = 8100
    trusted_proxies: Annotated[
        tuple[str, ...],
        Setting(
            NETWORKS,
            "Proxies whose `X-Forwarded-For` tells the caller's address, and `X-Forwarded-Proto` the scheme of links.",
        ),
    ] = ()
    log_format: Annotated[
        LogFormat,
        Setting(choice("auto", "json", "text"), "`auto` is text on a terminal and JSON elsewhere."),
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Setting(choice("debug", "info", "warning", "error"), "The least severe events that are logged."),
    ] = "info"
    shutdown_grace: Annotated[
        float,
        Setting(duration(0, HOUR), "How long running requests may take to finish after SIGTERM."),
    ] = 30.0
    body_limit: Annotated[int, Setting(size(1024), "The largest request body.")] = 40 * 1024**2
    body_timeout: Annotated[float, Setting(duration(1), "Bound for a request's body to arrive.")] = 60.0
    message_limit: Annotated[int, Setting(whole(1), "Most messages (or contents) in one request.")] = 2000
    part_limit: Annotated[int, Setting(whole(1), "Most parts of all its messages together.")] = 4000
    file_limit: Annotated[int, Setting(whole(0), "Most files attached to one request.")] = 16
    prompt_limit: Annotated[int, Setting(size(1), "Most characters of text in one request.")] = 4 * 1024**2
    metrics_open: Annotated[
        bool,
        Setting(
            BOOLEAN, "`/metrics` needs no key (for a private network), unless a proxy hands the request on."
        ),
    ] = False
    cors_origins: Annotated[
        tuple[str, ...], Setting(ORIGINS, "Web origins whose pages may call the API; `*` is any.")
    ] = ("*",)
    keepalive_after: Annotated[
        float,
        Setting(duration(0.1), "Without content for so long, a stream's head and a keep-alive are sent."),
    ] = 10.0
    keepalive_every: Annotated[float, Setting(duration(0.1), "Time between keep-alives.")] = 15.0
    public_url: Annotated[
        str,
        Setting(
            WEB_URL, "Where callers reach the gateway: links begin with it. Unset: each request's own Host."
        ),
    ] = ""
    admin_session: Annotated[
        float,
        Setting(
            duration(1, 90 * DAY),
            "How long a sign-in to `/admin` lasts; using the page renews it. Where `ADMIN_KEY` is a digest, a restart ends it and"
            " several replicas need `GEMPOOL_STATE_KEY`.",
        ),
    ] = 12 * HOUR
    fetch_remote: Annotated[
        bool, Setting(BOOLEAN, "Whether pictures that a request names by their web address are fetched.")
    ] = True
    fetch_allow: Annotated[
        tuple[str, ...],
        Setting(
            NETWORKS, "Networks of your own that such addresses may lead to; only public ones otherwise."
        ),
    ] = ()


class EngineSettings(Struct, frozen=True):
    """One request on its way through the accounts."""

    deadline: Annotated[float, Setting(duration(1, DAY), "The longest that a request may take.")] = 300.0
    attempts: Annotated[
        int, Setting(whole(1, 1000), "Failures that one request may see of accounts which stay in rotation.")
    ] = 16
    reasks: Annotated[
        int,
        Setting(
            whole(0, 16), "How often the model is asked again whose call or JSON is not what was asked for."
        ),
    ] = 4
    connect_timeout: Annotated[
        float, Setting(duration(0.1), "Bound for the upstream to accept a request.")
    ] = 10.0
    first_content_timeout: Annotated[
        float, Setting(duration(0.1), "Bound from there to the first content of an answer.")
    ] = 60.0
    silence_timeout: Annotated[
        float, Setting(duration(0.1), "Bound for the silence between two contents.")
    ] = 60.0
    picture_timeout: Annotated[
        float,
        Setting(duration(0.1), "For a picture: both the bound to its first content and for each silence."),
    ] = 180.0


class PoolSettings(Struct, frozen=True):
    """The accounts and who serves next."""

    queue_size: Annotated[
        int, Setting(whole(0), "Requests that may wait for an account; one more is answered 429.")
    ] = 256
    queue_timeout: Annotated[float, Setting(duration(0), "The longest wait for an account, then 429.")] = 30.0
    lease_ttl: Annotated[
        float, Setting(duration(1, HOUR), "A replica silent for so long gives its accounts back.")
    ] = 15.0
    requests_per_minute: Annotated[
        int, Setting(whole(0), "Generations per account and minute, jittered; 0 sets no bound.")
    ] = 0
    activity: Annotated[
        Activity,
        Setting(
            choice("background", "each", "off"),
            "The web page's own activity calls: in the background while an account is in use, before each"
            " request, or never.",
        ),
    ] = "background"
    open_timeout: Annotated[float, Setting(duration(0.1), "Bound for opening an account's session.")] = 30.0
    probe_timeout: Annotated[float, Setting(duration(0.1), "Bound for one probe of an account.")] = 10.0
    open_parallel: Annotated[
        int,
        Setting(
            whole(1, 256),
            "Sessions opened side by side at most.",
        ),
    ] = 64
    open_per_address: Annotated[
        int,
        Setting(
            whole(1, 256),
            "Of those, so many at most over one proxy, or without one: many sign-ins at once from one address look odd.",
        ),
    ] = 8
    throttle_base: Annotated[
        float,
        Setting(duration(0.001), "HTTP 429 cools an account this long, times 1, 2, 4, 8, 16, jittered."),
    ] = 2.0
    cooldown_cap: Annotated[
        float, Setting(duration(0.001), "Bounds the cooldown of an account that the upstream asks for.")
    ] = HOUR
    usage_limit: Annotated[
        float, Setting(duration(0.001), "A used-up model rests so long where no reset time is told.")
    ] = HOUR
    lane_cap: Annotated[
        float, Setting(duration(0.001), "Bounds the cooldown of one model, whatever reset time is told.")
    ] = DAY
    model_unavailable: Annotated[
        float, Setting(duration(0.001), "A model that an account refused is not asked of it for so long.")
    ] = 600.0
    egress_blocked: Annotated[
        float, Setting(duration(0.001), "A blocked IP address rests all accounts behind it so long.")
    ] = 300.0
    eject_after: Annotated[
        int, Setting(whole(1, 1000), "Failures in a row after which an account is ejected.")
    ] = 5
    eject_base: Annotated[
        float, Setting(duration(0.001), "An ejection lasts this, times the ejections so far.")
    ] = 30.0
    eject_cap: Annotated[float, Setting(duration(0.001), "The longest ejection.")] = 300.0
    suspect_park: Annotated[
        float, Setting(duration(0.001), "A suspect account rests until probed, at most so long at a time.")
    ] = 30.0


class SupervisorSettings(Struct, frozen=True):
    """Keeping the accounts well."""

    probe_interval: Annotated[
        float, Setting(duration(0.1), "An account that nothing proved well for so long is probed.")
    ] = 300.0
    rotate_interval: Annotated[
        float, Setting(duration(0.1), "Cookies are rotated before they reach this age.")
    ] = 600.0
    reprobe_first: Annotated[
        float, Setting(duration(0.1), "First wait before an account that is not well is tried again.")
    ] = 30.0
    reprobe_max: Annotated[float, Setting(duration(0.1), "The wait grows up to this.")] = 1800.0


class AlertsSettings(Struct, frozen=True):
    """Messages to the operator's phone."""

    pool_below: Annotated[
        int, Setting(whole(0), "Alert when fewer accounts than this are well, and when none is.")
    ] = 1
    min_interval: Annotated[
        float, Setting(duration(0), "Least time between two alerts of a kind about the same account.")
    ] = 600.0
    max_age: Annotated[
        float, Setting(duration(0), "An alert that cannot be delivered is tried again for so long.")
    ] = 3600.0
    timeout: Annotated[float, Setting(duration(0.1), "Bound for one request to the Bark server.")] = 10.0
    environment: Annotated[
        str, Setting(TEXT, "Names this installation: the alerts' group and the first word of their titles.")
    ] = "gempool"
    admin_url: Annotated[
        str, Setting(WEB_URL, "Where your phone reaches the admin page: alerts link to the account there.")
    ] = ""
    bark_encryption: Annotated[
        BarkMode,
        Setting(choice("gcm", "cbc"), "The mode set in the app, where `BARK_ENCRYPTION_KEY` is given."),
    ] = "gcm"


class LimitsSettings(Struct, frozen=True):
    """What each caller may ask. A caller is an API key, or without any an address."""

    enabled: Annotated[
        bool, Setting(BOOLEAN, "Whether callers are limited, those with limits of their own included.")
    ] = True
    per_caller: Annotated[
        Rate, Setting(RATE, "For each caller over all models: so many in any such time; `off` sets no bound.")
    ] = Rate(60, HOUR)
    per_caller_and_model: Annotated[
        Rate, Setting(RATE, "For each caller and model; `off` sets no bound.")
    ] = Rate(1, 5.0)


class AccessSettings(Struct, frozen=True):
    """Who may call, beside `API_KEY`. docs/keys.md tells how."""

    keys: Annotated[
        tuple[NamedKey, ...],
        Setting(
            KEYS,
            "API keys by name, each with the digest that `gempool keys new` or `hash` prints, and, where wanted,"
            " `models`, `per_caller` and `per_caller_and_model` of its own.",
        ),
    ] = ()


class ModelsSettings(Struct, frozen=True):
    """The public names of models."""

    default: Annotated[str, Setting(TEXT, "The model of a request that names none.")] = (
        "gemini-3-flash-preview"
    )
    default_image: Annotated[str, Setting(TEXT, "The model of a picture request that names none.")] = (
        "gemini-3-pro-image-preview"
    )
    table: Annotated[
        Mapping[str, Model],
        Setting(MODELS, "Public name to upstream names; adds to the shipped table, null takes a name out."),
    ] = field(default_factory=lambda: SHIPPED_MODELS)


class WatermarkSettings(Struct, frozen=True):
    """The visible logo on generated pictures."""

    enabled: Annotated[bool, Setting(BOOLEAN, "Whether the logo is removed.")] = True
    stars_file: Annotated[
        Path | None,
        Setting(
            FILE,
            "A file of `gempool watermark calibrate`: how the logo looks, where it has changed.",
        ),
    ] = None
    workers: Annotated[
        int, Setting(whole(1, 64), "Pictures that are worked on at once; each takes a core and some 300 MB.")
    ] = 1
    max_pixels: Annotated[
        int, Setting(whole(1), "A picture with more pixels is handed out without being decoded.")
    ] = 64_000_000


class StorageSettings(Struct, frozen=True):
    """Where pictures are kept that were asked for as links, or that a chat's answer holds."""

    kind: Annotated[
        StorageKind,
        Setting(
            choice("auto", "local", "s3"),
            "`local` is a folder, served under `/files/`; `s3` needs the `S3_*` names; `auto` is `s3` where"
            " `S3_ENDPOINT` is set.",
        ),
    ] = "auto"
    directory: Annotated[
        Path | None,
        Setting(
            PATH, "The folder; several replicas share one, or use `s3`. Unset: `pictures` in the data folder."
        ),
    ] = None
    max_age: Annotated[
        float, Setting(duration(0), "Pictures in the folder are removed after this; 0 keeps them for ever.")
    ] = 7 * DAY
    max_bytes: Annotated[
        int, Setting(size(0), "The most that the folder may hold, the oldest go first; 0 sets no bound.")
    ] = 10 * 1024**3
    link_ttl: Annotated[
        float,
        Setting(duration(1, 7 * DAY), "How long signed links work, where `S3_PUBLIC_URL` is not set."),
    ] = DAY
    region: Annotated[str, Setting(REGION, "The object store's region.")] = "us-east-1"
    timeout: Annotated[
        float, Setting(duration(0.1), "Bound for connecting to the object store and for each silence of it.")
    ] = 10.0


class BatchesSettings(Struct, frozen=True):
    """Work for later. docs/batches.md tells how it runs."""

    concurrency: Annotated[
        int, Setting(whole(1, 10_000), "Tasks of all batches that run at once, over all replicas.")
    ] = 16
    share: Annotated[
        int,
        Setting(
            whole(1, 100),
            "Percent of what all accounts can do at once that batches may take; one task may always run.",
        ),
    ] = 50
    max_tasks: Annotated[int, Setting(whole(1, 1_000_000), "Most prompts of one batch.")] = 10_000
    max_open: Annotated[int, Setting(whole(1), "Unfinished batches that one caller may have.")] = 20
    tries: Annotated[
        int, Setting(whole(1, 20), "How often a task is tried that fails for reasons that may pass.")
    ] = 6
    backoff: Annotated[
        float,
        Setting(
            duration(0.001), "The wait before the second try, jittered; it doubles with each, up to 16 times."
        ),
    ] = 2.0
    keep: Annotated[float, Setting(duration(1), "How long a batch is known after it has ended.")] = 7 * DAY
    worker: Annotated[
        bool,
        Setting(
            BOOLEAN, "Whether this replica runs tasks; it takes batches in and tells of them in any case."
        ),
    ] = True
    worker_ttl: Annotated[
        float, Setting(duration(1, HOUR), "A replica silent for so long loses its tasks to the others.")
    ] = 5.0


class ConversationsSettings(Struct, frozen=True):
    """How conversations go on, and what is left in the accounts' histories."""

    delete_picture_chats: Annotated[
        bool,
        Setting(
            BOOLEAN,
            "The chats that pictures are made in, which cannot be temporary ones, are deleted afterwards.",
        ),
    ] = True

    mode: Annotated[
        Literal["temporary", "sticky"],
        Setting(
            choice("temporary", "sticky"),
            "`temporary` sends the whole history each time and leaves nothing in the account's;"
            " `sticky` goes on in the same chat, which stays in the account's history.",
        ),
    ] = "temporary"
    keep: Annotated[
        float,
        Setting(
            duration(1),
            "How long a conversation is known after it was last used: a sticky one, and the responses that"
            " `previous_response_id` goes on from.",
        ),
    ] = DAY
    patience: Annotated[
        float,
        Setting(
            duration(),
            "How long a sticky conversation waits for its own account while that one is busy; then its whole history"
            " is asked elsewhere.",
        ),
    ] = 3.0
    max_bytes: Annotated[
        int,
        Setting(
            size(1024),
            "The most that one response may add to a kept conversation, files counted; more is not kept.",
        ),
    ] = 8 * 1024**2
    max_turns: Annotated[
        int, Setting(whole(1), "The most responses of one kept conversation; a further one is not kept.")
    ] = 200


class S3Settings(Struct, frozen=True):
    """An S3-compatible object store. From the environment only."""

    endpoint: Annotated[
        str,
        Setting(ENDPOINT, "Address of the object store, as in `https://s3.example.com`.", env="S3_ENDPOINT"),
    ] = ""
    access_key: Annotated[Secret, Setting(SECRET, "Its access key.", env="S3_ACCESS_KEY")] = Secret("")
    secret_key: Annotated[Secret, Setting(SECRET, "Its secret key.", env="S3_SECRET_KEY")] = Secret("")
    bucket: Annotated[str, Setting(BUCKET, "The bucket for pictures.", env="S3_BUCKET")] = ""
    public_url: Annotated[
        str,
        Setting(
            WEB_URL,
            "Address under which callers read the bucket. Unset: links are signed for `storage.link_ttl`.",
            env="S3_PUBLIC_URL",
        ),
    ] = ""


class BarkSettings(Struct, frozen=True):
    """Bark, which shows alerts on a phone. From the environment only."""

    url: Annotated[
        Secret,
        Setting(
            secret_url("http", "https"),
            "Address of the Bark server, `https://api.day.app` for the app's public one; may hold a user and a"
            " password.",
            env="BARK_URL",
        ),
    ] = Secret("")
    keys: Annotated[
        tuple[Secret, ...],
        Setting(SECRETS, "Device keys, comma separated.", env="BARK_KEYS"),
    ] = ()
    encryption_key: Annotated[
        Secret,
        Setting(
            SECRET,
            "Encrypts alerts with the app's own encryption; 16, 24 or 32 characters.",
            env="BARK_ENCRYPTION_KEY",
        ),
    ] = Secret("")
