"""Every error that this service raises on purpose. An error decides here, at its definition, what a
caller sees and whether another account may be tried; routes only render it in their dialect.

    GatewayError
    ├── CallerError                 the caller's mistake: 4xx, never tried again
    │   ├── InvalidRequest          400
    │   │   ├── PromptRefused       400, the model's own refusal; a repeat cannot help
    │   │   └── PreviousResponseNotFound  400, a response to go on with that is not kept (any more)
    │   ├── Unauthenticated         401
    │   │   └── SignedOut           401, the session of the operator's page is over
    │   ├── Forbidden               403
    │   ├── NotFound                404
    │   │   └── UnknownModel        404
    │   ├── MethodNotAllowed        405
    │   ├── RequestTimeout          408, the body came too slowly
    │   ├── Conflict                409, what was asked for is over
    │   ├── RequestTooLarge         413
    │   ├── UnsupportedMedia        415
    │   ├── AnswerUnfit             422, no answer of the model's has the form that was asked for
    │   ├── IdempotencyKeyReused    422, the key stands for another request
    │   ├── HeadTooLarge            431, request line and headers
    │   └── RateLimited             429, the caller's own limit
    │       └── TooManyBatches      429, unfinished ones of the caller's
    ├── PoolBusy                    429, every account is busy or cooling
    │   └── UsedUp                  429, every account has reached its usage limit of the model
    ├── NoAccount                   503, no account can serve
    ├── StoreUnavailable            503
    ├── ShuttingDown                503
    ├── UpstreamFailed              503, every attempt failed, or the answer broke off
    ├── DeadlineExceeded            504
    ├── InternalError               500
    └── UpstreamError               one attempt failed; `scope` says what it says something about
        ├── SessionExpired          account, hard: the cookies are dead or the session is a guest's
        ├── AccountRejected         account, hard: rejected, terms pending, guardian, location
        ├── SessionSuspect          account: 400/401/403 or [7]; a probe decides
        ├── AccountThrottled        account: HTTP 429
        ├── UsageLimitReached       account and model
        ├── ModelUnavailable        account and model: 1050, 1052, not offered
        ├── EgressBlocked           egress: the IP address is blocked
        ├── UpstreamUnstable        account, counted: 5xx, 1013, garbage, empty, dropped, too slow
        ├── PlaceLost               place, never counted: the chat cannot be gone on in
        └── NetworkFault            network: our own proxy, DNS or TLS; blames no account

What reaches a caller never carries the upstream's raw words, except `PromptRefused`.
"""

from enum import StrEnum
from typing import ClassVar, Literal, TypeAlias

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


FAR = 120.0
"""Seconds. Who must wait longer than this is told not to repeat the request by itself."""


class GatewayError(Exception):
    """Base. `message` is a sentence for the caller: what was wrong and what to do about it.

    param: the request field at fault, in the caller's own spelling (`messages[0].role`).
    retry_after: seconds until a repeat may help; rendered as whole seconds, rounded up.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    """Stable and machine readable; OpenAI's `error.code`."""
    type: ClassVar[str] = "server_error"
    """OpenAI's `error.type`."""
    google_status: ClassVar[str] = "INTERNAL"
    """Google's `error.status`."""
    retryable: ClassVar[bool | None] = None
    """Sent as `x-should-retry` where it is not None."""
    log_level: ClassVar[LogLevel] = "error"

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class CallerError(GatewayError):
    status = 400
    code = "invalid_request"
    type = "invalid_request_error"
    google_status = "INVALID_ARGUMENT"
    log_level = "info"


class InvalidRequest(CallerError):
    """A field is missing, of the wrong type or out of range."""


class PromptRefused(InvalidRequest):
    """The model itself refused; the message is the model's own."""

    code = "content_filter"
    retryable = False


class PreviousResponseNotFound(InvalidRequest):
    """The response that a caller wants to go on with never was kept, has expired, or is another caller's."""

    code = "previous_response_not_found"


class Unauthenticated(CallerError):
    status = 401
    code = "invalid_api_key"
    type = "authentication_error"
    google_status = "UNAUTHENTICATED"


class SignedOut(Unauthenticated):
    """The session that the page's cookie names is over, or never was one."""

    code = "session_expired"


class Forbidden(CallerError):
    status = 403
    code = "forbidden"
    type = "permission_error"
    google_status = "PERMISSION_DENIED"


class NotFound(CallerError):
    status = 404
    code = "not_found"
    google_status = "NOT_FOUND"


class UnknownModel(NotFound):
    """The message lists the models that are known."""

    code = "model_not_found"


class UnknownBatch(NotFound):
    """Of no batch of the caller's."""

    def __init__(self, id: str, param: str | None = None) -> None:
        super().__init__(
            f"There is no batch '{id[:80]}'. It may have expired; GET /v1/batch lists yours.", param=param
        )


class MethodNotAllowed(CallerError):
    status = 405
    code = "method_not_allowed"
    google_status = "UNIMPLEMENTED"

    def __init__(self, message: str, *, allow: str = "") -> None:
        super().__init__(message)
        self.allow = allow


class RequestTimeout(CallerError):
    """The caller took too long to send the request."""

    status = 408
    code = "request_timeout"
    google_status = "DEADLINE_EXCEEDED"


class Conflict(CallerError):
    """What was asked for cannot be done any more as things stand; the message says how they stand."""

    status = 409
    code = "conflict"
    google_status = "ABORTED"
    retryable = False


class RequestTooLarge(CallerError):
    status = 413
    code = "request_too_large"


class UnsupportedMedia(CallerError):
    status = 415
    code = "unsupported_media_type"


class AnswerUnfit(CallerError):
    """The model was asked as often as may be and never gave a call or JSON that keeps its schema. The message says where the
    last answer broke it."""

    status = 422
    code = "answer_unfit"
    retryable = False


class IdempotencyKeyReused(CallerError):
    """An Idempotency-Key came with another request than the one that it stands for."""

    status = 422
    code = "idempotency_key_reused"
    retryable = False


class HeadTooLarge(CallerError):
    status = 431
    code = "request_head_too_large"


class RateLimited(CallerError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    google_status = "RESOURCE_EXHAUSTED"


class TooManyBatches(RateLimited):
    """The caller has as many unfinished batches as may be."""

    code = "too_many_batches"


class PoolBusy(GatewayError):
    """Every account that could serve is busy or cooling; `retry_after` is the true wait.

    reason: what the first account to return waits for (`usage_limit`, `throttled`, `spacing`, ...), '' where it
    is just busy or nobody knows.
    """

    status = 429
    code = "pool_busy"
    type = "rate_limit_error"
    google_status = "RESOURCE_EXHAUSTED"
    log_level = "warning"

    def __init__(self, message: str, *, retry_after: float | None = None, reason: str = "") -> None:
        super().__init__(message, retry_after=retry_after)
        self.reason = reason


class UsedUp(PoolBusy):
    """The model's usage limit is reached on every account; `retry_after` says when the first one resets."""

    code = "usage_limit_reached"


class NoAccount(GatewayError):
    """No account can serve: none is configured, or all are quarantined or disabled."""

    status = 503
    code = "no_account_available"
    google_status = "UNAVAILABLE"


class StoreUnavailable(GatewayError):
    status = 503
    code = "store_unavailable"
    google_status = "UNAVAILABLE"


class ShuttingDown(GatewayError):
    status = 503
    code = "shutting_down"
    google_status = "UNAVAILABLE"
    log_level = "info"


class UpstreamFailed(GatewayError):
    """Accounts were asked and all failed, or the one that had begun to answer did."""

    status = 503
    code = "upstream_failed"
    google_status = "UNAVAILABLE"
    log_level = "warning"

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(
            message or "Several accounts were asked and none answered. Please try again.",
            retry_after=retry_after,
        )


class DeadlineExceeded(GatewayError):
    status = 504
    code = "deadline_exceeded"
    google_status = "DEADLINE_EXCEEDED"
    log_level = "warning"


class InternalError(GatewayError):
    """A fault of ours. The message says so and no more; the log has the rest."""


class Scope(StrEnum):
    """What a failed attempt says something about."""

    CALLER = "caller"
    ACCOUNT = "account"
    ACCOUNT_MODEL = "account_model"
    EGRESS = "egress"
    NETWORK = "network"
    PLACE = "place"


class UpstreamError(GatewayError):
    """One attempt on one account failed. Never rendered as it is: when no attempt is left the engine
    turns it into one of the errors above. `detail` is for the log and free of secrets."""

    status = 502
    code = "upstream_error"
    google_status = "UNAVAILABLE"
    log_level = "warning"

    scope: ClassVar[Scope] = Scope.ACCOUNT
    reason: ClassVar[str] = "unstable"
    """A bounded word for metrics, events and the admin page."""
    hard: ClassVar[bool] = False
    """True: the account must not be used again until a probe has proved it well."""
    leaves_rotation: ClassVar[bool] = False
    """True: the account is asked no more for a while, so that failures like this one end by themselves."""
    may_be_the_asks: ClassVar[bool] = True
    """False: it is the account's state or our own network. True: the same ask may fail like this on every account."""

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__("The upstream failed to answer. Please try again.", retry_after=retry_after)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class SessionExpired(UpstreamError):
    reason = "expired"
    leaves_rotation = True
    may_be_the_asks = False
    hard = True


class AccountRejected(UpstreamError):
    """`why`: rejected, untrusted, terms_pending, guardian, location or unavailable."""

    reason = "rejected"
    leaves_rotation = True
    may_be_the_asks = False
    hard = True

    def __init__(self, detail: str, *, why: str = "rejected") -> None:
        super().__init__(detail)
        self.why = why


class SessionSuspect(UpstreamError):
    """Refused in a way that a dead cookie and a passing fault share: a probe decides."""

    reason = "suspect"
    leaves_rotation = True


class AccountThrottled(UpstreamError):
    reason = "throttled"
    leaves_rotation = True
    may_be_the_asks = False


class UsageLimitReached(UpstreamError):
    """`resets_at`: wall clock seconds, or None where the upstream told no time."""

    scope = Scope.ACCOUNT_MODEL
    reason = "usage_limit"
    leaves_rotation = True
    may_be_the_asks = False

    def __init__(self, detail: str, *, resets_at: float | None = None) -> None:
        super().__init__(detail)
        self.resets_at = resets_at


class ModelUnavailable(UpstreamError):
    scope = Scope.ACCOUNT_MODEL
    reason = "model_unavailable"
    leaves_rotation = True
    may_be_the_asks = False


class EgressBlocked(UpstreamError):
    scope = Scope.EGRESS
    reason = "ip_blocked"
    leaves_rotation = True
    may_be_the_asks = False


class UpstreamUnstable(UpstreamError):
    """Counted; `kind` is a bounded word: http_5xx, temporary, garbage, empty, dropped, stalled,
    slow_first_content, truncated, unknown_code, page."""

    reason = "unstable"

    def __init__(self, detail: str, *, kind: str) -> None:
        super().__init__(detail)
        self.kind = kind


class PlaceLost(UpstreamError):
    """The upstream does not go on in the chat that a prompt named: it is gone, another's, or stands elsewhere by now.
    Says nothing about the account or the model; the whole history in a new chat is the remedy."""

    scope = Scope.PLACE
    reason = "place_lost"


class NetworkFault(UpstreamError):
    scope = Scope.NETWORK
    reason = "network"
    may_be_the_asks = False
