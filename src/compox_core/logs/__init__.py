"""Where log lines go, and what stands in them. Only transports set this up; all else uses `logging`."""

from compox_core.logs.setup import Logs, configure_logging

__all__ = ["Logs", "configure_logging"]
