"""What happened lately, over all replicas: requests that were answered, and what befell accounts and replicas."""

from journal.entries import Asked, Facts, Happened, Kind, Minute, Noting, Served, into_nothing
from journal.journal import Journal, Mark, News

__all__ = [
    "Asked",
    "Facts",
    "Happened",
    "Journal",
    "Kind",
    "Mark",
    "Minute",
    "News",
    "Noting",
    "Served",
    "into_nothing",
]
