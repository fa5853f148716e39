"""What a gateway's `/metrics` says, read as a scraper reads it."""

from prometheus_client.parser import text_string_to_metric_families


def metric(page: str, name: str, **labels: str) -> float | None:
    """The sum of that name's samples with these labels; None where there is none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None
