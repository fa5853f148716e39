"""Where pictures are kept and under which address callers read them."""

from storage.local import Found, Local
from storage.names import name_of, valid
from storage.objects import Objects, StorageError
from storage.s3 import S3
from storage.shelf import Shelf, Stored

__all__ = ["S3", "Found", "Local", "Objects", "Shelf", "StorageError", "Stored", "name_of", "valid"]
