"""Whether callers are well served, and by what."""

from deploy.grafana.charts import Column, rows, stat, table, timeseries
from deploy.grafana.panels import Dashboard, Query, Row, Variable
from deploy.grafana.words import (
    ASKS,
    FAILED,
    OUTCOMES,
    PICKED,
    RATE,
    STATES,
    TEXT,
    a_minute,
    or_none,
    quantile,
    rate,
    seldom,
)

GOAL = 0.99
"""The share of requests that the alerts on the error budget reckon with."""
ASKED = f'gempool_requests_total{{{ASKS}, outcome=~"ok|{FAILED}"}}'
FAULTS = f'gempool_requests_total{{{ASKS}, outcome=~"{FAILED}"}}'


def quantiles(histogram: str, labels: str) -> tuple[Query, ...]:
    return tuple(Query(quantile(q, histogram, labels), f"p{round(q * 100)}") for q in (0.5, 0.9, 0.99))


GLANCE = Row(
    "At a glance",
    (
        stat(
            "Accounts that can serve",
            "Active ones, as the store told last. At 0 every request fails.",
            Query(f'max(gempool_accounts{{{PICKED}, state="active"}})'),
            unit="none",
            steps=((None, "red"), (1, "orange"), (2, "green")),
        ),
        stat(
            "Requests served",
            "Of all requests in the time range that an account was to answer, without callers' own mistakes, limits and departures. "
            "The goal is 99 %.",
            Query(
                f"1 - (sum(increase({FAULTS}[$__range])) or vector(0)) / sum(increase({ASKED}[$__range]))",
                instant=True,
            ),
            unit="percentunit",
            steps=((None, "red"), (0.95, "orange"), (GOAL, "green")),
            decimals=2,
        ),
        stat(
            "Requests a minute",
            "Requests that an account was to answer, whatever became of them.",
            Query(f"60 * sum(rate(gempool_requests_total{{{ASKS}}}{RATE}))"),
            unit="none",
            decimals=1,
        ),
        stat(
            "First content, p90",
            "Nine answers in ten begin within this time. Pictures are not counted.",
            Query(quantile(0.9, "gempool_time_to_first_content_seconds", TEXT)),
            unit="s",
            steps=((None, "green"), (15, "orange"), (30, "red")),
        ),
        stat(
            "In flight",
            "Requests being answered now, in all replicas.",
            Query(f"sum(gempool_requests_in_flight{{{PICKED}}})"),
            unit="none",
        ),
        stat(
            "Waiting",
            "Requests that wait for a free account, in all replicas.",
            Query(f"sum(gempool_queue_depth{{{PICKED}}})"),
            unit="none",
            steps=((None, "green"), (10, "orange"), (100, "red")),
        ),
        stat(
            "Replicas up",
            "Replicas that answer Prometheus.",
            Query(f"count(gempool_build_info{{{PICKED}}})"),
            unit="none",
            steps=((None, "red"), (1, "green")),
        ),
        stat(
            "Alerts firing",
            "Rules of deploy/prometheus that fire now; the table at the end names them.",
            Query('count(ALERTS{alertname=~"Gempool.*", alertstate="firing"}) or vector(0)'),
            unit="none",
            steps=((None, "green"), (1, "red")),
        ),
    ),
)

CALLERS = Row(
    "Callers",
    (
        timeseries(
            "Requests by outcome",
            "Requests that an account was to answer. `ok`, `cancelled` (the caller left), or the error's code as the caller read it.",
            Query(rate("gempool_requests_total", "outcome", ASKS), "{{outcome}}"),
            unit="reqps",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Requests that fail",
            "Share of the requests for whose failure the gateway is to blame. The line is what the alert on the error budget of an "
            "hour bears.",
            Query(f"(sum(rate({FAULTS}{RATE})) or vector(0)) / sum(rate({ASKED}{RATE}))", "failed"),
            unit="percentunit",
            line=0.144,
            colours={"failed": "red"},
        ),
        timeseries(
            "429 by kind",
            "What callers were told: a limit of their own (`caller`, `caller_and_model`), or that the pool is busy or used up. And what Google "
            "told us: those were tried again on another account.",
            Query(seldom("gempool_rate_limited_total", "scope"), "limit: {{scope}}"),
            Query(
                seldom(
                    "gempool_requests_total", "outcome", f'{PICKED}, outcome=~"pool_busy|usage_limit_reached"'
                ),
                "to callers: {{outcome}}",
            ),
            Query(seldom("gempool_upstream_throttled_total", "kind"), "from Google: {{kind}}"),
            unit="reqps",
        ),
        timeseries(
            "Time to first content",
            "From the request's head to the first content of its answer; without pictures.",
            *quantiles("gempool_time_to_first_content_seconds", TEXT),
            unit="s",
            line=30,
        ),
        timeseries(
            "Time to the last byte",
            "From the request's head to the last byte of its answer, of requests for text that came to an account or waited for one.",
            *quantiles("gempool_request_duration_seconds", TEXT),
            unit="s",
            line=120,
        ),
        timeseries(
            "What the time goes into",
            "Mean of all requests that an account was to answer. `queue`: for an account. `upstream`: for the web app. `pictures`: the work on "
            "them. `send`: until the caller had taken the answer. `own`: the gateway.",
            Query(
                f"{rate('gempool_stage_duration_seconds_sum', 'stage')} / scalar(sum(rate(gempool_stage_duration_seconds_count"
                f'{{{PICKED}, stage="own"}}{RATE})))',
                "{{stage}}",
            ),
            unit="s",
            stack=True,
        ),
        timeseries(
            "Requests by model",
            "Requests that an account was to answer. `other`: names that are none of the public models', as of an account's own model, or of none that there is.",
            Query(rate("gempool_requests_total", "model", ASKS), "{{model}}"),
            unit="reqps",
            stack=True,
        ),
        timeseries(
            "Requests by route",
            "All requests, those of health checks and of the page too. `unrouted`: paths that there are not, and what is no HTTP.",
            Query(rate("gempool_requests_total", "route"), "{{route}}"),
            unit="reqps",
            stack=True,
        ),
        timeseries(
            "The gateway's own share",
            "All of a request but waiting for an account or the web app. More than some milliseconds: the machine is short of CPU, or "
            "pictures are worked on.",
            *quantiles("gempool_overhead_seconds", PICKED),
            unit="s",
        ),
    ),
)

POOL = Row(
    "Accounts",
    (
        timeseries(
            "Accounts by state",
            "As the store told last. The dashboard Accounts shows each.",
            Query(f"max by (state) (gempool_accounts{{{PICKED}}})", "{{state}}"),
            unit="none",
            stack=True,
            colours=STATES,
        ),
        timeseries(
            "In flight, and what may be",
            "Generations that run at the accounts, beside what the accounts that can serve may run at once. Where both meet, requests wait.",
            Query(f"sum(gempool_account_in_flight{{{PICKED}}})", "running"),
            Query(f"max(gempool_capacity{{{PICKED}}})", "may run at once"),
            Query(f"sum(gempool_requests_in_flight{{{PICKED}}})", "requests"),
            unit="none",
        ),
        timeseries(
            "Waiting for an account",
            "Requests that wait now, by replica.",
            Query(f"sum by (instance) (gempool_queue_depth{{{PICKED}}})", "{{instance}}"),
            unit="none",
        ),
        timeseries(
            "Time of the wait",
            "Of those that had to wait. Callers get 429 after pool.queue_timeout.",
            *quantiles("gempool_queue_wait_seconds", PICKED),
            unit="s",
        ),
        timeseries(
            "Calls by outcome",
            "Generations sent to accounts. What is not `ok` here was mostly tried again elsewhere, and no caller saw it.",
            Query(rate("gempool_upstream_calls_total", "outcome"), "{{outcome}}"),
            unit="reqps",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Failovers by reason",
            "Attempts that were moved on to another account.",
            Query(seldom("gempool_failovers_total", "reason"), "{{reason}}"),
            unit="reqps",
            stack=True,
        ),
    ),
)

ANSWERS = Row(
    "Answers",
    (
        timeseries(
            "Answers not waited for, a minute",
            "Callers that went away before the end of their answer.",
            Query(f"60 * sum(rate(gempool_cancelled_total{{{PICKED}}}{RATE}))", "left"),
            unit="none",
            width=6,
        ),
        timeseries(
            "Conversations, a minute",
            "Answers of sticky conversations. Many `replayed` ones: accounts come and go, or callers change what was said.",
            Query(a_minute("gempool_conversations_total", "course"), "{{course}}"),
            unit="none",
            width=6,
        ),
        timeseries(
            "Tools and schemas, a minute",
            "Requests for function calls or JSON. `reasked` ones cost a generation more each; `failed` ones are 422.",
            Query(a_minute("gempool_shaped_answers_total", "outcome"), "{{outcome}}"),
            unit="none",
            width=6,
            colours=OUTCOMES,
        ),
        timeseries(
            "Streams that were rewritten, a minute",
            "The web app changed text that had been sent already.",
            Query(f"60 * sum(rate(gempool_stream_rewrites_total{{{PICKED}}}{RATE}))", "rewritten"),
            unit="none",
            width=6,
        ),
    ),
)

MACHINES = Row(
    "Replicas and store",
    (
        timeseries(
            "Replicas",
            "Those that Prometheus reaches, those that live by their signs in the store, and those that lead (one, always).",
            Query(f"count(gempool_build_info{{{PICKED}}})", "answer Prometheus"),
            Query(f"max(gempool_replicas{{{PICKED}}})", "known to the store"),
            Query(f"sum(gempool_leader{{{PICKED}}})", "lead"),
            unit="none",
        ),
        timeseries(
            "The store answers",
            "1 while it does, by replica.",
            Query(f"min by (instance) (gempool_store_up{{{PICKED}}})", "{{instance}}"),
            unit="none",
            top=1,
        ),
        timeseries(
            "Round trips to the store, p95",
            "By operation. Milliseconds are normal on one network.",
            Query(quantile(0.95, "gempool_store_duration_seconds", PICKED, "operation"), "{{operation}}"),
            unit="s",
        ),
        timeseries(
            "Commands that failed",
            "By operation.",
            Query(f"{rate('gempool_store_errors_total', 'operation')} or vector(0)", "{{operation}}"),
            unit="reqps",
        ),
        timeseries(
            "Open sessions",
            "Accounts with a session, by replica. Well below the number of accounts: sessions do not open there.",
            Query(f"sum by (instance) (gempool_sessions_open{{{PICKED}}})", "{{instance}}"),
            unit="none",
        ),
        timeseries(
            "CPU",
            "Cores, by replica. A replica's requests share one; pictures take others.",
            Query(
                f"rate(process_cpu_seconds_total{{{PICKED}}}{RATE}) and on (instance) gempool_build_info",
                "{{instance}}",
            ),
            unit="none",
        ),
        timeseries(
            "Memory",
            "Resident, by replica.",
            Query(
                f"process_resident_memory_bytes{{{PICKED}}} and on (instance) gempool_build_info",
                "{{instance}}",
            ),
            unit="bytes",
        ),
        timeseries(
            "Open files",
            "Connections are files too. The limit is the process's (`ulimit -n`).",
            Query(f"process_open_fds{{{PICKED}}} and on (instance) gempool_build_info", "{{instance}}"),
            unit="none",
        ),
        table(
            "Running",
            "Version and age of each replica.",
            "instance",
            (
                Column(
                    "Version", f"max by (instance, version) (gempool_build_info{{{PICKED}}})", label="version"
                ),
                Column(
                    "Up for",
                    f"max by (instance) (time() - process_start_time_seconds{{{PICKED}}} and on (instance) gempool_build_info)",
                    unit="s",
                ),
                Column(
                    "Broken files",
                    f"sum by (instance) (gempool_config_broken{{{PICKED}}})",
                    steps=((None, "green"), (1, "red")),
                ),
            ),
            width=8,
            height=8,
        ),
    ),
)

TOLD = Row(
    "Alerts",
    (
        rows(
            "Pending and firing",
            "Rules of deploy/prometheus. docs/monitoring.md says for each what to do.",
            Query('ALERTS{alertname=~"Gempool.*"}', instant=True, table=True),
            names={
                "alertstate": "State",
                "severity": "Severity",
                "alertname": "Alert",
                "account": "Account",
                "file": "File",
                "store": "Store",
            },
            width=12,
        ),
        timeseries(
            "Told on the phone",
            "Alerts of the gateway itself, by what became of them. `no_device`: BARK_URL is not set.",
            Query(
                f"sum by (outcome) (increase(gempool_alerts_total{{{PICKED}}}{RATE})) {or_none('outcome')}",
                "{{outcome}}",
            ),
            Query(f"sum(gempool_alerts_pending{{{PICKED}}})", "yet to be told"),
            unit="none",
            width=6,
        ),
        timeseries(
            "Pushes to devices",
            "By outcome; repeats count again.",
            Query(
                f"sum by (outcome) (increase(gempool_alert_pushes_total{{{PICKED}}}{RATE})) {or_none('outcome')}",
                "{{outcome}}",
            ),
            unit="none",
            width=6,
            colours=OUTCOMES,
        ),
    ),
)

DASHBOARD = Dashboard(
    "gempool-overview",
    "Gempool: overview",
    "Whether callers are well served, and by what.",
    (GLANCE, CALLERS, POOL, ANSWERS, MACHINES, TOLD),
    (Variable("instance", "Replica", "gempool_build_info"),),
)
