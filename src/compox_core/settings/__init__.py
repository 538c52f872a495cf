"""The configuration of an engine and its transports."""

from compox_core.settings.loading import load_settings
from compox_core.settings.locations import StoreLocation, default_folder, emergency_folders, log_file, store_options
from compox_core.settings.models import Limits, Settings

__all__ = [
    "Limits",
    "Settings",
    "StoreLocation",
    "default_folder",
    "emergency_folders",
    "load_settings",
    "log_file",
    "store_options",
]
