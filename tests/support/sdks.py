"""The SDKs that callers use, pointed at a gateway and closed in the end: an open one is a leak that shows in a later test."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import openai
from google import genai
from google.genai import types

from tests.support.processes import Gateway


class Sdks:
    """Makes clients that do not repeat what fails."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def openai(self, gateway: Gateway, key: str = "none-needed", **options: Any) -> openai.OpenAI:
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, **options)
        return self._stack.enter_context(client)

    def google(self, gateway: Gateway, key: str = "none-needed") -> genai.Client:
        options = types.HttpOptions(base_url=gateway.url)
        return self._stack.enter_context(genai.Client(api_key=key, http_options=options))


@contextmanager
def sdks_to_close() -> Iterator[Sdks]:
    with ExitStack() as stack:
        yield Sdks(stack)
