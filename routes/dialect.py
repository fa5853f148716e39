"""Which family's dialect a request speaks: decided by its path alone, but for one overlap.

Google's newest SDKs call `/v1/models...`, which are OpenAI's URLs too; the way the key is sent tells.
"""

from typing import Literal, TypeAlias

Dialect: TypeAlias = Literal["openai", "google"]

_GOOGLE_ROOTS = ("/v1beta", "/gemini")


def is_under(path: str, root: str) -> bool:
    """True for `root` itself and what lies below it, but not for `/v1betamax`."""
    return path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/")


def dialect_of(method: str, path: str, google_key: bool) -> Dialect:
    """The dialect to answer in, errors included.

    google_key: the request carries `x-goog-api-key` or `?key=`. A POST below `/v1/models` is Gemini's in
    any case, since OpenAI has none.
    """
    if any(is_under(path, root) for root in _GOOGLE_ROOTS):
        return "google"
    if is_under(path, "/v1/models") and (
        google_key or (method == "POST" and path.rstrip("/") != "/v1/models")
    ):
        return "google"
    return "openai"
