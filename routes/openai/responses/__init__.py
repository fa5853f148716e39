"""OpenAI's Responses API under `/v1/responses`."""

from routes.openai.responses.handlers import ResponseHandlers

__all__ = ["ResponseHandlers"]
