"""What an operator may set about the running of batches."""

from msgspec import Struct


class BatchSettings(Struct, frozen=True):
    """concurrency: tasks of all batches that run at once, over all replicas. share: percent of what all accounts can do at
    once that these may be. tries: how often a task is tried that fails for reasons that may pass. backoff: seconds before the
    second try, doubled with each, up to 16 times. worker: this replica runs tasks. worker_ttl: seconds without a sign of life
    after which a worker's tasks go to others.
    """

    concurrency: int = 16
    share: int = 50
    tries: int = 6
    backoff: float = 2.0
    worker: bool = True
    worker_ttl: float = 5.0
