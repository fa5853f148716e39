"""`gempool batch`: a file of prompts made into a batch, looked at until it has ended, its results kept."""

from gateway.batching.ordering import Wanted
from gateway.batching.places import Kept
from gateway.batching.verbs import Where, cancel, list_, run, watch

__all__ = ["Kept", "Wanted", "Where", "cancel", "list_", "run", "watch"]
