"""A real S3 server for the whole session."""

from collections.abc import Iterator

import pytest

from tests.support.s3 import serving_s3


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. It knows one pair of keys, and refuses every other."""
    with serving_s3(tmp_path_factory.mktemp("weed")) as address:
        yield address
