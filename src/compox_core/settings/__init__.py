"""The configuration of an engine and its transports."""

from compox_core.settings.dotted import parse_dotted
from compox_core.settings.loading import load_settings
from compox_core.settings.locations import (
    StoreLocation,
    default_folder,
    emergency_folders,
    log_file,
    resolve_path,
    store_options,
)
from compox_core.settings.models import Limits, Settings
from compox_core.settings.writing import config_text

__all__ = [
    "Limits",
    "Settings",
    "StoreLocation",
    "config_text",
    "default_folder",
    "emergency_folders",
    "load_settings",
    "log_file",
    "parse_dotted",
    "resolve_path",
    "store_options",
]
