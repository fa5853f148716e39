"""Which account is ill, since when and why, and whether the work is shared fairly."""

from deploy.grafana.charts import Column, bars, stat, table, timeline, timeseries
from deploy.grafana.panels import Dashboard, Query, Row, Variable
from deploy.grafana.words import ACCOUNTS, OUTCOMES, STATES, a_minute, rate, seldom

TEXTS = {"active": "Active", "cooling": "Cooling", "starting": "Starting", "quarantined": "Quarantined"} | {
    "disabled": "Disabled",
    "draining": "Leaving",
}
NUMBERS = {state: str(number) for number, state in enumerate(STATES, 1)}
AS_NUMBER = " or ".join(
    f'{number} * (gempool_account_state{{{ACCOUNTS}, state="{state}"}} == 1)'
    for state, number in NUMBERS.items()
)
"""The account's state, by its place in `STATES`: Grafana draws numbers."""

GLANCE = Row(
    "Now",
    (
        table(
            "Accounts",
            "One row for each account; a click on its name shows it alone. The page /admin has the same, and what can be done about it.",
            "account",
            (
                Column(
                    "State",
                    f"max by (account, state) (gempool_account_state{{{ACCOUNTS}}} == 1)",
                    label="state",
                    words={state: (TEXTS[state], colour) for state, colour in STATES.items()},
                ),
                Column(
                    "Reason",
                    f"max by (account, reason) (gempool_account_reason{{{ACCOUNTS}}})",
                    label="reason",
                ),
                Column(
                    "Age of cookies",
                    f"max by (account) (gempool_cookie_age_seconds{{{ACCOUNTS}}})",
                    "s",
                    steps=((None, "green"), (1200, "orange"), (3600, "red")),
                    decimals=0,
                ),
                Column(
                    "Proved well",
                    f"time() - max by (account) (gempool_account_proved_timestamp_seconds{{{ACCOUNTS}}} > 0)",
                    "s",
                    decimals=0,
                ),
                Column(
                    "Used",
                    f"time() - max by (account) (gempool_account_last_used_timestamp_seconds{{{ACCOUNTS}}} > 0)",
                    "s",
                    decimals=0,
                ),
                Column(
                    "Probe in",
                    f"max by (account) (gempool_account_next_probe_timestamp_seconds{{{ACCOUNTS}}}) - time()",
                    "s",
                    decimals=0,
                ),
                Column("In flight", f"sum by (account) (gempool_account_in_flight{{{ACCOUNTS}}})"),
                Column(
                    "Calls",
                    f"sum by (account) (increase(gempool_upstream_calls_total{{{ACCOUNTS}}}[$__range]))",
                    decimals=0,
                ),
                Column(
                    "Gone well",
                    f'sum by (account) (increase(gempool_upstream_calls_total{{{ACCOUNTS}, outcome="ok"}}[$__range]))'
                    f' / sum by (account) (increase(gempool_upstream_calls_total{{{ACCOUNTS}, outcome!="cancelled"}}[$__range]))',
                    "percentunit",
                    steps=((None, "red"), (0.9, "orange"), (0.98, "green")),
                    decimals=1,
                ),
                Column("Models resting", f"max by (account) (gempool_account_models_cooling{{{ACCOUNTS}}})"),
            ),
            link="/d/gempool-accounts?${__url_time_range}&var-account=${__value.raw}",
        ),
        timeline(
            "State",
            "Of each account over time, as the replicas learnt it from the store; the higher number where they differ for a moment.",
            Query(f"max by (account) ({AS_NUMBER})", "{{account}}"),
            words={NUMBERS[state]: (TEXTS[state], colour) for state, colour in STATES.items()},
        ),
        timeseries(
            "Age of cookies",
            "Since they were rotated, or first seen. They are rotated every ten minutes as a rule; the line is the alert's.",
            Query(f"max by (account) (gempool_cookie_age_seconds{{{ACCOUNTS}}})", "{{account}}"),
            unit="s",
            width=12,
            line=3600,
        ),
        timeseries(
            "Models that rest",
            "Models that an account does not serve for now though it is well otherwise: a usage limit, mostly.",
            Query(f"max by (account) (gempool_account_models_cooling{{{ACCOUNTS}}})", "{{account}}"),
            unit="none",
            width=12,
        ),
    ),
)

FAIR = Row(
    "Who serves",
    (
        bars(
            "Share of the calls",
            "Over the time range. Accounts that were well all the time and serve the same models have the same.",
            Query(
                f"sum by (account) (increase(gempool_upstream_calls_total{{{ACCOUNTS}}}[$__range]))"
                f" / scalar(sum(increase(gempool_upstream_calls_total{{{ACCOUNTS}}}[$__range])))",
                "{{account}}",
                instant=True,
            ),
            unit="percentunit",
        ),
        timeseries(
            "Spread of the calls",
            "Standard deviation over mean of the calls by account, in an hour. 0 is perfectly even; it grows where accounts "
            "were away, or serve different models.",
            Query(
                f"stddev(sum by (account) (increase(gempool_upstream_calls_total{{{ACCOUNTS}}}[1h])))"
                f" / avg(sum by (account) (increase(gempool_upstream_calls_total{{{ACCOUNTS}}}[1h])))",
                "spread",
            ),
            unit="percentunit",
        ),
        timeseries(
            "Unused for",
            "Since each account was leased last. The one that has waited longest serves next, of those that can.",
            Query(
                f"time() - max by (account) (gempool_account_last_used_timestamp_seconds{{{ACCOUNTS}}} > 0)",
                "{{account}}",
            ),
            unit="s",
        ),
        timeseries(
            "Calls by account",
            "Generations sent to each.",
            Query(rate("gempool_upstream_calls_total", "account", ACCOUNTS), "{{account}}"),
            unit="reqps",
            stack=True,
        ),
        timeseries(
            "In flight by account",
            "Generations that run now, in all replicas.",
            Query(f"sum by (account) (gempool_account_in_flight{{{ACCOUNTS}}})", "{{account}}"),
            unit="none",
            stack=True,
        ),
        timeseries(
            "Time of a call",
            "Mean, from the account's lease to the end of the generation. One account far above the others is slow itself, or its proxy is.",
            Query(
                f"{rate('gempool_upstream_call_duration_seconds_sum', 'account', ACCOUNTS)}"
                f" / {rate('gempool_upstream_call_duration_seconds_count', 'account', ACCOUNTS)}",
                "{{account}}",
            ),
            unit="s",
        ),
    ),
)

FAULTS = Row(
    "What goes wrong",
    (
        timeseries(
            "Calls by outcome",
            "`ok`, `cancelled`, or why it failed.",
            Query(rate("gempool_upstream_calls_total", "outcome", ACCOUNTS), "{{outcome}}"),
            unit="reqps",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Calls that failed, by account",
            "Without those that were cancelled.",
            Query(
                seldom(
                    "gempool_upstream_calls_total", "account, outcome", f'{ACCOUNTS}, outcome!~"ok|cancelled"'
                ),
                "{{account}}: {{outcome}}",
            ),
            unit="reqps",
        ),
        timeseries(
            "Too much, by account and kind",
            "Answers of Google's that asked for less: HTTP 429 (`throttled`), a model's `usage_limit`, or `ip_blocked`.",
            Query(
                seldom("gempool_upstream_throttled_total", "account, kind", ACCOUNTS), "{{account}}: {{kind}}"
            ),
            unit="reqps",
        ),
        timeseries(
            "Failovers by reason",
            "Attempts that were moved on to another account, over all accounts.",
            Query(seldom("gempool_failovers_total", "reason"), "{{reason}}"),
            unit="reqps",
            stack=True,
            width=12,
        ),
        stat(
            "Calls gone well",
            "Of all in the time range, without cancelled ones.",
            Query(
                f'sum(increase(gempool_upstream_calls_total{{{ACCOUNTS}, outcome="ok"}}[$__range]))'
                f' / sum(increase(gempool_upstream_calls_total{{{ACCOUNTS}, outcome!="cancelled"}}[$__range]))',
                instant=True,
            ),
            unit="percentunit",
            steps=((None, "red"), (0.9, "orange"), (0.98, "green")),
            width=12,
            decimals=1,
        ),
    ),
)

CARE = Row(
    "Care",
    (
        timeseries(
            "Probes by outcome, a minute",
            "`well`, or what was wrong. An account that traffic has just proved well is not probed.",
            Query(a_minute("gempool_probes_total", "outcome", ACCOUNTS), "{{outcome}}"),
            unit="none",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Rotations by outcome, a minute",
            "`ok`, `empty` (no new cookie was sent, which a probe then judges), or what was wrong.",
            Query(a_minute("gempool_rotations_total", "outcome", ACCOUNTS), "{{outcome}}"),
            unit="none",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Sessions opened, by outcome, a minute",
            "`ok`, or why none could be opened.",
            Query(a_minute("gempool_session_opens_total", "outcome", ACCOUNTS), "{{outcome}}"),
            unit="none",
            stack=True,
            colours=OUTCOMES,
        ),
        timeseries(
            "Probed next in",
            "As the leading replica plans it. Below 0: the probe is late.",
            Query(
                f"max by (account) (gempool_account_next_probe_timestamp_seconds{{{ACCOUNTS}}}) - time()",
                "{{account}}",
            ),
            unit="s",
            width=12,
        ),
        timeseries(
            "Proved well",
            "How long ago traffic, a probe or a fresh session showed that the account is well.",
            Query(
                f"time() - max by (account) (gempool_account_proved_timestamp_seconds{{{ACCOUNTS}}} > 0)",
                "{{account}}",
            ),
            unit="s",
            width=12,
        ),
    ),
)

DASHBOARD = Dashboard(
    "gempool-accounts",
    "Gempool: accounts",
    "Which account is ill, since when and why, and whether the work is shared fairly.",
    (GLANCE, FAIR, FAULTS, CARE),
    (
        Variable("instance", "Replica", "gempool_build_info"),
        Variable("account", "Account", "gempool_account_state"),
    ),
)
