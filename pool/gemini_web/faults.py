"""What can go wrong below us, in our words. Every exception and code of the library and of curl is
named here, with the scope that it says something about; a test enumerates them.
"""

import asyncio

import gemini_webapi.exceptions as library
from curl_cffi import CurlError
from curl_cffi.const import CurlECode
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
    SessionExpired,
    SessionSuspect,
    UpstreamError,
    UpstreamUnstable,
    UsageLimitReached,
)
from pool.gemini_web.client import LibraryChanged, RpcFailed, RpcRefused

_NETWORK_CLASSES = (
    curl.ConnectTimeout,
    curl.DNSError,
    curl.InterfaceError,
    curl.InvalidSchema,
    curl.InvalidURL,
    curl.ProxyError,
    curl.SSLError,
)
"""Failures that happen before a request has left: our proxy, DNS or TLS. So is COULDNT_CONNECT, which
has no class of its own."""

_REJECTED = {
    AccountStatus.ACCOUNT_REJECTED: "rejected",
    AccountStatus.ACCOUNT_UNTRUSTED: "untrusted",
    AccountStatus.TOS_PENDING: "terms_pending",
    AccountStatus.TOS_OUT_OF_DATE: "terms_pending",
    AccountStatus.ACCOUNT_REJECTED_BY_GUARDIAN: "guardian",
    AccountStatus.GUARDIAN_APPROVAL_REQUIRED: "guardian",
    AccountStatus.LOCATION_REJECTED: "location",
}

REFUSED = 7
"""The code of an RPC or prompt that the session may not make."""


PLACE_CODES = frozenset({REFUSED, int(ErrorCode.MODEL_INCONSISTENT)})
"""Codes that tell, in answer to a prompt with a place, about the place: 1050 is 'inconsistent with the conversation'."""
PLACE_STATUSES = frozenset({400, 401, 403, 404, 410})
"""The same for HTTP statuses. A dead cookie is answered so as well; then the same prompt without a place tells."""


def of_http_status(status: int, what: str) -> GatewayError:
    """An HTTP status other than 200 in answer to `what`.

    400, 401 and 403 mean a dead cookie, a stale page token or a passing mood: a probe decides.
    """
    detail = f"{what} was answered with HTTP {status}"
    if status == 429:
        return AccountThrottled(detail)
    if status in {413, 414}:
        return RequestTooLarge(
            "The web app finds the prompt or a file in it too large. Send a shorter one.", param="messages"
        )
    if status in {400, 401, 403}:
        return SessionSuspect(detail)
    if status >= 500:
        return UpstreamUnstable(detail, kind="http_5xx")
    return UpstreamUnstable(detail, kind="page")


def of_error_code(code: int, *, resets_at: float | None = None) -> UpstreamError:
    """An error code that stands in an answer with HTTP status 200.

    resets_at: for a usage limit, wall clock seconds where known.
    """
    detail = f"the answer carries error code {code}"
    match code:
        case ErrorCode.USAGE_LIMIT_EXCEEDED:
            return UsageLimitReached(detail, resets_at=resets_at)
        case ErrorCode.MODEL_INCONSISTENT | ErrorCode.MODEL_HEADER_INVALID:
            return ModelUnavailable(detail)
        case ErrorCode.IP_TEMPORARILY_BLOCKED:
            return EgressBlocked(detail)
        case ErrorCode.TEMPORARY_ERROR_1013:
            return UpstreamUnstable(detail, kind="temporary")
        case _ if code == REFUSED:
            return SessionSuspect(detail)
        case _:
            return UpstreamUnstable(detail, kind="unknown_code")


def of_account_status(status: int | None) -> UpstreamError | None:
    """The account's own status code (see UPSTREAM: 1000 is well), or None where it is well.

    None as `status` means that the answer held no status at all, which is no proof of anything.
    """
    if status is None:
        return UpstreamUnstable("the account's status was not in the answer", kind="garbage")
    try:
        known = AccountStatus(status)
    except ValueError:
        return AccountRejected(f"account status {status} is not known", why="rejected")
    if known == AccountStatus.AVAILABLE:
        return None
    if known == AccountStatus.UNAUTHENTICATED:
        return SessionExpired("the session is not signed in (status 1016)")
    if known == AccountStatus.ACCESS_TEMPORARILY_UNAVAILABLE:
        return UpstreamUnstable("access is restricted for now (status 1014)", kind="temporary")
    return AccountRejected(f"account status {status}", why=_REJECTED[known])


def translate(error: BaseException, *, sent: bool | None = None) -> GatewayError:
    """Our error for anything that the library or curl raised.

    sent: whether the request had begun to leave, where that is known; if it had not, the fault is our
    network's. Cancellation and errors that are ours already are not passed here.
    """
    match error:
        case GatewayError():
            return error
        case RpcFailed():
            return of_http_status(error.status, "an RPC")
        case RpcRefused():
            return of_error_code(error.code)
        case library.AuthError():
            return SessionExpired("the start page knew none of the cookies")
        case library.UsageLimitExceededError():
            return UsageLimitReached("usage limit")
        case library.ModelInvalidError():
            return ModelUnavailable("model refused")
        case library.TemporarilyBlockedError():
            if _status_of(error.__cause__) == 429:
                return AccountThrottled("the start page was answered with HTTP 429")
            return EgressBlocked("the address is blocked")
        case library.TimeoutError() | asyncio.TimeoutError():
            return _unless_unsent(sent, UpstreamUnstable("no answer in time", kind="stalled"))
        case library.GeminiError():
            return SessionSuspect("the library refused to use the session")
        case library.APIError():
            return UpstreamUnstable("the answer made no sense", kind="garbage")
        case CurlError():
            return _of_curl(error, sent)
        case AssertionError() | ValueError():
            return InvalidRequest("The prompt was not accepted. Send a prompt that is not empty.")
        case LibraryChanged():
            return UpstreamUnstable(str(error), kind="garbage")
        case _:
            return UpstreamUnstable(f"{type(error).__name__} in the library", kind="garbage")


def _of_curl(error: CurlError, sent: bool | None) -> GatewayError:
    code = int(error.code or 0)
    name = f"curl error {code}"
    if (status := _status_of(error)) is not None:
        return of_http_status(status, "a request")
    if isinstance(error, curl.SessionClosed):
        return UpstreamUnstable("the session was closed", kind="dropped")
    kind = (
        type(error)
        if isinstance(error, curl.RequestException)
        else curl.code2error(CurlECode(code) if code else 0, "")
    )
    if issubclass(kind, _NETWORK_CLASSES) or code == CurlECode.COULDNT_CONNECT:
        return NetworkFault(name)
    if code == CurlECode.OPERATION_TIMEDOUT:
        return _unless_unsent(sent, UpstreamUnstable(f"{name}: no answer in time", kind="stalled"))
    return _unless_unsent(sent, UpstreamUnstable(name, kind="dropped"))


def _unless_unsent(sent: bool | None, error: UpstreamError) -> UpstreamError:
    return NetworkFault(f"{error.detail}, before the request had left") if sent is False else error


def _status_of(error: BaseException | None) -> int | None:
    """The HTTP status that curl_cffi's `raise_for_status` complained of."""
    if isinstance(error, curl.HTTPError) and not isinstance(error, curl.IncompleteRead):
        response = error.response
        if response is not None and response.status_code >= 400:
            return int(response.status_code)
    return None
