"""Function calls and JSON of a schema, asked for in the prompt and read out of the answer."""

from engine.shaping.shaping import Shaping, shaped

__all__ = ["Shaping", "shaped"]
