"""Batches: what is asked for later, in the store, and the workers that do it."""

from batches.books import Books
from batches.desk import Desk
from batches.news import News
from batches.settings import BatchSettings
from batches.worker import Worker

__all__ = ["BatchSettings", "Books", "Desk", "News", "Worker"]
