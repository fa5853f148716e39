"""What all dashboards share: names, colours, and parts of queries."""

FAILED = "pool_busy|usage_limit_reached|no_account_available|store_unavailable|shutting_down|upstream_failed|deadline_exceeded|internal_error"
"""Outcomes of requests for which the gateway is to blame; deploy/prometheus/rules/recording.yml has the same."""

PICKED = 'instance=~"$instance"'
"""Of the chosen replicas."""
ACCOUNTS = f'{PICKED}, account=~"$account"'
"""Of the chosen replicas and accounts."""
ASKS = f'{PICKED}, kind=~"text|picture"'
"""Requests that an account was to answer: no tokens that are counted here, no batches that are taken in."""
TEXT, PICTURES = f'{PICKED}, kind="text"', f'{PICKED}, kind="picture"'
"""Those of them for text, and those for pictures, whatever their route."""
RATE = "[$__rate_interval]"

STATES = {
    "active": "green",
    "cooling": "yellow",
    "starting": "blue",
    "quarantined": "red",
    "disabled": "text",
    "draining": "purple",
}
OUTCOMES = {
    "ok": "green",
    "cancelled": "blue",
    "pool_busy": "orange",
    "usage_limit_reached": "yellow",
    "no_account_available": "dark-red",
    "upstream_failed": "red",
    "deadline_exceeded": "purple",
    "internal_error": "dark-purple",
    "throttled": "orange",
    "usage_limit": "yellow",
    "expired": "dark-red",
    "failed": "red",
    "completed": "green",
    "removed": "green",
    "well": "green",
}


def quantile(q: float, histogram: str, labels: str, by: str = "") -> str:
    """Of a histogram, over all that `labels` selects; by: labels to keep apart."""
    kept = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({kept}) (rate({histogram}_bucket{{{labels}}}{RATE})))"


def rate(counter: str, by: str, labels: str = PICKED) -> str:
    """A second."""
    return f"sum by ({by}) (rate({counter}{{{labels}}}{RATE}))"


def seldom(counter: str, by: str, labels: str = PICKED) -> str:
    """A second, of what may never have happened: a counter has no series before its first event, and a panel without any would
    look broken."""
    return f"{rate(counter, by, labels)} {or_none(by)}"


def a_minute(counter: str, by: str, labels: str = PICKED) -> str:
    """The same by the minute."""
    return f"60 * {seldom(counter, by, labels)}"


def or_none(by: str) -> str:
    """After a query by these labels: a 0 that is called `none`, where there is nothing else."""
    nothing = "vector(0)"
    for label in by.split(", "):
        nothing = f'label_replace({nothing}, "{label}", "none", "", "")'
    return f"or on() {nothing}"
