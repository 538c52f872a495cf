"""How a store stays small: what has expired is swept away, and what nobody refers to is collected."""

from compox_core.jobs.retention.janitor import Janitor
from compox_core.jobs.retention.needs import Pins
from compox_core.jobs.retention.report import Kept, Removed, Report
from compox_core.jobs.retention.retention import Retention

__all__ = ["Janitor", "Kept", "Pins", "Removed", "Report", "Retention"]
