"""What happened lately, over all replicas: requests that were answered, and what befell accounts and replicas."""

from journal.entries import Asked, Facts, Happened, Kind, Minute, Served
from journal.journal import Journal, Mark, News

__all__ = ["Asked", "Facts", "Happened", "Journal", "Kind", "Mark", "Minute", "News", "Served"]
