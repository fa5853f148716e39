"""What is done with one request, in no dialect: attempts, deadline, failover."""

from engine.engine import Engine, EngineSettings
from engine.service import ChatService, Status

__all__ = ["ChatService", "Engine", "EngineSettings", "Status"]
