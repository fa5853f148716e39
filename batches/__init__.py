"""Batches: what is asked for later, in the store, and the workers that do it."""
