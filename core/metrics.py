"""Every metric of the service on one page. One `Metrics` per application, on a registry of its own.

Labels are bounded: `route` is the route's template, `model` a public name or `other`, `account` an id from
the accounts file, everything else a word from a fixed set.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
OVERHEAD_SECONDS = (0.00025, 0.0005, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)


class Metrics:
    """The families, as attributes. `registry` is what `/metrics` renders."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry

        # callers
        self.requests = Counter(
            "gempool_requests",
            "Requests by callers, by how they ended (ok, or the error's code).",
            ["route", "model", "outcome"],
            registry=r,
        )
        self.request_seconds = Histogram(
            "gempool_request_duration_seconds",
            "From the request's head to the last byte of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=r,
        )
        self.first_content_seconds = Histogram(
            "gempool_time_to_first_content_seconds",
            "From the request's head to the first content of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=r,
        )
        self.overhead_seconds = Histogram(
            "gempool_overhead_seconds",
            "The gateway's own share of a request: all but waiting for an account or the upstream.",
            ["route"],
            buckets=OVERHEAD_SECONDS,
            registry=r,
        )
        self.in_flight = Gauge("gempool_requests_in_flight", "Requests being answered now.", registry=r)

        self.rate_limited = Counter(
            "gempool_rate_limited",
            "Requests that a caller's limit refused, by the limit that refuses for longest (`caller` over all models,"
            " `caller_and_model`).",
            ["scope"],
            registry=r,
        )

        # the pool
        self.upstream_calls = Counter(
            "gempool_upstream_calls",
            "Generations sent to an account, by how they ended (ok, or the failure's reason).",
            ["account", "outcome"],
            registry=r,
        )
        self.throttled = Counter(
            "gempool_upstream_throttled",
            "Answers that said 'too much', by kind (throttled, usage_limit, ip_blocked).",
            ["account", "kind"],
            registry=r,
        )
        self.failovers = Counter(
            "gempool_failovers",
            "Attempts that were moved on to another account, by the failure's reason.",
            ["reason"],
            registry=r,
        )
        self.cancelled = Counter("gempool_cancelled", "Answers that the caller did not wait for.", registry=r)
        self.accounts = Gauge("gempool_accounts", "Accounts by state.", ["state"], registry=r)
        self.account_state = Gauge(
            "gempool_account_state",
            "1 for the state that the account is in, 0 for the others.",
            ["account", "state"],
            registry=r,
        )
        self.account_in_flight = Gauge(
            "gempool_account_in_flight",
            "Generations that this replica runs on the account now.",
            ["account"],
            registry=r,
        )
        self.queue_depth = Gauge(
            "gempool_queue_depth", "Requests waiting for an account in this replica.", registry=r
        )
        self.queue_wait_seconds = Histogram(
            "gempool_queue_wait_seconds",
            "How long requests waited for an account; those that did not wait are not counted.",
            buckets=SECONDS,
            registry=r,
        )
        self.pictures = Counter(
            "gempool_pictures",
            "Generated pictures handed out (`ok`), and picture requests that ended without one (`refused` by the"
            " model, `failed`); on the way there answers with pictures from the web only (`web_only`) and accounts"
            " that make no more for now (`used_up`).",
            ["outcome"],
            registry=r,
        )
        self.conversations = Counter(
            "gempool_conversations",
            "Answers of sticky conversations: in a chat that was new (`begun`), in the chat that they stood in"
            " (`continued`), or in a new one with the whole history, since that one could not be gone on in (`replayed`).",
            ["course"],
            registry=r,
        )
        self.shaped_answers = Counter(
            "gempool_shaped_answers",
            "Answers to requests with tools or a schema: right at once (`ok`), after a repair (`repaired`), after the model was"
            " asked again (`reasked`), words where a call or JSON was wanted (`refused`), nothing that can be used (`failed`).",
            ["outcome"],
            registry=r,
        )
        self.picture_downloads = Counter(
            "gempool_picture_downloads",
            "Pictures taken from accounts: in the size that the model made (`full`), or as the web app's scaled copy"
            " (`preview`), since that could not be had.",
            ["form"],
            registry=r,
        )
        self.watermark = Counter(
            "gempool_watermark",
            "Finished pictures by what became of the visible logo: `removed`, `kept` on demand, why the picture was"
            " left as it is (`no_logo`, `not_sure`, ...), or `failed` for a fault of ours.",
            ["verdict"],
            registry=r,
        )
        self.watermark_seconds = Histogram(
            "gempool_watermark_duration_seconds",
            "From a picture file to the cleaned one.",
            buckets=SECONDS,
            registry=r,
        )
        self.pictures_stored = Counter(
            "gempool_pictures_stored",
            "Pictures handed to a store: `ok`, `failed`, or `fallback` where the local folder stood in.",
            ["store", "outcome"],
            registry=r,
        )
        self.store_errors = Counter(
            "gempool_store_errors", "Store commands that failed.", ["operation"], registry=r
        )
        self.store_seconds = Histogram(
            "gempool_store_duration_seconds",
            "Round trips to the store.",
            ["operation"],
            buckets=OVERHEAD_SECONDS,
            registry=r,
        )
        self.session_opens = Counter(
            "gempool_session_opens",
            "Sessions opened towards the web app, by outcome (ok, or the failure's reason).",
            ["account", "outcome"],
            registry=r,
        )
        self.probes = Counter(
            "gempool_probes",
            "Probes of accounts, by outcome (well, or what was wrong).",
            ["account", "outcome"],
            registry=r,
        )
        self.rotations = Counter(
            "gempool_rotations",
            "Rotations of cookies, by outcome (ok, empty, or what was wrong).",
            ["account", "outcome"],
            registry=r,
        )
        self.cookie_age = Gauge(
            "gempool_cookie_age_seconds",
            "Time since the account's cookies were rotated, or first seen.",
            ["account"],
            registry=r,
        )
        self.leader = Gauge(
            "gempool_leader", "1 in the replica that probes and rotates, 0 in the others.", registry=r
        )
        self.config_errors = Gauge(
            "gempool_config_broken",
            "1 while the file on disk is broken and the last good one is in use.",
            ["file"],
            registry=r,
        )
        self.stream_rewrites = Counter(
            "gempool_stream_rewrites",
            "Streamed answers in which the upstream changed text that had been sent already.",
            registry=r,
        )

        # batches
        self.batch_tasks = Counter(
            "gempool_batch_tasks",
            "Runs of batch tasks, by how they ended: `completed`, `failed` for good, `retried` (failed and tried again later),"
            " `returned` (no account was free, or this replica stops; not counted as a try), `lost` (another replica had taken"
            " the task over, so that the result was thrown away).",
            ["kind", "outcome"],
            registry=r,
        )
        self.batch_task_seconds = Histogram(
            "gempool_batch_task_duration_seconds",
            "One run of a batch task that ended well.",
            ["kind"],
            buckets=SECONDS,
            registry=r,
        )
        self.batches_created = Counter("gempool_batches_created", "Batches taken in.", ["kind"], registry=r)
        self.batches_open = Gauge(
            "gempool_batches_open",
            "Unfinished batches, as the store told last; the same in all replicas.",
            registry=r,
        )
        self.batch_tasks_pending = Gauge(
            "gempool_batch_tasks_pending",
            "Tasks of unfinished batches that have not ended, by state (`waiting`, `running`), as the store told last; the same"
            " in all replicas.",
            ["state"],
            registry=r,
        )

        # alerts
        self.alerts = Counter(
            "gempool_alerts",
            "Alerts by kind and by what became of them: told (a device took it), superseded (over before it"
            " was told), failed (given up), dropped (too many waited), no_device (none is configured).",
            ["kind", "outcome"],
            registry=r,
        )
        self.alert_pushes = Counter(
            "gempool_alert_pushes",
            "Alerts sent to a device, by outcome (ok, refused, unreachable); repeats count again.",
            ["outcome"],
            registry=r,
        )
        self.alerts_pending = Gauge(
            "gempool_alerts_pending", "Alerts that this replica has yet to tell.", registry=r
        )
