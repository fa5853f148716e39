"""What happened lately, over all replicas: requests that were answered, and what befell accounts and replicas."""

from journal.entries import Asked, Happened, Minute, Served

__all__ = ["Asked", "Happened", "Minute", "Served"]
