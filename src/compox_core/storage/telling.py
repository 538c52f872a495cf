"""Lines of the log that must not break what they tell of."""

from __future__ import annotations

import logging
from contextlib import suppress


def tell(
    logger: logging.Logger, level: int, message: str, *facts: object, exc_info: BaseException | None = None
) -> None:
    """Log a line; never raises, although a handler that an algorithm gave to `logging` may."""
    with suppress(Exception):  # whatever such a handler raises
        logger.log(level, message, *facts, exc_info=exc_info)
