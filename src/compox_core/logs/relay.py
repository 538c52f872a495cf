"""Records of a worker process, which has them logged by its parent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from compox_core.logs.context import belonging

_FACTS = {"module": str, "funcName": str, "lineno": int, "task_id": str, "algorithm": str}


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record says beside its message, as JSON has it."""
    whose = belonging(record)
    facts = {"module": record.module, "funcName": record.funcName, "lineno": record.lineno}
    return {**facts, "task_id": whose.task_id, "algorithm": whose.algorithm}


def log_relayed(logger: str, level: int, text: str, facts: Mapping[str, Any]) -> None:
    """Log a record of another process; facts that are none are left out."""
    target = logging.getLogger(logger)
    if target.isEnabledFor(level):
        record = target.makeRecord(logger, level, "(relayed)", 0, "%s", (text,), None)
        for name, kind in _FACTS.items():
            if isinstance(facts.get(name), kind):
                setattr(record, name, facts[name])
        target.handle(record)
