"""A Gemini web app on loopback that the unmodified gemini_webapi talks to through an HTTPS proxy."""

from simulator.config import AccountSpec, ControlError, Defaults, Script, SimulatorConfig
from simulator.faults import Fault, fault
from simulator.journal import Anomaly, PromptRecord
from simulator.service import Simulator

__all__ = [
    "AccountSpec",
    "Anomaly",
    "ControlError",
    "Defaults",
    "Fault",
    "PromptRecord",
    "Script",
    "Simulator",
    "SimulatorConfig",
    "fault",
]
