"""Google's own authorities first, every public one where they do not do."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import certifi
import pytest
from structlog.testing import capture_logs

from core.errors import NetworkFault
from pool.gemini_web import GeminiWebSessions
from pool.gemini_web.trust import Trust
from simulator import Simulator
from tests.support.adapter import Open, ask, prompts, text_of


def size(file: str | bool) -> int:
    assert isinstance(file, str)
    return len(re.findall("BEGIN CERTIFICATE", Path(file).read_text()))


@pytest.fixture
def public(web: Simulator, tmp_path: Path) -> Path:
    """The public authorities, the simulator's among them."""
    file = tmp_path / "public.pem"
    file.write_text(Path(certifi.where()).read_text() + "\n" + Path(web.ca_file).read_text())
    return file


@pytest.fixture
async def interceptor(public: Path, tmp_path: Path) -> AsyncIterator[GeminiWebSessions]:
    """A factory for which the simulator's CA is a public one and none of Google's: as behind a proxy that opens TLS."""
    factory = GeminiWebSessions(tmp_path / "intercepted", public=public, activity="off")
    yield factory
    await factory.close()


def test_google_s_authorities_are_a_few_of_the_public_ones(web: Simulator, tmp_path: Path) -> None:
    """A session begins with some ten authorities and the operator's own; the whole set holds all of them."""
    trust = Trust(tmp_path, Path(web.ca_file))
    first = Path(str(trust.begin(None))).read_text()
    assert 5 <= size(trust.begin(None)) <= 20 < size(trust.whole)
    assert Path(web.ca_file).read_text().strip() in first
    own = re.findall(r"-----BEGIN.+?-----END CERTIFICATE-----", first, re.DOTALL)
    assert all(pem in Path(str(trust.whole)).read_text() for pem in own)


def test_a_set_without_google_s_authorities_is_taken_whole(web: Simulator, tmp_path: Path) -> None:
    """Where none of the public ones looks like Google's, there is but one set."""
    trust = Trust(tmp_path, public=Path(web.ca_file))
    assert trust.begin(None) == trust.whole


def test_only_the_proxy_that_needs_all_authorities_gets_them(tmp_path: Path) -> None:
    """What was learnt over one proxy says nothing about the others."""
    trust = Trust(tmp_path)
    trust.widen("http://one:secret@10.0.0.1:3128")
    assert trust.begin("http://one:secret@10.0.0.1:3128") == trust.whole
    assert trust.begin("http://two:secret@10.0.0.1:3128") != trust.whole != trust.begin(None)


async def test_an_interceptor_s_public_certificate_is_taken_and_said(
    interceptor: GeminiWebSessions, open_session: Open
) -> None:
    """A certificate of another public authority opens a session as it always did; the log says once that it was none
    of Google's, and the next session over that proxy begins with all."""
    with capture_logs() as lines:
        session = await open_session(factory=interceptor)
        again = await open_session(factory=interceptor)
    assert session.offered == again.offered
    assert sum("authorities" in line["event"] for line in lines) == 1


async def test_authorities_that_change_in_mid_life_cost_no_prompt(
    web: Simulator, interceptor: GeminiWebSessions, open_session: Open, tmp_path: Path
) -> None:
    """A live session that meets another public authority goes on with all of them, and the prompt is sent once."""
    session = await open_session(factory=interceptor)
    client = session._client
    # The set is part of what a connection is known by: the next request makes a new one.
    client.kwargs["verify"] = client.client.verify = Trust(tmp_path / "private").begin(None)
    assert text_of(await ask(session))
    assert prompts(web, web.accounts[0]["id"]) == 1


async def test_an_unknown_authority_is_a_fault_of_the_network(open_session: Open, tmp_path: Path) -> None:
    """No set holds the simulator's CA: nothing is believed."""
    factory = GeminiWebSessions(tmp_path / "strict", activity="off")
    with pytest.raises(NetworkFault):
        await open_session(factory=factory)
    await factory.close()
