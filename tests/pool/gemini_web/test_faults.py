"""Every exception that can escape the library or curl is one of ours, with its scope."""

import asyncio
import inspect

import gemini_webapi.exceptions as library
import pydantic
import pytest
from curl_cffi import CurlError
from curl_cffi.const import CurlECode
from curl_cffi.requests import Response
from curl_cffi.requests import exceptions as curl
from gemini_webapi.constants import AccountStatus, ErrorCode

from core.errors import (
    AccountRejected,
    AccountThrottled,
    EgressBlocked,
    GatewayError,
    InvalidRequest,
    ModelUnavailable,
    NetworkFault,
    RequestTooLarge,
    Scope,
    SessionExpired,
    SessionSuspect,
    UpstreamError,
    UpstreamUnstable,
    UsageLimitReached,
)
from pool.gemini_web import faults
from pool.gemini_web.client import LibraryChanged, RpcFailed

LIBRARY: dict[type[Exception], tuple[type[GatewayError], Scope]] = {
    library.AuthError: (SessionExpired, Scope.ACCOUNT),
    library.APIError: (UpstreamUnstable, Scope.ACCOUNT),
    library.ImageGenerationError: (UpstreamUnstable, Scope.ACCOUNT),
    library.GeminiError: (SessionSuspect, Scope.ACCOUNT),
    library.TimeoutError: (UpstreamUnstable, Scope.ACCOUNT),
    library.UsageLimitExceededError: (UsageLimitReached, Scope.ACCOUNT_MODEL),
    library.ModelInvalidError: (ModelUnavailable, Scope.ACCOUNT_MODEL),
    library.TemporarilyBlockedError: (EgressBlocked, Scope.EGRESS),
}

CURL: dict[type[Exception], tuple[type[GatewayError], Scope]] = {
    curl.RequestException: (UpstreamUnstable, Scope.ACCOUNT),
    curl.CookieConflict: (UpstreamUnstable, Scope.ACCOUNT),
    curl.SessionClosed: (UpstreamUnstable, Scope.ACCOUNT),
    curl.ImpersonateError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.InvalidJSONError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.JSONDecodeError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.HTTPError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.IncompleteRead: (UpstreamUnstable, Scope.ACCOUNT),
    curl.ConnectionError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.DNSError: (NetworkFault, Scope.NETWORK),
    curl.ProxyError: (NetworkFault, Scope.NETWORK),
    curl.SSLError: (NetworkFault, Scope.NETWORK),
    curl.CertificateVerifyError: (NetworkFault, Scope.NETWORK),
    curl.Timeout: (UpstreamUnstable, Scope.ACCOUNT),
    curl.ConnectTimeout: (NetworkFault, Scope.NETWORK),
    curl.ReadTimeout: (UpstreamUnstable, Scope.ACCOUNT),
    curl.URLRequired: (UpstreamUnstable, Scope.ACCOUNT),
    curl.TooManyRedirects: (UpstreamUnstable, Scope.ACCOUNT),
    curl.MissingSchema: (UpstreamUnstable, Scope.ACCOUNT),
    curl.InvalidSchema: (NetworkFault, Scope.NETWORK),
    curl.InvalidURL: (NetworkFault, Scope.NETWORK),
    curl.InvalidHeader: (UpstreamUnstable, Scope.ACCOUNT),
    curl.InvalidProxyURL: (NetworkFault, Scope.NETWORK),
    curl.ChunkedEncodingError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.ContentDecodingError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.StreamConsumedError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.RetryError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.UnrewindableBodyError: (UpstreamUnstable, Scope.ACCOUNT),
    curl.InterfaceError: (NetworkFault, Scope.NETWORK),
}


def exceptions_of(module: object) -> set[type[Exception]]:
    return {
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and not issubclass(value, Warning)
        and value.__module__ == getattr(module, "__name__", "")
    }


def scope_of(error: GatewayError) -> Scope:
    return error.scope if isinstance(error, UpstreamError) else Scope.CALLER


def test_no_exception_of_the_library_is_forgotten() -> None:
    """A new class in a new version fails here until someone decides what it means."""
    assert exceptions_of(library) == set(LIBRARY)


def test_no_exception_of_curl_is_forgotten() -> None:
    """The same for curl_cffi; its old names for the same classes are no new ones."""
    assert exceptions_of(curl) - {curl.RequestException} == set(CURL) - {curl.RequestException}


@pytest.mark.parametrize("kind", LIBRARY, ids=lambda kind: kind.__name__)
def test_library_exceptions(kind: type[Exception]) -> None:
    """Each has its error and scope."""
    error = faults.translate(kind("words of the library"))
    assert (type(error), scope_of(error)) == LIBRARY[kind]
    assert "words of the library" not in f"{error} {error.message}"


@pytest.mark.parametrize("kind", CURL, ids=lambda kind: kind.__name__)
def test_curl_exceptions(kind: type[Exception]) -> None:
    """Each has its error and scope, whatever its message says."""
    error = faults.translate(kind("curl: g.a000secret"))
    assert (type(error), scope_of(error)) == CURL[kind]
    assert "secret" not in f"{error} {error.message}"


@pytest.mark.parametrize("code", [c for c in CurlECode if c], ids=lambda code: code.name)
def test_every_curl_code_is_ours(code: CurlECode) -> None:
    """Every code of libcurl becomes an error that blames either the network or, softly, the account;
    where nothing had left, always the network."""
    raised = curl.code2error(code, "")("", code)
    assert isinstance(faults.translate(raised), NetworkFault | UpstreamUnstable)
    assert isinstance(faults.translate(raised, sent=False), NetworkFault)
    assert isinstance(faults.translate(CurlError("", code)), NetworkFault | UpstreamUnstable)


@pytest.mark.parametrize(
    ("raised", "kind", "scope"),
    [
        (ValueError("unknown model"), InvalidRequest, Scope.CALLER),
        (AssertionError("Prompt cannot be empty."), InvalidRequest, Scope.CALLER),
        (TimeoutError(), UpstreamUnstable, Scope.ACCOUNT),
        (KeyError("x"), UpstreamUnstable, Scope.ACCOUNT),
        (LibraryChanged(), UpstreamUnstable, Scope.ACCOUNT),
        (RpcFailed(429), AccountThrottled, Scope.ACCOUNT),
        (RpcFailed(401), SessionSuspect, Scope.ACCOUNT),
        (RpcFailed(502), UpstreamUnstable, Scope.ACCOUNT),
        (SessionExpired("ours"), SessionExpired, Scope.ACCOUNT),
    ],
    ids=lambda value: getattr(value, "__name__", None) or type(value).__name__,
)
def test_other_exceptions(raised: Exception, kind: type[GatewayError], scope: Scope) -> None:
    """What is no class of the library's or curl's is mapped, too; ours stay what they are."""
    error = faults.translate(raised)
    assert (type(error), scope_of(error)) == (kind, scope)


def test_pydantic_refusals_are_value_errors() -> None:
    """The library validates with pydantic; its error is a ValueError, so it is the caller's."""
    assert issubclass(pydantic.ValidationError, ValueError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, SessionSuspect), (401, SessionSuspect), (403, SessionSuspect), (404, UpstreamUnstable), (413, RequestTooLarge),
     (429, AccountThrottled), (500, UpstreamUnstable), (503, UpstreamUnstable)],
)  # fmt: skip
def test_http_statuses(status: int, kind: type[GatewayError]) -> None:
    """By themselves and inside curl's HTTPError."""
    assert type(faults.of_http_status(status, "x")) is kind
    response = Response()
    response.status_code = status
    assert type(faults.translate(curl.HTTPError("", 0, response))) is kind


def test_a_start_page_with_429_is_no_blocked_address() -> None:
    """The library calls it an IP block; it cools one account, not all behind the proxy."""
    response = Response()
    response.status_code = 429
    error = library.TemporarilyBlockedError("blocked")
    error.__cause__ = curl.HTTPError("", 0, response)
    assert type(faults.translate(error)) is AccountThrottled


def test_every_error_code_is_ours() -> None:
    """The codes that the library knows, and one that nobody knows."""
    kinds = {int(code): type(faults.of_error_code(code)) for code in ErrorCode}
    assert kinds == {
        1013: UpstreamUnstable,
        1037: UsageLimitReached,
        1050: ModelUnavailable,
        1052: ModelUnavailable,
        1060: EgressBlocked,
    }
    assert type(faults.of_error_code(1234)) is UpstreamUnstable
    assert type(faults.of_error_code(7)) is SessionSuspect


def test_every_account_status_is_ours() -> None:
    """All statuses of the library, an unknown one, and none at all."""
    kinds = {int(s): type(faults.of_account_status(int(s))) for s in AccountStatus}
    assert kinds.pop(1000) is type(None)
    assert kinds.pop(1016) is SessionExpired
    assert kinds.pop(1014) is UpstreamUnstable
    assert set(kinds.values()) == {AccountRejected}
    assert type(faults.of_account_status(1999)) is AccountRejected
    assert type(faults.of_account_status(None)) is UpstreamUnstable


def test_cancellation_is_not_an_error() -> None:
    """It derives from BaseException and passes every border of the adapter."""
    assert not issubclass(asyncio.CancelledError, Exception)
