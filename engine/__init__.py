"""What is done with one request, in no dialect: attempts, deadline, failover."""

from engine.conversing import Conversations
from engine.engine import Engine
from engine.responses import Responses, Sealing
from engine.service import ChatService, Status
from engine.settings import ConversationSettings, EngineSettings
from engine.studio import Studio, StudioSettings

__all__ = [
    "ChatService",
    "ConversationSettings",
    "Conversations",
    "Engine",
    "EngineSettings",
    "Responses",
    "Sealing",
    "Status",
    "Studio",
    "StudioSettings",
]
