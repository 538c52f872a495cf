"""Where log lines go, and what stands in them. Only transports set this up; all else uses `logging`."""

from compox_core.logs.context import belonging, current_request, set_request, task_lines
from compox_core.logs.lines import shown
from compox_core.logs.relay import facts_of, log_relayed
from compox_core.logs.setup import Logs, configure_logging

__all__ = [
    "Logs",
    "belonging",
    "configure_logging",
    "current_request",
    "facts_of",
    "log_relayed",
    "set_request",
    "shown",
    "task_lines",
]
