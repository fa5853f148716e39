"""The HTTP edge: OpenAI's and Gemini's dialects, the short forms, and what operators read."""

from routes.app import create_app
from routes.services import EdgeSettings, RouteServices

__all__ = ["EdgeSettings", "RouteServices", "create_app"]
