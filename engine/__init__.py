"""What is done with one request, in no dialect: attempts, deadline, failover."""

from engine.engine import Engine
from engine.service import ChatService, Status
from engine.settings import EngineSettings
from engine.studio import Studio, StudioSettings

__all__ = ["ChatService", "Engine", "EngineSettings", "Status", "Studio", "StudioSettings"]
