"""What an operator may set about the way of one request."""

from msgspec import Struct

from core.chat import ConversationMode


class EngineSettings(Struct, frozen=True):
    """All in seconds but `reasks` and `attempts`: how many failures of accounts that stay in rotation one request may
    see. Failures that take an account out of rotation (expired, throttled, usage limit, blocked) do not
    count: each makes the pool smaller, so they end by themselves.

    queue_timeout: how long a request waits for accounts in all, also for such as it has tried already. One for a
    picture waits until its deadline, since its siblings may hold every account.
    picture_timeout: bounds the wait for the first content of a picture's answer, and every silence after it.
    usage_limit: how long an account is asked for no picture once it has said that it makes no more.
    forget: chats that pictures were made in are deleted afterwards.
    reasks: how often the model is asked again whose call or JSON is not what was asked for.
    patience: how long a follow-up waits for its own account while that one is busy; then the whole history is asked elsewhere.
    background_patience: the same as `queue_timeout`, also for pictures, where nobody waits for the answer: who sent it
    knows better when to come again.
    """

    deadline: float = 300.0
    attempts: int = 16
    reasks: int = 4
    connect_timeout: float = 10.0
    first_content_timeout: float = 60.0
    silence_timeout: float = 60.0
    queue_timeout: float = 30.0
    picture_timeout: float = 180.0
    usage_limit: float = 3600.0
    forget: bool = True
    patience: float = 3.0
    background_patience: float = 5.0


class ConversationSettings(Struct, frozen=True):
    """How conversations go on. Times in seconds.

    mode: where a request does not say. keep: how long a conversation is known after it was last used.
    max_bytes: one turn of a response that is kept for `previous_response_id`. max_turns: the longest such conversation.
    """

    mode: ConversationMode = "temporary"
    keep: float = 86400.0
    max_bytes: int = 8 * 1024 * 1024
    max_turns: int = 200
