"""Requests that schemathesis makes up from the document: what is valid, what is nearly, and what is not.

Every run makes the same few, `make fuzz` fifty times as many and others; `GEMPOOL_FUZZ_EXAMPLES=500 make test ARGS=tests/routes/test_fuzz.py` makes so many.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from core.clock import SystemClock
from routes import EdgeSettings
from storage import Local
from tests.fakes.batches import FakeBatches
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import FakeOperator
from tests.fakes.server import until
from tests.support.hostile import examples
from tests.support.openapi import contract

ASKED = os.environ.get("GEMPOOL_FUZZ_EXAMPLES", "")
EXAMPLES = int(ASKED or examples(4))
LONG = bool(ASKED) or EXAMPLES > 4
KEYS = {"authorization": "Bearer one", "x-admin-key": "root"}
WRONG_KEYS = {"authorization": "Bearer two", "x-goog-api-key": "Zwei", "x-admin-key": "x" * 9000}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    unsupported_method,
]

# Its own systematic phase makes some ten thousand requests of each operation; what it looks for is looked for in
# `test_malformed_bodies`.
CONFIG = schemathesis.config.SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})

document = schemathesis.openapi.from_dict(dict(contract().document), config=CONFIG)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge with every route, which must be idle at the end."""
    folder: Path = tmp_path_factory.mktemp("files")
    with edge(
        api_key="one",
        admin_key="root",
        cookies=FakeCookies(),
        files=Local(folder, SystemClock()),
        batches=FakeBatches(),
        operator=FakeOperator(brief=True),
        settings=EdgeSettings(body_limit=1_000_000, body_timeout=2.0),
    ) as found:
        yield found
        until(lambda: found.metric("gempool_requests_in_flight") == 0)
        assert found.chat.running == 0


@document.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=not LONG,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_nothing_that_is_sent_breaks_a_route(case: schemathesis.Case, fuzzed: Edge) -> None:
    """No 5xx, no hang, and each answer is as the document says: status, type, headers and body; in the long form also
    to who brings no key, or a wrong one."""
    for headers in (KEYS, {}, WRONG_KEYS) if LONG else (KEYS,):
        case.call_and_validate(base_url=fuzzed.url, headers=headers, checks=CHECKS, timeout=10)
