"""Settings as a configuration file."""

from __future__ import annotations

import yaml

from compox_core.settings.models import Settings


def config_text(settings: Settings) -> str:
    """Return the YAML of a configuration file with these settings, without their secrets."""
    return yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True), sort_keys=False)
