"""Where pictures are kept and under which address callers read them.

The S3-compatible store is `storage.s3.S3`: whoever needs it imports it there, for its SDK is large.
"""

from storage.local import Found, Local
from storage.names import name_of, valid
from storage.objects import Objects, StorageError
from storage.shelf import Shelf, Stored

__all__ = ["Found", "Local", "Objects", "Shelf", "StorageError", "Stored", "name_of", "valid"]
