"""Every metric of the service on one page; `docs/metrics.md` is the operator's side of it. One `Metrics` per application.

Labels are bounded: `route` is the route's template, `model` a public name or `other`, `account` an id from
the accounts file, everything else a word from a fixed set.
"""

from collections.abc import Collection, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from core.instruments import Families

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
OVERHEAD_SECONDS = (0.00025, 0.0005, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

ACCOUNT = "an `id` of the accounts file"
ROUTE = "a route's template, `preflight` or `unrouted`"
MODEL = "a public model's name, `other` for any other, `none` where none was asked for"
KINDS = ("text", "picture", "tokens", "batch", "none")
"""What a request asked for: an answer of an account, which is text or a picture; what the gateway answers itself though a model
is named, a count of tokens or the taking in of a batch; or nothing of a model."""
MADE = ("text", "picture", "none")
"""What an account was to make for a request; `none` where no account was looked for."""
ENDED = "`ok`, `cancelled`, or the error's code as callers see it"
CALLED = "`ok`, `cancelled`, a failure's reason, or the code of an error that was the caller's"
FOUND = "`well`, or what was wrong"
STATES = ("starting", "active", "cooling", "quarantined", "disabled", "draining")
REASONS = (
    "expired",
    "rejected",
    "suspect",
    "throttled",
    "usage_limit",
    "model_unavailable",
    "ip_blocked",
    "unstable",
    "network",
    "web_only",
    "no_full_size",
)
"""Why a request goes on to another account."""
STAGES = ("read", "queue", "upstream", "pictures", "send", "own")


class Metrics:
    """The families, as attributes. `pieces` is what `/metrics` shows."""

    def __init__(self) -> None:
        self.families = Families()
        counter, gauge = self.families.counter, self.families.gauge
        histogram, summary = self.families.histogram, self.families.summary
        self._accounts: frozenset[str] = frozenset()
        self._gone: frozenset[str] = frozenset()

        # the process
        self.build = gauge(
            "gempool_build_info", "1, with the version that runs.", version="the package's version"
        )
        self.tasks = gauge(
            "gempool_tasks", "Asyncio tasks of this replica, as many as there are when shown."
        ).labels()

        # callers
        self.requests = counter(
            "gempool_requests_total",
            "Requests by callers, by how they ended (ok, or the error's code).",
            route=ROUTE,
            model=MODEL,
            kind=KINDS,
            outcome=ENDED,
        )
        self.request_seconds = histogram(
            "gempool_request_duration_seconds",
            "From the request's head to the last byte of its answer, by what an account was to make for it.",
            SECONDS,
            route=ROUTE,
            kind=MADE,
        )
        self.first_content_seconds = histogram(
            "gempool_time_to_first_content_seconds",
            "From the request's head to the first content of its answer.",
            SECONDS,
            route=ROUTE,
            kind=MADE[:2],
        )
        self.overhead_seconds = histogram(
            "gempool_overhead_seconds",
            "The gateway's own share of a request: all but waiting for an account or the upstream.",
            OVERHEAD_SECONDS,
            route=ROUTE,
        )
        self.stage_seconds = histogram(
            "gempool_stage_duration_seconds",
            "What the time of a request that asked for a model went into; the stages of one request add up to its duration.",
            STAGE_SECONDS,
            stage=STAGES,
        )
        self.in_flight = gauge("gempool_requests_in_flight", "Requests being answered now.").labels()
        self.rate_limited = counter(
            "gempool_rate_limited_total",
            "Requests that a caller's limit refused, by the limit that refuses for longest (`caller` over all models,"
            " `caller_and_model`).",
            scope=("caller", "caller_and_model"),
        )
        self.cancelled = counter(
            "gempool_cancelled_total", "Answers that the caller did not wait for."
        ).labels()

        # the pool
        self.upstream_calls = counter(
            "gempool_upstream_calls_total",
            "Generations sent to an account, by how they ended (ok, or the failure's reason).",
            account=ACCOUNT,
            outcome=CALLED,
        )
        self.upstream_seconds = summary(
            "gempool_upstream_call_duration_seconds",
            "From an account's lease to the end of the generation, however it ended.",
            account=ACCOUNT,
        )
        self.throttled = counter(
            "gempool_upstream_throttled_total",
            "Answers that said 'too much', by kind (throttled, usage_limit, ip_blocked).",
            account=ACCOUNT,
            kind=("throttled", "usage_limit", "ip_blocked"),
        )
        self.failovers = counter(
            "gempool_failovers_total",
            "Attempts that were moved on to another account, by the failure's reason.",
            reason=REASONS,
        )
        self.accounts = gauge("gempool_accounts", "Accounts by state, over all replicas.", state=STATES)
        self.capacity = gauge(
            "gempool_capacity",
            "Generations that the accounts which can serve may run at once, over all replicas.",
        ).labels()
        self.account_state = gauge(
            "gempool_account_state",
            "1 for the state that the account is in, 0 for the others.",
            account=ACCOUNT,
            state=STATES,
        )
        self.account_reason = gauge(
            "gempool_account_reason",
            "1, with the reason for the account's state; no series where the state has none.",
            account=ACCOUNT,
            reason="a failure's reason, why the upstream rejected the account, `by hand`, `by configuration` or `removed`",
        )
        self.account_models_cooling = gauge(
            "gempool_account_models_cooling",
            "Models that the account does not serve for now though it is well otherwise.",
            account=ACCOUNT,
        )
        self.account_last_used = gauge(
            "gempool_account_last_used_timestamp_seconds",
            "When the account was leased last, by any replica; 0 for never.",
            account=ACCOUNT,
        )
        self.account_proved = gauge(
            "gempool_account_proved_timestamp_seconds",
            "When traffic, a probe or a fresh session last proved the account well; 0 for never.",
            account=ACCOUNT,
        )
        self.account_next_probe = gauge(
            "gempool_account_next_probe_timestamp_seconds",
            "When the account is probed next. Only the replica that looks after the accounts shows it.",
            account=ACCOUNT,
        )
        self.account_in_flight = gauge(
            "gempool_account_in_flight",
            "Generations that this replica runs on the account now.",
            account=ACCOUNT,
        )
        self.sessions_open = gauge(
            "gempool_sessions_open", "Accounts with an open session in this replica."
        ).labels()
        self.queue_depth = gauge(
            "gempool_queue_depth", "Requests waiting for an account in this replica."
        ).labels()
        self.queue_wait_seconds = histogram(
            "gempool_queue_wait_seconds",
            "How long requests waited for an account; those that did not wait are not counted.",
            SECONDS,
        ).labels()
        self.session_opens = counter(
            "gempool_session_opens_total",
            "Sessions opened towards the web app, by outcome (ok, or the failure's reason).",
            account=ACCOUNT,
            outcome="`ok`, a failure's reason, or an error's code",
        )
        self.probes = counter(
            "gempool_probes_total",
            "Probes of accounts, by outcome (well, or what was wrong).",
            account=ACCOUNT,
            outcome=FOUND,
        )
        self.rotations = counter(
            "gempool_rotations_total",
            "Rotations of cookies, by outcome (ok, empty, or what was wrong).",
            account=ACCOUNT,
            outcome="`ok`, `empty`, a failure's reason, or an error's code",
        )
        self.cookie_age = gauge(
            "gempool_cookie_age_seconds",
            "Time since the account's cookies were rotated, or first seen.",
            account=ACCOUNT,
        )
        self.leader = gauge(
            "gempool_leader", "1 in the replica that probes and rotates, 0 in the others."
        ).labels()
        self.replicas = gauge("gempool_replicas", "Replicas that live, as the store told last.").labels()
        self.config_errors = gauge(
            "gempool_config_broken",
            "1 while the file on disk is broken and the last good one is in use.",
            file="the path of a watched file",
        )

        # answers
        self.stream_rewrites = counter(
            "gempool_stream_rewrites_total",
            "Streamed answers in which the upstream changed text that had been sent already.",
        ).labels()
        self.conversations = counter(
            "gempool_conversations_total",
            "Answers of sticky conversations: in a chat that was new (`begun`), in the chat that they stood in"
            " (`continued`), or in a new one with the whole history, since that one could not be gone on in (`replayed`).",
            course=("begun", "continued", "replayed"),
        )
        self.shaped_answers = counter(
            "gempool_shaped_answers_total",
            "Answers to requests with tools or a schema: right at once (`ok`), after a repair (`repaired`), after the model was"
            " asked again (`reasked`), words where a call or JSON was wanted (`refused`), nothing that can be used (`failed`).",
            outcome=("ok", "repaired", "reasked", "refused", "failed"),
        )

        # pictures
        self.pictures = counter(
            "gempool_pictures_total",
            "Generated pictures handed out (`ok`), and picture requests that ended without one (`refused` by the"
            " model, `failed`); on the way there answers with pictures from the web only (`web_only`) and accounts"
            " that make no more for now (`used_up`).",
            outcome=("ok", "refused", "failed", "web_only", "used_up"),
        )
        self.picture_downloads = counter(
            "gempool_picture_downloads_total",
            "Pictures taken from accounts: in the size that the model made (`full`), or as the web app's scaled copy"
            " (`preview`), since that could not be had.",
            form=("full", "preview"),
        )
        self.watermark = counter(
            "gempool_watermark_total",
            "Finished pictures by what became of the visible logo: `removed`, `kept` on demand, why the picture was"
            " left as it is (`no_logo`, `not_sure`, ...), or `failed` for a fault of ours.",
            verdict=(
                "removed",
                "kept",
                "no_logo",
                "not_sure",
                "too_small",
                "unsupported",
                "broken",
                "too_many_pixels",
                "animated",
                "transparent",
                "other",
                "failed",
            ),
        )
        self.watermark_seconds = histogram(
            "gempool_watermark_duration_seconds", "From a picture file to the cleaned one.", SECONDS
        ).labels()
        self.pictures_stored = counter(
            "gempool_pictures_stored_total",
            "Pictures handed to a store: `ok`, `failed`, or `fallback` where the local folder stood in.",
            store=("local", "s3"),
            outcome=("ok", "failed", "fallback"),
        )

        # the store
        self.store_up = gauge(
            "gempool_store_up", "1 while the store answers this replica, 0 while it does not."
        ).labels()
        self.store_errors = counter(
            "gempool_store_errors_total",
            "Store commands that failed.",
            operation="the name of a script, or of what is read",
        )
        self.store_seconds = histogram(
            "gempool_store_duration_seconds",
            "Round trips to the store.",
            OVERHEAD_SECONDS,
            operation="the name of a script, or of what is read",
        )

        # batches
        self.batch_tasks = counter(
            "gempool_batch_tasks_total",
            "Runs of batch tasks, by how they ended: `completed`, `failed` for good, `retried` (failed and tried again later),"
            " `returned` (no account was free, or this replica stops; not counted as a try), `lost` (another replica had taken"
            " the task over, so that the result was thrown away).",
            kind=("images", "chat"),
            outcome=("completed", "failed", "retried", "returned", "lost"),
        )
        self.batch_task_seconds = histogram(
            "gempool_batch_task_duration_seconds",
            "One run of a batch task that ended well.",
            SECONDS,
            kind=("images", "chat"),
        )
        self.batches_created = counter(
            "gempool_batches_created_total", "Batches taken in.", kind=("images", "chat")
        )
        self.batches_open = gauge(
            "gempool_batches_open",
            "Unfinished batches, as the store told last; the same in all replicas.",
        ).labels()
        self.batch_tasks_pending = gauge(
            "gempool_batch_tasks_pending",
            "Tasks of unfinished batches that have not ended, by state (`waiting`, `running`), as the store told last; the same"
            " in all replicas.",
            state=("waiting", "running"),
        )

        # alerts
        self.alerts = counter(
            "gempool_alerts_total",
            "Alerts by kind and by what became of them: told (a device took it), superseded (over before it"
            " was told), failed (given up), dropped (too many waited), no_device (none is configured).",
            kind=(
                "expired",
                "rejected",
                "ip_blocked",
                "pool_below",
                "pool_empty",
                "config_broken",
                "recovered",
            ),
            outcome=("told", "superseded", "failed", "dropped", "no_device"),
        )
        self.alert_pushes = counter(
            "gempool_alert_pushes_total",
            "Alerts sent to a device, by outcome (ok, refused, unreachable); repeats count again.",
            outcome=("ok", "refused", "unreachable"),
        )
        self.alerts_pending = gauge(
            "gempool_alerts_pending", "Alerts that this replica has yet to tell."
        ).labels()

        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self.registry = CollectorRegistry()
        """The same for prometheus_client's own tools, which are slow."""
        self.registry.register(_Bridge(self.families))
        ProcessCollector(registry=self.registry)

    def pieces(self) -> Iterator[str]:
        """What a scraper reads, in pieces that are made as they are taken. No series is torn apart."""
        for family in self.families.all:
            yield from family.pieces()
        yield generate_latest(self._process).decode()

    def only_accounts(self, known: Collection[str]) -> None:
        """Forget what is shown of accounts that are no more. What their last calls still move goes the next time."""
        now = frozenset(known)
        self._gone = (self._gone | self._accounts) - now
        self._accounts = now
        if self._gone:
            for family in self.families.all:
                family.drop("account", self._gone)


class _Bridge(Collector):
    def __init__(self, families: Families) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for family in self._families.all:
            counts = family.kind == "counter"
            name = family.name.removesuffix("_total") if counts else family.name
            metric = Metric(name, family.help, family.kind)
            for suffix, labels, value in family.samples():
                metric.add_sample(family.name + suffix, dict(labels), value)
            yield metric
