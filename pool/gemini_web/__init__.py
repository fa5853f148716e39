"""The adapter between the pool's port (`pool.upstream`) and the unmodified gemini_webapi.

The only place that imports gemini_webapi and curl_cffi. The library builds every request, keeps the
cookie jar and the connection, opens the session and knows the models; the adapter sends, reads, bounds,
cancels and judges (docs/decisions/0004). Nothing leaves it but the errors of `core.errors`.
"""

from pool.gemini_web.factory import GeminiWebSessions

__all__ = ["GeminiWebSessions"]
